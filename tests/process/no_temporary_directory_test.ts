/** Commands on a machine whose temporary directory cannot be used. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { sleep } from "../../src/async/wait.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { mustIgnore } from "../doubles/skipped.ts";

/** Runs a command in a mount namespace in which `hide` cannot be written. */
async function callWithout(
  hide: readonly string[],
  args: readonly string[],
): Promise<{ code: number; stdout: string; stderr: string }> {
  const mounts = hide.map((path) =>
    `mount -t tmpfs -o size=4k,mode=755 none ${path} && ` +
    `mount -o remount,ro,bind ${path}`
  );
  await using process = new ChildProcess({
    command: "unshare",
    args: [
      "--mount",
      "sh",
      "-c",
      [...mounts, 'exec "$@"'].join(" && "),
      "sh",
      PROGRAM_FILE,
      ...PROGRAM,
      ...args,
    ],
    env: { TMPDIR: "/dev/null/none", XDG_RUNTIME_DIR: "/dev/null/none" },
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  return { code, stdout: process.stdout, stderr: process.stderr };
}

/** Mounting takes rights that only root has. */
const { success: hasMounts } = await new Deno.Command("unshare", {
  args: ["--mount", "true"],
  stderr: "null",
}).output().catch(() => ({ success: false }));
const noMounts = mustIgnore(
  hasMounts ? undefined : "unshare --mount needs root",
);

Deno.test("safe needs no directory", async () => {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      "safe",
      "sim/1,direction=output,safe=1",
      "--line",
      "sim/1,direction=output,safe=0",
    ],
    env: { TMPDIR: "/dev/null/none", XDG_RUNTIME_DIR: "/dev/null/none" },
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  assertEquals([code, process.stdout, process.stderr], [0, "", ""]);
});

Deno.test("safe refuses lines that have no safe state, and no lines", async () => {
  for (
    const [args, says] of [
      [["sim/1"], "has no safe state"],
      [[], "missing SPEC"],
    ] as const
  ) {
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "safe", ...args],
    });
    const { code } = await process.waitForExit({ timeoutMs: 120_000 });
    assertEquals(code, 2);
    assertStringIncludes(process.stderr, says);
    assertStringIncludes(process.stderr, "safe=0");
  }
});

Deno.test("run takes another directory where there is no temporary one", async () => {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "run", "--line", "sim/1", "--", "echo", "{socket}"],
    env: { TMPDIR: "/dev/null/none", XDG_RUNTIME_DIR: "/dev/null/none" },
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  assertEquals(code, 0, process.stderr);
  assertMatch(process.stdout, /^\/(run|dev\/shm)\/gpioagg-run-/);
});

Deno.test({
  name: "run says which directories cannot be used, and what to do",
  ignore: noMounts,
  fn: async () => {
    const { code, stderr } = await callWithout(["/run", "/dev/shm"], [
      ...["run", "--line", "sim/1", "--", "echo", "{socket}"],
    ]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "Cannot make a directory for private sockets");
    assertStringIncludes(stderr, "Read-only file system");
    assertStringIncludes(stderr, "Set TMPDIR");
  },
});

Deno.test({
  name:
    "man prints a page's source without a directory, or a man that shows it",
  ignore: noMounts,
  fn: async () => {
    const hidden = await callWithout(["/run", "/dev/shm"], ["man", "safe"]);
    assertEquals([hidden.code, hidden.stderr], [0, ""]);
    assertMatch(hidden.stdout, /^\.TH GPIOAGG-SAFE 1 /);
    const directory = await Deno.makeTempDir();
    try {
      // BusyBox' own.
      await Deno.writeTextFile(
        `${directory}/man`,
        "#!/bin/sh\necho 'man: invalid option' >&2\nexit 1\n",
        { mode: 0o755 },
      );
      await using process = new ChildProcess({
        command: PROGRAM_FILE,
        args: [...PROGRAM, "man", "safe"],
        env: { PATH: directory },
      });
      const { code } = await process.waitForExit({ timeoutMs: 120_000 });
      assertEquals([code, process.stderr], [0, ""]);
      assertEquals(process.stdout, hidden.stdout);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

Deno.test("demo leaves no directory when a signal ends it", async () => {
  for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
    const directory = await Deno.makeTempDir();
    try {
      await using process = new ChildProcess({
        command: PROGRAM_FILE,
        args: [...PROGRAM, "demo"],
        env: { TMPDIR: directory },
      });
      for (let i = 0; i < 30_000; i++) {
        if (listDirectory(directory).length > 0) break;
        await sleep(1);
      }
      process.kill(signal);
      const end = await process.waitForExit({ timeoutMs: 120_000 });
      assertEquals([end.code, listDirectory(directory)], [code, []]);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
});
