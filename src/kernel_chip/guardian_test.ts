import { assert, assertEquals, assertRejects } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { type GuardedChip, Guardian } from "./guardian.ts";
import { isAlive, type ProcessIdentity } from "./process_identity.ts";
import { waitUntil } from "../async/wait.ts";

/** For what takes no time on a machine at rest. */
const LIMIT_MS = 30_000;

const MAKER = `
  import { Guardian } from "${import.meta.resolve("./guardian.ts")}";
  const guardians = [];
  for (const { record, configfs, told } of JSON.parse(Deno.args[0])) {
    const guardian = Guardian.start(record, configfs || undefined);
    if (told !== undefined) await guardian.report(told);
    guardians.push(guardian);
  }
  console.log(JSON.stringify(guardians.map(({ identity }) => identity)));
  setTimeout(() => guardians, 60_000);
`;

/** Returns true if a process ignores signal number `signal`. */
function ignores(pid: number, signal: number): boolean {
  const status = readSmallFile(`/proc/${pid}/status`) ?? "";
  const mask = BigInt(`0x${/SigIgn:\s*(\w+)/.exec(status)?.[1] ?? "0"}`);
  return (mask >> BigInt(signal - 1) & 1n) === 1n;
}

/** A directory that looks like a chip in configfs, and a record of it. */
async function rig() {
  const directory = await Deno.makeTempDir();
  const configfs = `${directory}/configfs`;
  const record = `${directory}/record`;
  await Deno.mkdir(`${configfs}/line0`, { recursive: true });
  await Deno.mkdir(record);
  await Deno.writeTextFile(`${record}/record.json`, "{}");
  return {
    configfs,
    record,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Returns true if a guardian, or its second process, exists. */
function hasGroup({ pid }: ProcessIdentity): boolean {
  try {
    Deno.kill(-pid, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

testSerially(
  "A guardian that is disposed does nothing and is gone",
  async () => {
    await using it = await rig();
    const guardian = Guardian.start(it.record, it.configfs);
    assert(isAlive(guardian.identity));
    await guardian[Symbol.asyncDispose]();
    assertEquals(isAlive(guardian.identity), false);
    assert(await waitUntil(() => !hasGroup(guardian.identity), LIMIT_MS));
    assert(fileStatus(`${it.configfs}/line0`) !== undefined);
    assert(fileStatus(it.record) !== undefined);
  },
);

/** Place of a chip, and what its guardian is told of it. */
interface Guarded {
  readonly record: string;
  readonly configfs: string;
  readonly told?: GuardedChip;
}

/** Starts a maker of guardians: this process must not die. */
async function startMaker(...guarded: readonly Guarded[]) {
  const maker = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", MAKER, JSON.stringify(guarded)],
    stdout: "piped",
    stdin: "null",
  }).spawn();
  const reader = maker.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  return {
    guardians: JSON.parse(value) as ProcessIdentity[],
    kill: async () => {
      maker.kill("SIGKILL");
      await maker.status;
      await reader.cancel();
    },
  };
}

/** Returns true if a directory is gone, or goes soon. */
function goes(path: string): Promise<boolean> {
  return waitUntil(() => fileStatus(path) === undefined, LIMIT_MS);
}

testSerially(
  "A guardian ignores the signals that are meant for its maker, and acts when the maker is killed",
  async () => {
    await using it = await rig();
    const { guardians, kill } = await startMaker({ ...it, told: "group" });
    const guardian = guardians[0]!;
    // The script sets its traps first of all; before, signals do end it.
    assert(await waitUntil(() => ignores(guardian.pid, 15), LIMIT_MS));
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      Deno.kill(guardian.pid, signal);
    }
    await kill();
    assert(await goes(`${it.configfs}/line0`));
    assert(await waitUntil(() => !isAlive(guardian), LIMIT_MS));
    // In configfs the attributes go with their directory; here one is left over.
    assertEquals(await Deno.readTextFile(`${it.configfs}/live`), "0\n");
    // So the chip is there as far as can be seen: gc needs the record.
    assert(fileStatus(it.record) !== undefined);
  },
);

testSerially(
  "A guardian that is stopped is continued once its maker is dead, and leaves no process",
  async () => {
    await using before = await rig();
    await using after = await rig();
    // It waits there until the file has a reader.
    const live = `${after.configfs}/live`;
    await new Deno.Command("mkfifo", { args: [live] }).output();
    const { guardians, kill } = await startMaker(
      { ...before, told: "group" },
      { ...after, told: "group" },
    );
    for (const { pid } of guardians) {
      assert(await waitUntil(() => ignores(pid, 15), LIMIT_MS));
    }
    const [first, second] = guardians as [ProcessIdentity, ProcessIdentity];
    Deno.kill(first.pid, "SIGSTOP");
    await kill();
    assert(await goes(`${before.configfs}/line0`));
    Deno.kill(second.pid, "SIGSTOP");
    using _reader = await Deno.open(live, { read: true, write: true });
    assert(await goes(`${after.configfs}/line0`));
    for (const guardian of guardians) {
      assert(await waitUntil(() => !hasGroup(guardian), LIMIT_MS));
    }
  },
);

testSerially("A guardian removes the record of what is gone", async () => {
  await using it = await rig();
  await using other = await rig();
  const gone = { device: "gpio-aggregator.4711", inode: "1" };
  const { kill } = await startMaker(
    { record: it.record, configfs: `${it.configfs}/no`, told: "group" },
    { record: other.record, configfs: "", told: gone },
  );
  await kill();
  for (const { record } of [it, other]) assert(await goes(record));
});

testSerially(
  "A guardian takes a chip in configfs down though its record is gone",
  async () => {
    await using it = await rig();
    const { configfs } = it;
    const { guardians, kill } = await startMaker(
      { record: `${it.record}/no`, configfs, told: "group" },
    );
    await kill();
    assert(await waitUntil(() => !isAlive(guardians[0]!), LIMIT_MS));
    assert(fileStatus(`${it.configfs}/line0`) === undefined);
    assert(fileStatus(it.record) !== undefined);
  },
);

testSerially(
  "A guardian that was told of nothing ends nothing but an empty group",
  async () => {
    await using it = await rig();
    await using hidden = await rig();
    await using empty = await rig();
    const group = `${empty.configfs}/line0`;
    const { guardians, kill } = await startMaker(
      it,
      { record: hidden.record, configfs: "" },
      { record: empty.record, configfs: group },
    );
    await kill();
    for (const guardian of guardians) {
      assert(await waitUntil(() => !isAlive(guardian), LIMIT_MS));
    }
    for (const { configfs, record } of [it, hidden]) {
      assert(fileStatus(`${configfs}/live`) === undefined);
      assert(fileStatus(`${configfs}/line0`) !== undefined);
      // What the kernel may have made by now is found by it.
      assert(fileStatus(record) !== undefined);
    }
    assert(await goes(empty.record));
    assert(fileStatus(group) === undefined);
  },
);

testSerially("A guardian that has ended is told of nothing", async () => {
  await using it = await rig();
  await using guardian = Guardian.start(it.record, it.configfs);
  Deno.kill(guardian.identity.pid, "SIGKILL");
  assert(await waitUntil(() => !isAlive(guardian.identity), LIMIT_MS));
  await assertRejects(() => guardian.report("group"), Error, "has ended");
});
