/** Line requests of src/gpio, on simulated chips. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  EdgeEventBatch,
  isOsError,
  LineError,
  type LineSettings,
  openChip,
} from "../../mod.ts";
import { EBADF, EINVAL, ENODEV, EPERM } from "../../ffi/errno.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { simChip } from "./gpio_sim.ts";

const openFds = () => listDirectory("/proc/self/fd").length;
const INPUT: LineSettings = { direction: "input" };
const OUTPUT: LineSettings = { direction: "output" };

Deno.test("LineRequest reads inputs", async () => {
  await using sim = await simChip({ lines: 8 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offsets: [7, 2, 4], settings: INPUT }],
  });
  assertEquals(request.offsets, [7, 2, 4]);
  assertEquals(request.chipName, sim.name);
  await sim.pull(2, "up");
  assertEquals(request.getValue(2), 1);
  assertEquals(request.getValues(), [0, 1, 0]);
  assertEquals(request.getValues([2, 7]), [1, 0]);
  assertEquals(request.getValues([]), []);
  assertThrows(
    () => request.getValue(3),
    LineError,
    `Cannot read line 3 of ${sim.name}: it is not in this request, which has 7, 2, 4`,
  );
});

Deno.test("LineRequest sets outputs, from the first moment on", async () => {
  await using sim = await simChip({ lines: 4 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: { ...OUTPUT, outputValue: 1 } },
      { offset: 1, settings: { ...OUTPUT, outputValue: 0 } },
      { offset: 2, settings: { ...OUTPUT, outputValue: 1, activeLow: true } },
      { offset: 3, settings: OUTPUT },
    ],
  });
  const levels = () => Promise.all([0, 1, 2, 3].map((i) => sim.level(i)));
  assertEquals(await levels(), [1, 0, 0, 0]);
  assertEquals(request.getValues(), [1, 0, 1, 0]);
  request.setValue(1, 1);
  request.setValues(new Map([[0, 0], [3, 1]]));
  assertEquals(await levels(), [0, 1, 0, 1]);
  request.setValues({ 2: 0, 3: 0 });
  assertEquals(await levels(), [0, 1, 1, 0]);
  request.setValues({});
  assertThrows(
    () => request.setValues({ 5: 1 }),
    LineError,
    "Cannot set line 5",
  );
});

Deno.test("LineRequest has up to 64 lines, each with its value", async () => {
  await using sim = await simChip({ lines: 64 });
  using chip = openChip(sim.name);
  const offsets = Array.from({ length: 64 }, (_, i) => 63 - i);
  using request = chip.requestLines({
    lines: [{ offsets, settings: OUTPUT }],
  });
  request.setValues({ 63: 1, 32: 1, 31: 1, 0: 1 });
  const values = request.getValues();
  assertEquals(
    values.flatMap((value, i) => value === 1 ? [offsets[i]] : []),
    [63, 32, 31, 0],
  );
  assertEquals([await sim.level(31), await sim.level(30)], [1, 0]);
  for (const bit of [0, 31, 32, 63]) {
    assertEquals(request.readBit(bit), 1);
    assertEquals(request.writeBit(bit, 0), 0);
    assertEquals(request.readBit(bit), 0);
    assertEquals(await sim.level(63 - bit), 0);
  }
  assertThrows(
    () => chip.requestLines({ lines: [] }),
    RangeError,
    "0 lines",
  );
  assertThrows(
    () => chip.requestLines({ lines: [{ offsets: [...offsets, 64] }] }),
    RangeError,
    `Cannot request 65 lines of ${sim.name} at once: 1 to 64 are possible`,
  );
});

Deno.test("a busy line names its consumer", async () => {
  await using sim = await simChip({ lines: 4, hogs: { 2: "gpio-keys" } });
  using chip = openChip(sim.name);
  const before = openFds();
  const error = assertThrows(
    () => chip.requestLines({ lines: [{ offsets: [0, 1, 2] }] }),
    LineError,
  );
  assertEquals(
    error.message,
    `Cannot request line 2 of ${sim.name}: busy (EBUSY), held by "gpio-keys"`,
  );
  assertEquals(
    [error.chip, error.offset, error.operation],
    [sim.name, 2, "request"],
  );
  assert(isOsError(error.cause, "EBUSY"));
  assertEquals(chip.lineInfo(0).used, false, "nothing half-done");
  assertEquals(openFds(), before);
});

Deno.test("Chip.requestLines() says what is wrong with a request", async () => {
  await using sim = await simChip({ lines: 4 });
  using chip = openChip(sim.name);
  const request = (settings: LineSettings, offsets = [1]) => () =>
    chip.requestLines({ lines: [{ offsets, settings }] });
  assertThrows(
    request(INPUT, [1, 4]),
    LineError,
    `Cannot request line 4 of ${sim.name}: its lines are 0 to 3`,
  );
  assertThrows(
    request(INPUT, [1, 2, 1]),
    LineError,
    "line 1 of " + sim.name + ": it is named twice",
  );
  assertThrows(
    request({ edge: "both" }),
    LineError,
    'edge "both" needs direction "input"',
  );
  const error = assertThrows(
    request({ ...INPUT, edge: "rising", eventClock: "hte" }),
    LineError,
    "operation not supported (EOPNOTSUPP), there is no hardware timestamp engine for it",
  );
  assert(isOsError(error.cause, "EOPNOTSUPP"));
  assertThrows(
    () => chip.requestLines({ lines: [{ offset: 1 }], eventBufferSize: -1 }),
    RangeError,
    "eventBufferSize -1",
  );
});

Deno.test("settings that need more than ten attributes name both numbers", async () => {
  await using sim = await simChip({ lines: 64 });
  using chip = openChip(sim.name);
  const lines = Array.from({ length: 13 }, (_, offset) => ({
    offset,
    settings: { ...INPUT, debouncePeriodUs: offset },
  }));
  assertThrows(
    () => chip.requestLines({ lines }),
    RangeError,
    "12 attributes are needed, and the kernel takes 10",
  );
  using request = chip.requestLines({ lines: lines.slice(0, 11) });
  assertEquals(chip.lineInfo(10).debouncePeriodUs, 10);
  assertThrows(
    () =>
      request.reconfigure(
        Array.from({ length: 11 }, (_, offset) => ({
          offset,
          settings: { ...INPUT, debouncePeriodUs: 100 + offset },
        })),
      ),
    RangeError,
    "11 attributes",
  );
  assertEquals(chip.lineInfo(10).debouncePeriodUs, 10, "nothing changed");
});

Deno.test("a bias pulls an input", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: { ...INPUT, bias: "pull-up" } },
      { offset: 1, settings: { ...INPUT, bias: "pull-down" } },
    ],
  });
  assertEquals(request.getValues(), [1, 0]);
  request.reconfigure([
    { offset: 1, settings: { ...INPUT, bias: "pull-up" } },
  ]);
  assertEquals(request.getValues(), [1, 1]);
  assertEquals(chip.lineInfo(1).bias, "pull-up");
});

Deno.test("open drain and open source leave the other level to the pull", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: { ...OUTPUT, drive: "open-drain" } },
      { offset: 1, settings: { ...OUTPUT, drive: "open-source" } },
    ],
  });
  assertEquals(chip.lineInfo(0).drive, "open-drain");
  assertEquals(chip.lineInfo(1).drive, "open-source");
  const level = async (offset: number, pull: "up" | "down") => {
    await sim.pull(offset, pull);
    return await sim.level(offset);
  };
  // The driven level stands against the pull, the other one gives way to it.
  request.setValues({ 0: 0, 1: 1 });
  assertEquals([await level(0, "up"), await level(0, "down")], [0, 0]);
  assertEquals([await level(1, "up"), await level(1, "down")], [1, 1]);
  request.setValues({ 0: 1, 1: 0 });
  assertEquals([await level(0, "up"), await level(0, "down")], [1, 0]);
  assertEquals([await level(1, "up"), await level(1, "down")], [1, 0]);
});

Deno.test("a line taken as it is can be read, not set, and be reconfigured", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  await sim.pull(0, "up");
  using request = chip.requestLines({ lines: [{ offset: 0 }] });
  assertEquals(chip.lineInfo(0).direction, "input");
  assertEquals(request.getValue(0), 1);
  const error = assertThrows(() => request.setValue(0, 0), LineError);
  assertEquals(
    error.message,
    `Cannot set line 0 of ${sim.name}: operation not permitted (EPERM), only outputs can be set`,
  );
  request.reconfigure([{ offset: 0, settings: OUTPUT }]);
  assertEquals(
    await sim.level(0),
    1,
    "without a value it keeps the one it had",
  );
  request.setValue(0, 0);
  assertEquals(await sim.level(0), 0);
});

Deno.test("LineRequest.reconfigure() leaves other lines and values alone", async () => {
  await using sim = await simChip({ lines: 3 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [
      { offset: 0, settings: { ...OUTPUT, activeLow: true } },
      { offset: 1, settings: OUTPUT },
      { offset: 2, settings: { ...INPUT, edge: "rising" } },
    ],
  });
  request.setValues({ 0: 1, 1: 1 });
  request.reconfigure([{
    offset: 2,
    settings: { ...INPUT, edge: "falling" },
  }]);
  assertEquals(request.getValues([0, 1]), [1, 1]);
  assertEquals([await sim.level(0), await sim.level(1)], [0, 1]);
  assertEquals(chip.lineInfo(0).activeLow, true);
  assertEquals(chip.lineInfo(2).edge, "falling");
  request.reconfigure([{
    offset: 1,
    settings: { ...OUTPUT, drive: "open-drain" },
  }]);
  assertEquals(request.getValue(1), 1, "kept through a change of drive");
  request.reconfigure([{
    offset: 1,
    settings: { ...OUTPUT, outputValue: 0 },
  }]);
  assertEquals(request.getValue(1), 0);
  // Not named again: what it was set to before is not what it is set to now.
  request.setValue(1, 1);
  request.reconfigure([{ offset: 2, settings: INPUT }]);
  assertEquals(request.getValue(1), 1);
});

Deno.test("LineRequest.reconfigure() says what is wrong, and changes nothing", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: { ...OUTPUT, outputValue: 1 } }],
  });
  assertThrows(
    () => request.reconfigure([{ offset: 1, settings: INPUT }]),
    LineError,
    `Cannot reconfigure line 1 of ${sim.name}: it is not in this request`,
  );
  assertThrows(
    () =>
      request.reconfigure([
        { offset: 0, settings: INPUT },
        { offset: 0, settings: OUTPUT },
      ]),
    LineError,
    "it is named twice",
  );
  assertThrows(
    () => request.reconfigure([{ offset: 0, settings: { edge: "rising" } }]),
    LineError,
    'edge "rising" needs',
  );
  assertEquals(chip.lineInfo(0).direction, "output");
  assertEquals(await sim.level(0), 1);
});

Deno.test("LineRequest.configure() and the bit methods answer -errno", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  const request = chip.requestLines({
    lines: [{ offset: 1, settings: { activeLow: true } }],
  });
  assertEquals(request.readBit(0), 1);
  assertEquals(request.readBit(1), -EINVAL);
  assertEquals(request.readBit(-1), -EINVAL);
  assertEquals(request.writeBit(0, 1), -EPERM);
  assertEquals(request.configure({ edge: "both" }), -EINVAL);
  assertEquals(
    request.configure({ ...OUTPUT, activeLow: true, outputValue: 0 }),
    0,
  );
  assertEquals(await sim.level(1), 1);
  assertEquals(request.writeBit(0, 1), 0);
  assertEquals(await sim.level(1), 0);
  assertEquals(request.configure({ ...OUTPUT, activeLow: true }), 0);
  assertEquals(await sim.level(1), 0, "the value is kept");
  assertEquals(request.configure({ ...INPUT, edge: "both" }), 0);
  assertEquals(chip.lineInfo(1).edge, "both");
  const batch = new EdgeEventBatch(4);
  assertEquals(request.readEvents(batch), 0);
  request.close();
  assertEquals(request.readBit(0), -EBADF);
  assertEquals(request.writeBit(0, 1), -EBADF);
  assertEquals(request.configure(INPUT), -EBADF);
  assertEquals(request.readEvents(batch), -EBADF);
  using two = chip.requestLines({ lines: [{ offsets: [0, 1] }] });
  assertEquals(two.configure(INPUT), -EINVAL);
});

Deno.test("LineRequest that was closed gives its lines back, and says so", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  const request = chip.requestLines({ lines: [{ offset: 0 }] });
  assertEquals(chip.lineInfo(0).used, true);
  request.close();
  request[Symbol.dispose]();
  assert(request.closed);
  assertEquals(chip.lineInfo(0).used, false);
  const gone = "they were let go: this request is closed";
  assertThrows(() => request.fd, LineError, gone);
  assertThrows(() => request.getValue(0), LineError, gone);
  assertThrows(() => request.setValue(0, 1), LineError, gone);
  assertThrows(() => request.readEdgeEvents(), LineError, gone);
  assertThrows(() => request.edgeEvents(), LineError, gone);
  assertThrows(
    () => request.reconfigure([{ offset: 0, settings: INPUT }]),
    LineError,
    gone,
  );
});

Deno.test("LineRequest lives on without its chip object", async () => {
  await using sim = await simChip({ lines: 1 });
  const chip = openChip(sim.name);
  using request = chip.requestLines({
    lines: [{ offset: 0, settings: OUTPUT }],
  });
  chip.close();
  request.setValue(0, 1);
  assertEquals(await sim.level(0), 1);
});

Deno.test("LineRequest of a chip that is unplugged says that it is gone", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.name);
  const request = chip.requestLines({
    lines: [{ offsets: [0, 1], settings: OUTPUT }],
  });
  await sim.unplug();
  const error = assertThrows(() => request.getValues(), LineError);
  assertEquals(
    error.message,
    `Cannot read lines 0, 1 of ${sim.name}: the device is gone (ENODEV)`,
  );
  assert(isOsError(error.cause, "ENODEV"));
  assertThrows(() => request.setValue(0, 1), LineError, "ENODEV");
  assertThrows(() => request.readEdgeEvents(), LineError, "ENODEV");
  assertThrows(
    () => request.reconfigure([{ offset: 0, settings: INPUT }]),
    LineError,
    "ENODEV",
  );
  assertEquals(request.readBit(0), -ENODEV);
  assertEquals(request.writeBit(0, 1), -ENODEV);
  assertEquals(request.readEvents(new EdgeEventBatch(1)), -ENODEV);
  request.close();
  chip.close();
  await sim.plug();
});

Deno.test("requests and chips leave no fd behind", async () => {
  await using sim = await simChip({ lines: 4 });
  const before = openFds();
  for (let i = 0; i < 20; i++) {
    using chip = openChip(sim.name);
    using _one = chip.requestLines({ lines: [{ offset: 0 }] });
    using _two = chip.requestLines({ lines: [{ offsets: [1, 2] }] });
  }
  assertEquals(openFds(), before);
});
