/** Chips, line info and lookup of src/gpio, on simulated chips. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  Chip,
  findChip,
  findLines,
  isOsError,
  LineError,
  listChips,
  openChip,
} from "../../mod.ts";
import { O_PATH, openFile } from "../../ffi/files.ts";
import { changeMode } from "../../ffi/directory.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { simChip } from "./gpio_sim.ts";

const number = (chip: SimChip) => Number(chip.name.slice("gpiochip".length));

Deno.test("Chip.open() takes a number, a name, a path and a link", async () => {
  await using sim = await simChip({ lines: 3, label: "opened" });
  const directory = await Deno.makeTempDir();
  try {
    await Deno.symlink(sim.path, `${directory}/relays`);
    const keys = [
      number(sim),
      String(number(sim)),
      sim.name,
      sim.path,
      `${directory}/relays`,
    ];
    for (const key of keys) {
      using chip = Chip.open(key);
      assertEquals(
        [chip.path, chip.name, chip.label, chip.lineCount],
        [sim.path, sim.name, "opened", 3],
        `${key}`,
      );
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("openChip() takes a label, and says when it is ambiguous", async () => {
  await using one = await simChip({ lines: 1, label: "unique" });
  await using two = await simChip({ lines: 2, label: "shared" });
  await using three = await simChip({ lines: 3, label: "shared" });
  using chip = openChip("unique");
  assertEquals(chip.path, one.path);
  assertEquals(findChip("unique"), one.path);
  const error = assertThrows(() => openChip("shared"), LineError);
  assertEquals(
    error.message,
    `Cannot find the chip labelled "shared": the label is that of ${two.name} and ${three.name}; say which by name`,
  );
});

Deno.test("openChip() takes a label that is another device's name", async () => {
  await using sim = await simChip({ lines: 1, label: "console" });
  using chip = openChip("console");
  assertEquals(chip.path, sim.path);
});

Deno.test("openChip() of a chip that is not there names those that are", async () => {
  await using sim = await simChip({ lines: 1 });
  const error = assertThrows(() => openChip("gpiochip4000"), LineError);
  assert(error.message.includes(sim.name), error.message);
});

Deno.test("Chip.open() tells a forbidden chip from a busy one", async () => {
  await using sim = await simChip({ lines: 1 });
  using node = openFile(sim.path, O_PATH);
  changeMode(node, 0);
  // Root without the capability obeys the permission bits like anybody.
  const child = new Deno.Command("setpriv", {
    args: [
      "--bounding-set=-dac_override,-dac_read_search",
      Deno.execPath(),
      "run",
      "--no-check",
      "--cached-only",
      "--allow-ffi",
      "--allow-read",
      new URL("open_chip.ts", import.meta.url).pathname,
      sim.name,
    ],
    env: { NO_COLOR: "1" },
  });
  const { stdout, stderr } = await child.output();
  assertEquals(new TextDecoder().decode(stderr), "");
  assertEquals(
    new TextDecoder().decode(stdout),
    `LineError EACCES Cannot open ${sim.path}: permission denied (EACCES): the file is for user 0 and group 0 (mode 0000)\n`,
  );
});

Deno.test("listChips() is in natural order and leaves links out", async () => {
  await using stack = new AsyncDisposableStack();
  for (let i = 0; i < 11; i++) stack.use(await simChip({ lines: 1 }));
  await Deno.symlink("/dev/gpiochip0", "/dev/gpiochip99");
  stack.defer(() => Deno.remove("/dev/gpiochip99"));
  const numbers = listChips().map((path) =>
    Number(path.slice("/dev/gpiochip".length))
  );
  assert(numbers.length >= 11);
  assert(!numbers.includes(99));
  assertEquals(numbers, numbers.toSorted((a, b) => a - b));
});

Deno.test("Chip.lineInfo() tells all about a line", async () => {
  await using sim = await simChip({
    lines: 4,
    names: { 1: "LED0" },
    hogs: { 2: "kernel-hog" },
  });
  using chip = openChip(sim.name);
  assertEquals(chip.lineInfo(1), {
    offset: 1,
    name: "LED0",
    consumer: "",
    used: false,
    direction: "input",
    activeLow: false,
    bias: "as-is",
    drive: "push-pull",
    edge: "none",
    eventClock: "monotonic",
    debouncePeriodUs: 0,
  });
  using _request = chip.requestLines({
    consumer: "a consumer with a name that is too long",
    lines: [{
      offset: 1,
      settings: {
        direction: "input",
        activeLow: true,
        bias: "pull-up",
        edge: "both",
        eventClock: "realtime",
        debouncePeriodUs: 2000,
      },
    }],
  });
  assertEquals(chip.lineInfo(1), {
    offset: 1,
    name: "LED0",
    consumer: "a consumer with a name that is ",
    used: true,
    direction: "input",
    activeLow: true,
    bias: "pull-up",
    drive: "push-pull",
    edge: "both",
    eventClock: "realtime",
    debouncePeriodUs: 2000,
  });
  const hog = chip.lineInfo(2);
  assertEquals([hog.used, hog.consumer], [true, "kernel-hog"]);
  assertEquals(chip.lines().map(({ offset }) => offset), [0, 1, 2, 3]);
  assertThrows(
    () => chip.lineInfo(4),
    LineError,
    `Cannot look up line 4 of ${chip.name}: its lines are 0 to 3`,
  );
  assertThrows(() => chip.lineInfo(-1), LineError, "line -1");
  assertThrows(() => chip.lineInfo(1.5), LineError, "line 1.5");
});

Deno.test("Chip that was closed says so, also twice", async () => {
  await using sim = await simChip({ lines: 1 });
  const chip = openChip(sim.name);
  chip.close();
  chip.close();
  assertThrows(
    () => chip.lineInfo(0),
    LineError,
    `Cannot use ${sim.name}: it was closed`,
  );
  assertThrows(() => chip.readInfoEvents(), LineError, "it was closed");
  assertThrows(() => chip.infoEvents(), LineError, "it was closed");
});

Deno.test("Chip of a device that is unplugged says that it is gone", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.name);
  await sim.unplug();
  const error = assertThrows(() => chip.lineInfo(0), LineError);
  assertEquals(
    error.message,
    `Cannot look up line 0 of ${sim.name}: the device is gone (ENODEV)`,
  );
  assert(isOsError(error.cause, "ENODEV"));
  chip.close();
  await sim.plug();
});

Deno.test("findLines() finds names in all chips, in natural order", async () => {
  await using one = await simChip({
    lines: 4,
    names: { 0: "a-only", 3: "both" },
  });
  await using two = await simChip({
    lines: 4,
    names: { 1: "both", 2: "b-only" },
  });
  const seen = (names: string | string[], options = {}) =>
    findLines(names, options).map(({ name, chipName, offset }) =>
      `${name} ${chipName} ${offset}`
    );
  assertEquals(seen("both"), [`both ${one.name} 3`, `both ${two.name} 1`]);
  assertEquals(seen(["b-only", "both", "a-only"]), [
    `a-only ${one.name} 0`,
    `both ${one.name} 3`,
    `both ${two.name} 1`,
    `b-only ${two.name} 2`,
  ]);
  assertEquals(seen("both", { chip: two.name }), [`both ${two.name} 1`]);
  assertEquals(seen(["b-only", "a-only"], { strict: true }), [
    `b-only ${two.name} 2`,
    `a-only ${one.name} 0`,
  ]);
  const [found] = findLines("a-only");
  assertEquals([found?.chipPath, found?.info.name], [one.path, "a-only"]);
});

Deno.test("findLines() with strict refuses what is ambiguous or absent", async () => {
  await using one = await simChip({
    lines: 2,
    names: { 0: "same", 1: "same" },
  });
  await using two = await simChip({ lines: 1, names: { 0: "same" } });
  assertThrows(
    () => findLines("same", { strict: true }),
    LineError,
    `Cannot find line "same": the name is that of line 0 of ${one.name} and line 1 of ${one.name} and line 0 of ${two.name}`,
  );
  assertEquals(
    findLines("same", { strict: true, chip: two.name }).length,
    1,
  );
  assertThrows(
    () => findLines("other", { strict: true, chip: two.name }),
    LineError,
    `chip ${two.name} has no line of that name`,
  );
  assertEquals(findLines(""), [], "no name is no line's name");
});
