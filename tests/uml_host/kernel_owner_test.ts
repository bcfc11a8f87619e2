/**
 * Ownership of kernel chips: one of another maker is never taken down, one that
 * a dead maker left always is, whenever it died.
 */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { writeAttribute } from "../../ffi/sysfs.ts";
import {
  CONFIGFS,
  deviceMarks,
  endThroughConfigfs,
  fillGroup,
  makeGroup,
} from "../../src/kernel_chip/driver.ts";
import { endChip, takeDown } from "../../src/kernel_chip/cleanup.ts";
import { makeChip } from "../../src/kernel_chip/making.ts";
import {
  identifyProcess,
  isAlive,
} from "../../src/kernel_chip/process_identity.ts";
import {
  type ChipRecord,
  newId,
  type RecordedLine,
  Records,
} from "../../src/kernel_chip/records.ts";
import type { KernelLine } from "../../src/kernel_chip/resolve.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";
import {
  CONTAINER,
  gpioaggIn,
  type HeldChip,
  holdChip,
  holdChipIn,
  kernelCommand,
  leftovers,
  LONELY_CONTAINER,
  msUntilGone,
  startIn,
  type Wrapper,
} from "./kernel_chip_rig.ts";

const DRIVER = "/sys/bus/platform/drivers/gpio-aggregator";
const GONE_LIMIT_MS = 120_000;

/** Lines of a simulated chip, as a record has them. */
function recordLines(sim: SimChip, ...offsets: number[]): RecordedLine[] {
  return offsets.map((offset) => ({
    name: "",
    chip: sim.name,
    chipOffset: offset,
    key: "soc",
    offset,
  }));
}

function soc(): Promise<SimChip> {
  return SimChip.create(localFiles, { label: "soc", lines: 8 });
}

function makeIntent(
  lines: readonly RecordedLine[],
  through: ChipRecord["interface"],
): ChipRecord {
  return {
    name: "plc0",
    id: newId("plc0"),
    interface: through,
    maker: identifyProcess(Deno.pid)!,
    isDetached: false,
    lines,
  };
}

/** The lines of a record as the kernel is told of them. */
function wanted({ lines }: Pick<ChipRecord, "lines">): KernelLine[] {
  return lines.map((line) => ({
    ...line,
    title: `${line.key}/${line.offset}`,
    position: {},
    isNameRequested: false,
  }));
}

/** Has the kernel make a chip through sysfs, as others do. */
function foreignChip(text: string): Disposable & { device: string } {
  const before = deviceMarks();
  writeAttribute(`${DRIVER}/new_device`, text);
  const mark = deviceMarks().find((mark) => !before.includes(mark))!;
  const device = mark.split(" ")[0]!;
  return {
    device,
    [Symbol.dispose]: () => {
      if (deviceMarks().includes(mark)) {
        writeAttribute(`${DRIVER}/delete_device`, device);
      }
    },
  };
}

Deno.test("a group in configfs that another process made lives on when a maker comes upon it", async () => {
  await using sim = await soc();
  const intent = makeIntent(recordLines(sim, 0), "configfs");
  const group = `${CONFIGFS}/${intent.id}`;
  makeGroup(group);
  fillGroup(group, recordLines(sim, 1, 2));
  try {
    const records = new Records();
    using _lock = await records.lock();
    await assertRejects(
      () => makeChip(records, intent, wanted(intent), {}),
      Error,
      "another process has made it",
    );
    assertEquals(readSmallFile(`${group}/live`), "1\n");
    assertEquals(await records.list(), []);
    // As for a maker that died over it.
    records.begin(intent)[Symbol.dispose]();
    await records.write(intent);
  } finally {
    assertEquals((await kernelCommand("gc")).code, 0);
    assertEquals(readSmallFile(`${group}/live`), "1\n");
    endThroughConfigfs(group);
  }
  assertEquals(leftovers(), []);
});

Deno.test("two containers that cannot see each other make chips of one name, and each ends its own", async () => {
  await using _sim = await soc();
  await using one: HeldChip = await holdChipIn(
    LONELY_CONTAINER,
    "--line=soc/0",
  );
  await using other: HeldChip = await holdChipIn(
    LONELY_CONTAINER,
    "--line=soc/1",
  );
  // Both are the first process where they are.
  assertEquals([one.chip, other.chip].map(({ name, pid }) => [name, pid]), [
    ["agg0", 1],
    ["agg0", 1],
  ]);
  one.process.kill("SIGKILL");
  await msUntilGone(one.chip.path!, GONE_LIMIT_MS);
  assert(fileStatus(other.chip.path!) !== undefined);
  other.process.kill("SIGKILL");
  await msUntilGone(other.chip.path!, GONE_LIMIT_MS);
  await until("nothing is left", () => leftovers().length === 0);
});

Deno.test("makers in containers that share /run are known to live, and given up when they do not", async () => {
  await using _sim = await soc();
  await using inside: HeldChip = await holdChipIn(
    CONTAINER,
    ...["--line=soc/0", "--name=inside"],
  );
  await using outside: HeldChip = await holdChip(
    ...["--line=soc/1", "--name=outside"],
  );
  for (const wrapper of [[], CONTAINER]) {
    const collected = await gpioaggIn(wrapper, "kernel", "gc");
    assertEquals(collected.stdout, "no chip was left over\n");
  }
  for (const { chip } of [inside, outside]) {
    assert(fileStatus(chip.path!) !== undefined);
  }
  const listed = JSON.parse((await kernelCommand("list", "--json")).stdout);
  assertEquals(
    listed.chips.map(({ name, state, pid }: HeldChip["chip"]) => [
      name,
      state,
      pid,
    ]),
    [["inside", "held", undefined], ["outside", "held", outside.process.pid]],
  );
  const refused = await kernelCommand("remove", "inside");
  assertEquals(refused.code, 1);
  assertStringIncludes(refused.stderr, "process 1 of another PID namespace");

  // With the first process of a container everything in it dies, guardians too:
  // but not before its files are closed, which is when a guardian would act.
  const [child] = listChildren(inside.process.pid);
  const [guardian, ...others] = listChildren(child!);
  assertEquals(others, []);
  // Its second process would continue it meanwhile.
  Deno.kill(-guardian!, "SIGSTOP");
  Deno.kill(child!, "SIGKILL");
  await inside.process.waitForExit();
  assert(fileStatus(inside.chip.path!) !== undefined);
  assertEquals(
    (await kernelCommand("gc")).stdout,
    `removed inside (${inside.chip.path})\n`,
  );
  outside.process.kill("SIGTERM");
  await outside.process.waitForExit();
  assertEquals(leftovers(), []);
});

function listChildren(parent: number): number[] {
  const pids = listDirectory("/proc").map(Number);
  return pids.filter((pid) =>
    new RegExp(`^PPid:\\s*${parent}$`, "m").test(
      readSmallFile(`/proc/${pid}/status`) ?? "",
    )
  );
}

/** Makes a chip up to the point at which a maker is killed here. */
const MAKER = `
  const [intentText, step] = Deno.args;
  const load = (name) =>
    import("${import.meta.resolve("../../src/kernel_chip/")}" + name);
  const { requestThroughSysfs, deviceMarks, makeGroup } = await load("driver.ts");
  const { Guardian } = await load("guardian.ts");
  const { identifyProcess } = await load("process_identity.ts");
  const { groupPath, Records } = await load("records.ts");
  const records = new Records();
  const lock = await records.lock();
  const maker = identifyProcess(Deno.pid);
  let intent = { ...JSON.parse(intentText), maker };
  const mark = records.begin(intent);
  if (step !== "begun") {
    await records.write(intent);
    const group = intent.interface === "configfs" ? groupPath(intent) : undefined;
    const guardian = Guardian.start(records.recordPath(intent), group);
    intent = { ...intent, guardian: guardian.identity };
    if (group === undefined) intent.devicesBefore = deviceMarks();
    await records.write(intent);
    if (step === "made" && group) makeGroup(group);
    if (step === "made" && !group) requestThroughSysfs(intent.lines);
  }
  console.log(JSON.stringify(intent));
  setTimeout(() => [lock, mark], 60_000);
`;

/** Has a maker come so far, and kills it; answers its record. */
async function killedMaker(
  intent: ChipRecord,
  step: string,
): Promise<ChipRecord> {
  const maker = new Deno.Command(Deno.execPath(), {
    args: [
      ...["eval", "--quiet", "--no-check", MAKER],
      ...[JSON.stringify(intent), step],
    ],
    stdin: "null",
    stdout: "piped",
  }).spawn();
  const reader = maker.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  maker.kill("SIGKILL");
  await maker.status;
  await reader.cancel();
  const record = JSON.parse(value) as ChipRecord;
  const { guardian } = record;
  if (guardian !== undefined) {
    await until("the guardian's end", () => !isAlive(guardian));
  }
  return record;
}

/** Command prefix that hides configfs, as before Linux 6.16. */
const NO_CONFIGFS: Wrapper = [
  ...["unshare", "--mount", "/bin/sh", "-c"],
  'umount /sys/kernel/config && exec "$0" "$@"',
];

for (const wrapper of [[], NO_CONFIGFS]) {
  const where = wrapper.length === 0 ? "" : " (without configfs)";

  Deno.test(`a maker that is killed before it knows its device is outlived by the chip's record, and gc removes both${where}`, async () => {
    await using sim = await soc();
    const intent = makeIntent(recordLines(sim, 3, 1), "sysfs");
    const record = await killedMaker(intent, "made");
    assertEquals(leftovers().length, 3, leftovers().join());
    const listed = await kernelCommand("list");
    assertStringIncludes(listed.stdout, "orphaned");
    assert(fileStatus(new Records().recordPath(record)) !== undefined);
    const collected = await gpioaggIn(wrapper, "kernel", "gc");
    assertEquals(collected.stdout, "removed plc0\n", collected.stderr);
    assertEquals(leftovers(), []);
  });

  Deno.test(`gc takes no device for a dead maker's that has more lines, or was there before${where}`, async () => {
    await using sim = await soc();
    const intent = makeIntent(recordLines(sim, 3, 1), "sysfs");
    {
      await killedMaker(intent, "asking");
      using other = foreignChip("soc 3 soc 1,2");
      await gcLeaves(wrapper, other.device);
    }
    {
      using other = foreignChip("soc 3 soc 1");
      await killedMaker(intent, "asking");
      await gcLeaves(wrapper, other.device);
    }
    assertEquals(leftovers(), []);
  });
}

/** Has gc give up the record of a dead maker, and leave a device. */
async function gcLeaves(wrapper: Wrapper, device: string): Promise<void> {
  const collected = await gpioaggIn(wrapper, "kernel", "gc");
  assertEquals(collected.stdout, "removed plc0\n", collected.stderr);
  assertEquals(deviceMarks().map((mark) => mark.split(" ")[0]), [device]);
}

Deno.test("gc takes no device for a dead maker's that has its lines in another order, where the kernel shows it", async () => {
  await using sim = await soc();
  await killedMaker(makeIntent(recordLines(sim, 3, 1), "sysfs"), "asking");
  using other = foreignChip("soc 1 soc 3");
  await gcLeaves([], other.device);
});

Deno.test("a maker that is killed when it has made nothing of effect leaves nothing", async () => {
  await using sim = await soc();
  const intent = makeIntent(recordLines(sim, 3, 1), "configfs");
  await killedMaker(intent, "made");
  assertEquals(leftovers(), []);
  await killedMaker(intent, "begun");
  assertEquals((await kernelCommand("gc")).stdout, "no chip was left over\n");
  assertEquals(leftovers(), []);
});

Deno.test("a chip of the wrong lines is taken down: another chip has the label", async () => {
  await using sim = await soc();
  const lines = wanted({ lines: recordLines(sim, 0, 1) });
  for (const through of ["configfs", "sysfs"] as const) {
    // As if the label had been that of another chip.
    const intent = makeIntent(recordLines(sim, 0, 2), through);
    const records = new Records();
    using _lock = await records.lock();
    await assertRejects(
      () => makeChip(records, intent, lines, {}),
      Error,
      "does not have the requested lines",
    );
    assertEquals(leftovers(), []);
  }
});

/** Records on a disk that is full from the given write on. */
class FullRecords extends Records {
  #writes: number;

  constructor(writes: number) {
    super();
    this.#writes = writes;
  }

  override async write(record: ChipRecord): Promise<void> {
    if (this.#writes-- <= 0) throw new Error("No space left on device");
    await super.write(record);
  }
}

Deno.test("a disk that becomes full while a chip is made leaves nothing of it", async () => {
  await using sim = await soc();
  for (const through of ["configfs", "sysfs"] as const) {
    const intent = makeIntent(recordLines(sim, 0), through);
    let writes = 0;
    for (; writes < 20; writes++) {
      const records = new FullRecords(writes);
      using _lock = await records.lock();
      try {
        const made = await makeChip(records, intent, wanted(intent), {});
        await endChip(records, made.record);
        await made.guardian?.[Symbol.asyncDispose]();
        made.livenessLock[Symbol.dispose]();
        break;
      } catch (error) {
        assertStringIncludes((error as Error).message, "No space left");
      }
      assertEquals(leftovers(), [], `${through}, after ${writes} writes`);
    }
    assertEquals(writes, 5);
  }
  assertEquals(leftovers(), []);
});

Deno.test("a chip whose node cannot be given away, or does not come, is taken down", async () => {
  await using _sim = await soc();
  const powerless = ["setpriv", "--bounding-set=-chown"];
  const oldNodes = [
    ...["unshare", "--mount", "/bin/sh", "-c"],
    `d=$(mktemp -d) && cp -a /dev/gpiochip* /dev/null /dev/urandom "$d" &&
    mount --bind "$d" /dev && exec "$0" "$@"`,
  ];
  for (const through of ["configfs", "sysfs"]) {
    for (
      const [wrapper, words] of [
        [powerless, "EPERM"],
        [oldNodes, "no device node appeared in /dev"],
      ] as const
    ) {
      const outcome = await gpioaggIn(
        wrapper,
        ...["kernel", "create", "--interface", through],
        ...["--line=soc/0", "--owner=4711"],
      );
      assertEquals(outcome.code, 1, outcome.stdout);
      assertStringIncludes(outcome.stderr, words);
      assertEquals(leftovers(), []);
    }
  }
});

Deno.test("a normal user's list knows the chips of root's gpioagg", async () => {
  await using _sim = await soc();
  await using held: HeldChip = await holdChip("--line=soc/0", "--name=plc0");
  const runtime = await Deno.makeTempDir();
  await Deno.chown(runtime, 4711, 4711);
  // It may open files, and asks as root whether it may: Deno is in root's home.
  const user = [
    ...["setpriv", "--euid=4711", "--egid=4711", "--clear-groups"],
    ...["--inh-caps=+dac_override", "--ambient-caps=+dac_override"],
    ...["env", `XDG_RUNTIME_DIR=${runtime}`],
  ];
  const listed = await gpioaggIn(user, "kernel", "list", "--json");
  assertEquals(listed.code, 0, listed.stderr);
  assertEquals(JSON.parse(listed.stdout).chips, [held.chip]);
  const removed = await gpioaggIn(user, "kernel", "remove", "plc0");
  assertEquals(removed.code, 1);
  assertStringIncludes(removed.stderr, "Cannot remove plc0: it is root's");
});

Deno.test("remove names what it has removed", async () => {
  await using _sim = await soc();
  const made = await kernelCommand(
    ...["create", "--json", "--detach", "--line=soc/0", "--name=plc0"],
  );
  const { path } = JSON.parse(made.stdout);
  const removed = await kernelCommand("remove", "plc0", "plc0");
  assertEquals(removed, {
    code: 0,
    stdout: `removed plc0 (${path})\n`,
    stderr: "",
  });
  assertEquals(leftovers(), []);
});

Deno.test("remove looks at what there is when it is its turn", async () => {
  await using _sim = await soc();
  const made = await kernelCommand(
    ...["create", "--detach", "--line=soc/0", "--name=plc0"],
  );
  assertEquals(made.code, 0, made.stderr);
  const records = new Records();
  const lock = await records.lock();
  await using process = startIn([], ["kernel", "remove", "plc0"]);
  await until("its wait for the lock", () => hasOpen(process.pid, "/lock"));
  const [record] = await records.list();
  await takeDown(records, record!);
  lock[Symbol.dispose]();
  assertEquals((await process.waitForExit()).code, 1, process.stdout);
  assertStringIncludes(process.stderr, 'There is no chip "plc0"');
  assertEquals(leftovers(), []);
});

/** Returns true if a process has a file open whose path ends like that. */
function hasOpen(pid: number, end: string): boolean {
  const fds = `/proc/${pid}/fd`;
  return listDirectory(fds).some((fd) =>
    readLink(`${fds}/${fd}`)?.endsWith(`kernel-chips${end}`)
  );
}
