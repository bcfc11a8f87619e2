import { assert, assertEquals } from "@std/assert";
import { fileStatus, readSmallFile } from "../../ffi/files.ts";
import { Guardian } from "./guardian.ts";
import { isAlive, type ProcessIdentity } from "./process_identity.ts";
import { until } from "./until.ts";

const MAKER = `
  import { Guardian } from "${import.meta.resolve("./guardian.ts")}";
  const guardian = Guardian.start(...Deno.args);
  console.log(JSON.stringify(guardian.identity));
  setTimeout(() => guardian, 60_000);
`;

/** Whether a process ignores signal number `signal`. */
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

Deno.test("A guardian that is disposed does nothing and is gone", async () => {
  await using it = await rig();
  const guardian = Guardian.start(it.record, it.configfs);
  assert(isAlive(guardian.identity));
  await guardian[Symbol.asyncDispose]();
  assertEquals(isAlive(guardian.identity), false);
  assert(fileStatus(`${it.configfs}/line0`) !== undefined);
  assert(fileStatus(it.record) !== undefined);
});

/** Starts a maker of a guardian: this process must not die. */
async function startMaker(record: string, configfs: string) {
  const maker = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", MAKER, record, configfs],
    stdout: "piped",
    stdin: "null",
  }).spawn();
  const reader = maker.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const { value = "" } = await reader.read();
  return {
    guardian: JSON.parse(value) as ProcessIdentity,
    kill: async () => {
      maker.kill("SIGKILL");
      await maker.status;
      await reader.cancel();
    },
  };
}

Deno.test("A guardian ignores the signals that are meant for its maker, and acts when the maker is killed", async () => {
  await using it = await rig();
  const { guardian, kill } = await startMaker(it.record, it.configfs);
  // The script sets its traps first of all; before, signals do end it.
  assert(await until(() => ignores(guardian.pid, 15), 5000));
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    Deno.kill(guardian.pid, signal);
  }
  await kill();
  assert(await until(() => fileStatus(it.record) === undefined, 2000));
  // In configfs the attributes go with their directory; here one is left over.
  assert(fileStatus(`${it.configfs}/line0`) === undefined);
  assertEquals(await Deno.readTextFile(`${it.configfs}/live`), "0\n");
  assert(await until(() => !isAlive(guardian), 2000));
});

Deno.test("A guardian takes a chip in configfs down though its record is gone", async () => {
  await using it = await rig();
  const { guardian, kill } = await startMaker(`${it.record}/no`, it.configfs);
  await kill();
  assert(await until(() => !isAlive(guardian), 2000));
  assert(fileStatus(`${it.configfs}/line0`) === undefined);
  assert(fileStatus(it.record) !== undefined);
});

Deno.test("A guardian whose maker has done it all does nothing", async () => {
  await using it = await rig();
  const configfs = `${it.configfs}/no`;
  for (const directory of [configfs, ""]) {
    const { guardian, kill } = await startMaker(`${it.record}/no`, directory);
    await kill();
    assert(await until(() => !isAlive(guardian), 2000));
    assert(fileStatus(configfs) === undefined);
  }
  assert(fileStatus(`${it.configfs}/line0`) !== undefined);
  assert(fileStatus(it.record) !== undefined);
});
