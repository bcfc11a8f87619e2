/**
 * `gpioagg kernel list`, `gc` and `cdi` beside a container that shares the
 * directory of records, and plants there what it likes: each ends, and none acts
 * on what it finds.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { identifyProcess } from "../../src/kernel_chip/process_identity.ts";
import { leaseFile } from "../doubles/leased_file.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { mustIgnore } from "../doubles/skipped.ts";

/** More than any of the commands waits for others, on a slow machine. */
const LIMIT_MS = 120_000;
const ID = "plc0.0123456789abcdef";

/** Changing what `/run` is takes rights that only root has. */
const { success: hasMounts } = await new Deno.Command("unshare", {
  args: ["--mount", "true"],
  stderr: "null",
}).output().catch(() => ({ success: false }));
const noMounts = mustIgnore(
  hasMounts ? undefined : "unshare --mount needs root",
);

/** A directory that is `/run` for the commands. */
async function runtimeDirectory() {
  const path = await Deno.makeTempDir({ prefix: "gpioagg-run-" });
  const records = `${path}/gpioagg/kernel-chips`;
  await Deno.mkdir(`${records}/${ID}`, { recursive: true, mode: 0o755 });
  return {
    records,
    record: `${records}/${ID}/record.json`,
    /** Runs a command to its end. */
    async call(...args: string[]) {
      await using process = new ChildProcess({
        command: "unshare",
        args: [
          ...["--mount", "sh", "-c"],
          'mount --bind "$1" /run && shift && exec "$@"',
          ...["sh", path, PROGRAM_FILE, ...PROGRAM, ...args],
        ],
      });
      const { code } = await process.waitForExit({ timeoutMs: LIMIT_MS });
      const { stdout, stderr } = process;
      return { code, stdout, stderr };
    },
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** A record whose maker and guardian is this process, dead by all accounts. */
function lyingRecord(): string {
  const self = { ...identifyProcess(Deno.pid)!, bootId: "another" };
  return JSON.stringify({
    name: "plc0",
    id: ID,
    interface: "sysfs",
    maker: self,
    guardian: identifyProcess(Deno.pid),
    isDetached: false,
    lines: [],
    path: "/dev/gpiochip9",
  });
}

const LIST = ["kernel", "list"] as const;
const GC = ["kernel", "gc"] as const;
const CDI = ["cdi", "--kernel-only"] as const;
/** Their exit codes without a chip, and what they say. */
const WITHOUT_CHIP = [
  [LIST, 0, ""],
  [GC, 0, "no chip was left over"],
  [CDI, 1, "There is no aggregator to describe"],
] as const;

for (
  const [what, plant] of [
    ["a FIFO", (path) => shell('mkfifo "$1"', path)],
    [
      "a link to a FIFO",
      (path) => shell('mkfifo "$1.fifo" && ln -s record.json.fifo "$1"', path),
    ],
    ["an endless file", (path) => shell('ln -s /dev/zero "$1"', path)],
    ["a file of 10 GB", (path) => shell('truncate -s 10G "$1"', path)],
    ["a leased file", (path) => {
      Deno.writeTextFileSync(path, lyingRecord());
      return leaseFile(path);
    }],
  ] as const satisfies readonly [
    string,
    (path: string) => Disposable | undefined,
  ][]
) {
  Deno.test({
    name: `kernel list, gc and cdi end although a record is ${what}`,
    ignore: noMounts,
    fn: async () => {
      await using run = await runtimeDirectory();
      using _planted = plant(run.record);
      for (const [command, expected, says] of WITHOUT_CHIP) {
        const { code, stdout, stderr } = await run.call(...command);
        assertEquals(code, expected, stderr);
        assertStringIncludes(stdout + stderr, says);
      }
    },
  });
}

/** Runs a line of shell with `path` as `$1`. */
function shell(line: string, path: string): undefined {
  const { success } = new Deno.Command("sh", { args: ["-c", line, "sh", path] })
    .outputSync();
  assert(success, line);
}

Deno.test({
  name: "kernel gc ends no process by a record that names it",
  ignore: noMounts,
  fn: async () => {
    await using run = await runtimeDirectory();
    await using victim = new ChildProcess({
      command: "sleep",
      args: ["600"],
    });
    const record = JSON.parse(lyingRecord());
    record.guardian = identifyProcess(victim.pid);
    await Deno.writeTextFile(run.record, JSON.stringify(record));
    await run.call(...GC);
    assertEquals(victim.status, undefined);
    assertEquals(identifyProcess(victim.pid), record.guardian);
  },
});

Deno.test({
  name:
    "a lock that is held hangs neither kernel list nor cdi, and gc gives up",
  ignore: noMounts,
  fn: async () => {
    await using run = await runtimeDirectory();
    using lock = await Deno.open(`${run.records}/lock`, {
      create: true,
      write: true,
      mode: 0o600,
    });
    await lock.lock(true);
    for (const [command, expected] of [[LIST, 0], [CDI, 1]] as const) {
      const { code, stderr } = await run.call(...command);
      assertEquals(code, expected, stderr);
    }
    const { code, stderr } = await run.call(...GC);
    assertEquals(code, 1);
    assertStringIncludes(
      stderr,
      `process ${Deno.pid} (deno) keeps them locked`,
    );
  },
});
