import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { writeAttribute } from "../../../ffi/sysfs.ts";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { UsbKernelDouble } from "../../../tests/doubles/usb_kernel.ts";
import { waitUntil } from "../../async/wait.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { HOST_KERNEL } from "../../kernel_chip/usb_adapter.ts";
import { HOST_CONTROLLER } from "../../usbip/host_controller.ts";
import type { AggregatorDescription } from "../messages/messages.ts";
import { HostChips } from "./host_chips.ts";

/** Limit of what is only waited for. **Units**: ms. */
const LIMIT_MS = 60_000;
const DRIVER = "/sys/bus/platform/drivers/gpio-aggregator";

interface Rig extends AsyncDisposable {
  readonly chips: HostChips;
  readonly kernel: GpioKernel;
  readonly usb: UsbKernelDouble;
  readonly told: string[];
  /** Number of chips that the kernel has. */
  count(): number;
}

/** A kernel with both ways, and a user's runtime directory. */
function rig(): Rig {
  const stack = new AsyncDisposableStack();
  const runtime = Deno.makeTempDirSync();
  stack.defer(() => Deno.remove(runtime, { recursive: true }));
  const kernel = stack.use(GpioKernel.install());
  kernel.addAggregatorDriver();
  kernel.addChip({ lines: 4, label: "soc" });
  const usb = new UsbKernelDouble();
  const real = { ...HOST_KERNEL };
  Object.assign(HOST_KERNEL, {
    chooseModel: usb.chooseModel.bind(usb),
    startRelay: usb.startRelay.bind(usb),
    chips: usb.chips.bind(usb),
    readLabel: usb.readLabel.bind(usb),
    isUsed: usb.isUsed.bind(usb),
    forgetsHolders: usb.forgetsHolders.bind(usb),
  });
  stack.defer(() => void Object.assign(HOST_KERNEL, real));
  const told: string[] = [];
  const host = stack.use(
    new HostChips({
      unplugged: (name, detail) => told.push(`${name} unplugged: ${detail}`),
      plugged: (name, detail) => told.push(`${name} plugged: ${detail}`),
      removed: (name) => told.push(`${name} removed`),
    }, runtime),
  );
  return {
    chips: host,
    kernel,
    usb,
    told,
    count: () =>
      kernel.look().chips.filter(({ isPlugged }) => isPlugged).length,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** An aggregator that the kernel's own serves. */
const PANEL: AggregatorSpecification = {
  name: "panel",
  kernelChip: {},
  lines: parseLineSpec("soc/0-1"),
};
/** One that goes by USB. */
const PLC: AggregatorSpecification = {
  name: "plc",
  kernelChip: { interface: "usb" },
  lines: parseLineSpec("sim/3"),
};

/** Returns what the reactor says of an aggregator. */
function served(name: string): AggregatorDescription {
  return {
    name,
    presentation: "as a USB adapter",
    connected: true,
    servedSince: 0,
    lines: [],
  };
}

Deno.test("without aggregators nothing is made, and nothing is added", async () => {
  await using it = rig();
  const addition = await it.chips.begin([]);
  assertEquals([addition.made, addition.served], [[], []]);
  await addition.attach();
  await addition.undo();
  assertEquals(it.chips.describe(), []);
  assertEquals(it.chips.describeServed([served("a")]), [served("a")]);
  const counts = { name: "a", connected: true, servedSince: 0 };
  assertEquals(it.chips.count([counts]), [counts]);
  assertEquals(await it.chips.remove("a"), undefined);
  assertEquals([it.count(), it.usb.relays.length], [1, 0]);
});

testSerially(
  "the kernel serves one aggregator, and the reactor the other",
  async () => {
    await using it = rig();
    const addition = await it.chips.begin([PLC, PANEL]);
    assertEquals(
      addition.made.map(({ name, presentation }) => [name, presentation]),
      [["panel", "as /dev/gpiochip1"]],
    );
    assertEquals(
      addition.served.map(({ name, usbredir, kernelChip }) => [
        name,
        usbredir?.device,
        kernelChip,
      ]),
      [["plc", "cp2112", undefined]],
    );
    // The reactor has to serve the sockets first.
    assertEquals([it.count(), it.usb.relays.length], [2, 0]);
    await addition.attach();
    assertEquals(it.usb.sockets, [[addition.served[0]!.usbredir!.socketPath]]);
    assertEquals(it.chips.describe().map(({ name }) => name), ["panel"]);
    assertEquals(it.chips.describe("plc"), []);
    assertEquals(
      it.chips.describeServed([served("plc"), served("other")])
        .map(({ presentation }) => presentation),
      ["as /dev/gpiochip7", "as a USB adapter"],
    );
    const counts = it.chips.count([
      { name: "plc", connected: true, servedSince: 0 },
    ]);
    assertEquals(
      counts.map(({ name, isChipPresent }) => [name, isChipPresent]),
      [["plc", true], ["panel", true]],
    );
    assert(counts[1]!.uptimeMs! >= 0);
  },
);

testSerially(
  "a chip is removed by its name, whichever way it goes",
  async () => {
    await using it = rig();
    const addition = await it.chips.begin([PLC, PANEL]);
    await addition.attach();
    assertEquals((await it.chips.remove("panel"))?.kernelChip?.present, true);
    assertEquals([it.chips.describe(), it.count()], [[], 1]);
    assertEquals(await it.chips.remove("plc"), undefined);
    assertEquals(it.usb.relays.map(({ isDisposed }) => isDisposed), [true]);
    assertEquals(it.chips.describeServed([served("plc")]), [served("plc")]);
    // Their names and lines are free again.
    await it.chips.begin([PLC, PANEL]);
    assertEquals([it.count(), it.told], [2, []]);
  },
);

testSerially("an addition that is undone leaves neither", async () => {
  await using it = rig();
  const addition = await it.chips.begin([PLC, PANEL]);
  await addition.attach();
  await addition.undo();
  assertEquals([it.chips.describe(), it.count()], [[], 1]);
  assertEquals(it.usb.relays.map(({ isDisposed }) => isDisposed), [true]);
});

testSerially(
  "if the kernel does not have one of them it has none",
  async () => {
    await using it = rig();
    const other = { ...PLC, name: "other" };
    await assertRejects(
      () => it.chips.begin([PANEL, other, PLC, { ...PLC, name: "../plc" }]),
      Error,
      "not a valid name",
    );
    assertEquals([it.chips.describe(), it.count()], [[], 1]);
    await it.chips.begin([PANEL, other, PLC]);
    await assertRejects(
      () => it.chips.begin([{ ...PANEL, name: "second" }]),
      Error,
      "soc",
    );
    assertEquals(it.count(), 2);
  },
);

Deno.test("a chip of a name that is taken stays when the addition fails", async () => {
  await using it = rig();
  const addition = await it.chips.begin([PLC]);
  await addition.attach();
  await assertRejects(
    () => it.chips.begin([{ ...PLC, name: "new" }, PLC]),
    Error,
    "is taken",
  );
  assertEquals(it.usb.relays.map(({ isDisposed }) => isDisposed), [false]);
  const [described] = it.chips.describeServed([served("plc")]);
  assertEquals(described!.kernelChip?.present, true);
  // The other one is gone: its name is free.
  await it.chips.begin([{ ...PLC, name: "new" }]);
});

testSerially(
  "lines that the kernel's aggregator does not have go by USB where that is possible",
  async () => {
    await using it = rig();
    const aggregator = { ...PLC, kernelChip: {} };
    await assertRejects(() => it.chips.begin([aggregator]), Error);
    const controller = `${it.kernel.root}${HOST_CONTROLLER}`;
    await Deno.mkdir(controller, { recursive: true });
    await Deno.writeTextFile(`${controller}/attach`, "");
    const { made, served } = await it.chips.begin([aggregator, PANEL]);
    assertEquals([made, served].map((all) => all.map(({ name }) => name)), [
      ["panel"],
      ["plc"],
    ]);
  },
);

testSerially("a chip that another process removes is reported", async () => {
  await using it = rig();
  await it.chips.begin([PANEL]);
  writeAttribute(`${DRIVER}/delete_device`, "gpio-aggregator.0");
  await waitUntil(() => it.told.length > 0, LIMIT_MS);
  assertEquals(it.told, [
    "panel unplugged: /dev/gpiochip1 was removed by another process",
    "panel removed",
  ]);
  assertMatch(it.chips.describe()[0]!.presentation, /which was removed/);
  assertEquals(it.chips.count([])[0]!.isChipPresent, false);
});

Deno.test("adapters that come off are reported, and those that are there again", async () => {
  await using it = rig();
  const addition = await it.chips.begin([PLC]);
  await addition.attach();
  it.usb.relays[0]!.end("the kernel has detached the device");
  await waitUntil(() => it.told.length === 2, LIMIT_MS);
  assertEquals(it.told, [
    "plc unplugged: /dev/gpiochip7 is gone: the kernel has detached the device",
    "plc plugged: /dev/gpiochip7 is there again",
  ]);
});

testSerially(
  "a chip that cannot be removed keeps none of the others",
  async () => {
    await using it = rig();
    const addition = await it.chips.begin([PLC, PANEL]);
    await addition.attach();
    const attribute = `${it.kernel.root}${DRIVER}/delete_device`;
    await Deno.remove(attribute);
    await Deno.mkdir(attribute);
    await assertRejects(() => it.chips[Symbol.asyncDispose](), Error, "EISDIR");
    assertEquals(it.usb.relays.map(({ isDisposed }) => isDisposed), [true]);
    // The kernel still has it, and it is removed by the next attempt.
    assertEquals(it.count(), 2);
    await Deno.remove(attribute);
    await Deno.writeTextFile(attribute, "");
    await it.chips[Symbol.asyncDispose]();
    assertEquals(it.count(), 1);
  },
);
