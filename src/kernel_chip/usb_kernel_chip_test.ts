import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  FAULT_REASONS,
  FullDisk,
  lacksMounts,
} from "../../tests/doubles/full_disk.ts";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { UsbKernelDouble } from "../../tests/doubles/usb_kernel.ts";
import { sleep } from "../async/wait.ts";
import { identifyProcess } from "./process_identity.ts";
import { type ChipRecord, newId, Records } from "./records.ts";
import { UsbKernelChip } from "./usb_kernel_chip.ts";

const LINES = Array.from({ length: 20 }, () => ({ name: "", source: "sim/1" }));

async function withChip(
  use: (
    it: { chip: UsbKernelChip; kernel: UsbKernelDouble; records: Records },
  ) => Promise<void>,
): Promise<void> {
  const runtimeDirectory = await Deno.makeTempDir();
  try {
    const kernel = new UsbKernelDouble();
    await using chip = await UsbKernelChip.prepare({
      name: "plc0",
      lines: LINES,
      runtimeDirectory,
      kernel,
    });
    await use({ chip, kernel, records: new Records(runtimeDirectory) });
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
}

Deno.test("a chip is recorded before it is attached, and with its ports after", () =>
  withChip(async ({ chip, records }) => {
    const [before] = await records.list();
    assertEquals(
      [before?.interface, before?.adapters, before?.ports, before?.state],
      ["usb", 3, undefined, "held"],
    );
    assertEquals(chip.isPresent, false);
    const sockets = ["a", "b", "c"];
    await chip.attach(sockets, () => {});
    const [after] = await records.list();
    assertEquals([after?.ports, after?.path], [[0, 30, 60], "/dev/gpiochip7"]);
    assertEquals(
      chip.chips.map(({ name }) => name),
      ["gpiochip7", "gpiochip8", "gpiochip9"],
    );
    assert(chip.isPresent);
  }));

Deno.test("disposing ends the relay, and removes the record", async () => {
  const seen = Promise.withResolvers<UsbKernelDouble>();
  await withChip(async ({ chip, kernel, records }) => {
    const reasons: string[] = [];
    await chip.attach(["a", "b", "c"], (reason) => reasons.push(reason));
    assertEquals(await chip.isForgotten(), false);
    await chip[Symbol.asyncDispose]();
    assertEquals(await records.list(), []);
    assertEquals(await chip.isForgotten(), true);
    // Its end was wanted.
    assertEquals(reasons, []);
    seen.resolve(kernel);
  });
  assertEquals((await seen.promise).relays.map((one) => one.isDisposed), [
    true,
  ]);
});

Deno.test("an LJCA is chosen once that of a dead maker, or of one that ends, is gone", async () => {
  const runtimeDirectory = await Deno.makeTempDir();
  try {
    const kernel = new UsbKernelDouble();
    kernel.model = "ljca";
    const options = { name: "plc0", lines: LINES, runtimeDirectory, kernel };
    const records = new Records(runtimeDirectory);
    const name = "dead";
    const dead: ChipRecord = {
      ...{ name, id: newId(name), interface: "usb", adapters: 1 },
      ...{ isDetached: false, lines: [] },
      maker: { ...identifyProcess(Deno.pid)!, startTime: "1" },
    };
    records.begin(dead)[Symbol.dispose]();
    await records.write(dead);
    kernel.lingering = 3;
    const chip = await UsbKernelChip.prepare(options);
    assertEquals(chip.model, "ljca");
    await chip.attach(["a"], () => {});
    kernel.lingering = 3;
    await chip[Symbol.asyncDispose]();
    assertEquals(kernel.lingering <= 0, true);
    await using next = await UsbKernelChip.prepare(options);
    assertEquals(next.model, "ljca");
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
});

Deno.test("the end of the relay is reported", () =>
  withChip(async ({ chip, kernel }) => {
    const lost = Promise.withResolvers<string>();
    await chip.attach(["a", "b", "c"], lost.resolve);
    kernel.relays[0]!.end("it was killed");
    assertEquals(await lost.promise, "it was killed");
  }));

Deno.test("what keeps the kernel from having the chip is told", () =>
  withChip(async ({ chip, kernel }) => {
    kernel.refusal = new Error("attach: EACCES");
    await assertRejects(() => chip.attach(["a"], () => {}), Error, "EACCES");
    assertEquals(kernel.relays.at(-1)!.isDisposed, true);
    kernel.refusal = undefined;
    kernel.hasDriver = false;
    const attached = chip.attach(["a", "b", "c"], () => {});
    while (kernel.looks === 0) await sleep(1);
    kernel.relays.at(-1)!.end("the kernel has detached the device");
    await assertRejects(() => attached, Error, "has detached");
    // Nothing of it is in the way of the next attempt.
    assertEquals(kernel.relays.at(-1)!.isDisposed, true);
    const { looks } = kernel;
    await sleep(50);
    assertEquals(kernel.looks, looks);
  }));

Deno.test("an LJCA whose driver has given it up is attached again", async () => {
  const runtimeDirectory = await Deno.makeTempDir();
  try {
    const kernel = new UsbKernelDouble();
    // The first adapter gets no chip: each relay that is started is seen here.
    const start = kernel.startRelay.bind(kernel);
    kernel.startRelay = (...args) => {
      kernel.hasDriver = kernel.relays.length > 0;
      return start(...args);
    };
    await using chip = await UsbKernelChip.prepare({
      lines: LINES,
      model: "ljca",
      runtimeDirectory,
      kernel,
      attemptMs: 1,
    });
    const reasons: string[] = [];
    await chip.attach(["a"], (reason) => reasons.push(reason));
    assert(chip.isPresent);
    assertEquals(kernel.relays.map((one) => one.isDisposed), [true, false]);
    assertEquals(kernel.sockets, [["a"], ["a"]]);
    // The first one's end was no loss.
    assertEquals(reasons, []);
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
});

Deno.test("a chip is attached once the kernel has none of its adapters any more", () =>
  withChip(async ({ chip, kernel }) => {
    kernel.lingering = 3;
    const attached = chip.attach(["a", "b", "c"], () => {});
    assertEquals(kernel.relays.length, 0);
    await attached;
    assertEquals([kernel.relays.length, kernel.lingering], [1, -1]);
  }));

Deno.test("a chip that is removed while it waits for their end is not attached", () =>
  withChip(async ({ chip, kernel, records }) => {
    kernel.lingering = Infinity;
    const attached = chip.attach(["a", "b", "c"], () => {});
    await chip[Symbol.asyncDispose]();
    kernel.lingering = 0;
    await assertRejects(() => attached, Error, "removed meanwhile");
    assertEquals([kernel.relays.length, await records.list()], [0, []]);
  }));

Deno.test("an LJCA that is disposed of while it waits is not attached again", async () => {
  const runtimeDirectory = await Deno.makeTempDir();
  try {
    const kernel = new UsbKernelDouble();
    kernel.hasDriver = false;
    const chip = await UsbKernelChip.prepare({
      lines: LINES,
      model: "ljca",
      runtimeDirectory,
      kernel,
      attemptMs: 60_000,
    });
    const attached = chip.attach(["a"], () => {});
    while (kernel.relays.length === 0) await Promise.resolve();
    await chip[Symbol.asyncDispose]();
    await assertRejects(() => attached, Error);
    assertEquals(kernel.relays.map((one) => one.isDisposed), [true]);
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
});

Deno.test("a name that is a path is refused, and makes nothing", async () => {
  const runtimeDirectory = await Deno.makeTempDir();
  try {
    await assertRejects(
      () =>
        UsbKernelChip.prepare({
          name: "../plc0",
          lines: LINES,
          runtimeDirectory: `${runtimeDirectory}/records`,
          kernel: new UsbKernelDouble(),
        }),
      Error,
      "is not a valid name for a chip",
    );
    const records = new Records(`${runtimeDirectory}/records`);
    assertEquals(await records.list(), []);
    const names = [...Deno.readDirSync(runtimeDirectory)].map((one) =>
      one.name
    );
    assertEquals(names, ["records"]);
  } finally {
    await Deno.remove(runtimeDirectory, { recursive: true });
  }
});

testSerially({
  name: "a chip for whose record a disk has no room leaves nothing",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    const options = {
      lines: LINES,
      runtimeDirectory: `${disk.path}/kernel`,
      kernel: new UsbKernelDouble(),
    };
    await disk.break("no bytes");
    await assertRejects(
      () => UsbKernelChip.prepare(options),
      Error,
      FAULT_REASONS["no bytes"],
    );
    assertEquals(disk.files("kernel"), ["lock"]);
    await disk.repair();
    {
      await using chip = await UsbKernelChip.prepare(options);
      await disk.break("no bytes");
      await assertRejects(
        () => chip.attach(["a", "b", "c"], () => {}),
        Error,
        FAULT_REASONS["no bytes"],
      );
    }
    assertEquals(disk.files("kernel"), ["lock"]);
    assertEquals(options.kernel.relays.map((one) => one.isDisposed), [true]);
    await disk.repair();
    await using chip = await UsbKernelChip.prepare(options);
    await chip.attach(["a", "b", "c"], () => {});
    assert(chip.isPresent);
  },
});
