import { assertEquals, assertRejects } from "@std/assert";
import { UsbKernelDouble } from "../../../tests/doubles/usb_kernel.ts";
import { Records } from "../../kernel_chip/records.ts";
import { beginHold, endHold } from "../../kernel_chip/suspend.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { AggregatorDescription } from "../messages/messages.ts";
import { UsbChips } from "./usb_chips.ts";

/** Returns what the reactor says of an aggregator. */
function description(name: string): AggregatorDescription {
  return {
    name,
    presentation: "as a USB adapter",
    connected: true,
    servedSince: 0,
    lines: [],
  };
}

async function withChips(
  use: (
    it: {
      chips: UsbChips;
      kernel: UsbKernelDouble;
      told: string[];
      records: Records;
      directory: string;
    },
  ) => Promise<void>,
  clock?: ConstructorParameters<typeof UsbChips>[2],
): Promise<void> {
  const runtimeDirectory = await Deno.makeTempDir();
  const told: string[] = [];
  const kernel = new UsbKernelDouble();
  try {
    await using chips = new UsbChips(
      {
        unplugged: (name, detail) => told.push(`${name}: ${detail}`),
        plugged: (name, detail) => told.push(`${name} plugged: ${detail}`),
        gone: (name, path) => told.push(`${name} gone: ${path}`),
      },
      { runtimeDirectory, kernel },
      clock,
    );
    await use({
      chips,
      kernel,
      told,
      records: new Records(runtimeDirectory),
      directory: runtimeDirectory,
    });
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const AGGREGATOR = {
  name: "plc0",
  kernelChip: { interface: "usb" as const, access: {} },
  lines: parseLineSpec("sim/10,safe=0"),
};

Deno.test("the reactor serves adapters, and the chip is described by its node", () =>
  withChips(async ({ chips, kernel }) => {
    const prepared = await chips.prepare(AGGREGATOR);
    assertEquals(prepared.kernelChip, undefined);
    assertEquals(
      [prepared.usbredir?.device, prepared.usbredir?.access],
      ["cp2112", { mode: 0o600 }],
    );
    const { socketPath } = prepared.usbredir!;
    assertEquals(
      chips.describe([description("plc0")])[0]!.presentation,
      "as a kernel chip, which is gone",
    );
    await chips.attach("plc0");
    assertEquals(kernel.sockets, [[socketPath, `${socketPath}.1`]]);
    const [mine, other] = chips.describe([
      description("plc0"),
      description("other"),
    ]);
    assertEquals(mine!.presentation, "as /dev/gpiochip7, /dev/gpiochip8");
    assertEquals(mine!.kernelChip, {
      path: "/dev/gpiochip7",
      label: "cp2112_gpio",
      present: true,
      paths: ["/dev/gpiochip7", "/dev/gpiochip8"],
    });
    assertEquals(other, description("other"));
    // The kernel's own driver is connected all the time.
    assertEquals(mine!.connected, false);
    kernel.used.add("/dev/gpiochip8");
    assertEquals(chips.describe([description("plc0")])[0]!.connected, true);
    assertEquals(
      chips.count({ name: "plc0", connected: true, servedSince: 0 })
        .isChipPresent,
      true,
    );
  }));

Deno.test("an old kernel's chip that a program holds does not go without a word", () =>
  withChips(async ({ chips, kernel, told }) => {
    for (const isForgetful of [false, true]) {
      kernel.isForgetful = isForgetful;
      kernel.used.clear();
      for (const isUsed of [false, true]) {
        await chips.prepare(AGGREGATOR);
        await chips.attach("plc0");
        if (isUsed) kernel.used.add("/dev/gpiochip8");
        await chips.remove("plc0");
      }
    }
    assertEquals(told.length, 1);
    assertEquals(
      told[0]!.startsWith(
        "plc0: /dev/gpiochip8: removed while a program holds a line. Linux",
      ),
      true,
    );
  }));

Deno.test("a chip whose relay ends is made again", () =>
  withChips(async ({ chips, kernel, told }) => {
    await chips.prepare(AGGREGATOR);
    await chips.attach("plc0");
    kernel.refusal = new Error("no port is free");
    kernel.relays[0]!.end("killed");
    await until(() => told.length === 2);
    kernel.refusal = undefined;
    await until(() => told.length === 3);
    assertEquals(told, [
      "plc0: /dev/gpiochip7 and /dev/gpiochip8 is gone: killed",
      "plc0: the chip cannot be made again: no port is free",
      "plc0 plugged: /dev/gpiochip7 and /dev/gpiochip8 is there again",
    ]);
  }));

Deno.test("a chip is made at once again if its relay alone is lost, but in no series", async () => {
  const delays: number[] = [];
  let now = 0;
  const clock = {
    now: () => now,
    after: (ms: number, action: () => void) => {
      delays.push(ms);
      return setTimeout(action, 0);
    },
  };
  await withChips(async ({ chips, kernel, told }) => {
    await chips.prepare(AGGREGATOR);
    await chips.attach("plc0");
    for (
      const [i, [age, reason, isSoon]] of ([
        [5000, "killed", true],
        [4999, "killed", false],
        [5000, "the kernel has detached the device", false],
      ] as const).entries()
    ) {
      now += age;
      delays.length = 0;
      kernel.relays.at(-1)!.end(reason);
      await until(() => told.length === 2 * i + 2);
      assertEquals(delays, [isSoon ? 10 : 1000]);
    }
  }, clock);
});

Deno.test("a chip is not made while the host suspends, and is made after", () =>
  withChips(async ({ chips, kernel, told, directory }) => {
    await chips.prepare(AGGREGATOR);
    beginHold(directory);
    await assertRejects(
      () => chips.attach("plc0"),
      Error,
      "This host is about to suspend",
    );
    endHold(directory);
    await chips.attach("plc0");
    beginHold(directory);
    kernel.relays[0]!.end("the kernel has detached the device");
    await until(() => told.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    // It was tried, and put off without a word.
    assertEquals([kernel.relays.length, told.length], [1, 1]);
    endHold(directory);
    await until(() => told.length === 2);
    assertEquals(told, [
      "plc0: /dev/gpiochip7 and /dev/gpiochip8 is gone: the kernel has " +
      "detached the device",
      "plc0 plugged: /dev/gpiochip7 and /dev/gpiochip8 is there again",
    ]);
  }));

Deno.test("a maker passes on the descriptor that it was given", () =>
  withChips(async ({ chips, kernel }) => {
    const kernelChip = { ...AGGREGATOR.kernelChip, attachFd: 9 };
    await chips.prepare({ ...AGGREGATOR, kernelChip });
    await chips.attach("plc0");
    assertEquals(kernel.attachFds, [9]);
  }));

Deno.test("a chip that is removed is not made again", () =>
  withChips(async ({ chips, kernel, told }) => {
    await chips.prepare(AGGREGATOR);
    await chips.attach("plc0");
    await chips.remove("plc0");
    await chips.remove("plc0");
    assertEquals([kernel.relays[0]!.isDisposed, told], [true, []]);
    assertEquals(
      chips.describe([description("plc0")])[0]!.kernelChip,
      undefined,
    );
  }));

Deno.test("a chip whose record is removed a moment after its end is not made again", () =>
  withChips(async ({ chips, kernel, told, records }) => {
    await chips.prepare(AGGREGATOR);
    await chips.attach("plc0");
    kernel.relays[0]!.end("the kernel has detached the device");
    await until(() => told.length === 1);
    const [record] = await records.list();
    await records.remove(record!);
    await until(() => told.length === 2);
    assertEquals(
      told[1],
      "plc0 gone: /dev/gpiochip7 and /dev/gpiochip8",
    );
    assertEquals(kernel.relays.length, 1);
  }));

Deno.test("an aggregator of a name that is taken leaves the chip of that name", () =>
  withChips(async ({ chips, kernel }) => {
    await chips.prepare(AGGREGATOR);
    await chips.attach("plc0");
    await assertRejects(() => chips.prepare(AGGREGATOR), Error, "is taken");
    assertEquals(kernel.relays[0]!.isDisposed, false);
    assertEquals(
      chips.describe([description("plc0")])[0]!.kernelChip?.present,
      true,
    );
  }));
