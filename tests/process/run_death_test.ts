/** Promises about a VM and its lines when `gpioagg run` dies. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import {
  findGuardian,
  isRunning,
  startRun,
  waiting,
  withDirectory,
} from "./run_rig.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { openSockets, readLinks } from "../doubles/open_sockets.ts";
import { mustIgnore } from "../doubles/skipped.ts";

Deno.test("when gpioagg is killed its VM is ended, by force if need be", async () => {
  for (const trap of ["trap 'exit 0' TERM", "trap '' TERM"]) {
    await using run = await startRun(["--line", "sim/1,safe=0"], [
      "sh",
      "-c",
      `echo pid $$ {socket}; ${waiting(trap)}`,
    ]);
    const [, pid, socket] = await run.waitFor(/pid (\d+) (\S+)/);
    await run.waitFor("started");
    assert(isRunning(Number(pid)));
    run.kill("SIGKILL");
    await until("the VM's end", () => !isRunning(Number(pid)));
    for (
      const text of [
        `run has died; its VM (process ${pid}) is ended`,
        "its lines were simulated, and have ended with it",
      ]
    ) await until(text, () => run.stderr.includes(text));
    const directory = socket!.slice(0, socket!.lastIndexOf("/"));
    await until(
      "no private directory",
      () => fileStatus(directory) === undefined,
    );
  }
});

Deno.test("a VM and its guardian get no socket of gpioagg's", async () => {
  await using run = await startRun(["--line", "sim/1"], [
    ...["sh", "-c", `echo pid $$; ${waiting("trap 'exit 0' TERM")}`],
    "{socket}",
  ]);
  const [, pid] = await run.waitFor(/pid (\d+)/);
  await run.waitFor("started");
  const ours = openSockets(readLinks(run.pid));
  // The aggregator's, and its control socket.
  assert(ours.size >= 2, `${ours.size} sockets`);
  for (const child of [Number(pid), findGuardian(run.pid)!]) {
    const theirs = readLinks(child);
    assert(theirs !== "");
    assertEquals(openSockets(theirs).intersection(ours), new Set());
  }
});

Deno.test("a guardian that is killed is followed by one that knows the VM, also if it stands still", async () => {
  await using run = await startRun(["--line", "sim/1"], [
    "sh",
    "-c",
    `echo pid $$; ${waiting("trap 'exit 0' TERM")}`,
    "{socket}",
  ]);
  const [, pid] = await run.waitFor(/pid (\d+)/);
  await run.waitFor("started");
  const first = findGuardian(run.pid)!;
  Deno.kill(first, "SIGKILL");
  await until("another guardian", () => {
    const next = findGuardian(run.pid);
    return next !== undefined && next !== first;
  });
  assert(run.stderr.includes("guardian was killed"), run.stderr);
  await until("the end of its group", () => !hasGroup(first));
  assert(isRunning(Number(pid)));
  // Where the kernel can tell it: without setpriv it would stand still for ever.
  if (hasSetpriv) await stop(findGuardian(run.pid)!);
  run.kill("SIGKILL");
  await until("the VM's end", () => !isRunning(Number(pid)));
  const says = `its VM (process ${pid}) is ended`;
  await until(says, () => run.stderr.includes(says));
});

Deno.test("a guardian that is stopped is continued, before and after its run is killed", async () => {
  await using run = await startRun(["--line", "sim/1"], [
    "sh",
    "-c",
    `echo pid $$ {socket}; ${waiting("trap '' TERM")}`,
  ]);
  const [, pid, socket] = await run.waitFor(/pid (\d+) (\S+)/);
  await run.waitFor("started");
  const guardian = findGuardian(run.pid)!;
  await stop(guardian);
  const continued = "guardian was stopped: it is continued";
  await until(continued, () => run.stderr.includes(continued));
  run.kill("SIGKILL");
  const died = "run has died";
  await until(died, () => run.stderr.includes(died));
  Deno.kill(guardian, "SIGSTOP");
  // By the guardian alone: this VM ignores the kernel's SIGTERM.
  await until("the VM's end", () => !isRunning(Number(pid)));
  const directory = socket!.slice(0, socket!.lastIndexOf("/"));
  await until(
    "no private directory",
    () => fileStatus(directory) === undefined,
  );
  await until("the end of its group", () => !hasGroup(guardian));
});

/** Returns true if processes of this group exist. */
function hasGroup(group: number): boolean {
  try {
    Deno.kill(-group, "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

/** Stops a guardian, once it has come to wait. */
async function stop(guardian: number): Promise<void> {
  const words = () => readSmallFile(`/proc/${guardian}/cmdline`) ?? "";
  // Until then it is the shell and the program that tie it to its run.
  await until(
    "the guardian itself",
    () => words() !== "" && !words().includes("setpriv"),
  );
  Deno.kill(guardian, "SIGSTOP");
}

/** Kills a `run` and its guardian before another one can be started. */
async function killBoth(run: ChildProcess): Promise<void> {
  const guardian = findGuardian(run.pid)!;
  Deno.kill(guardian, "SIGKILL");
  run.kill("SIGKILL");
  await run.waitForExit();
  await until("the guardian's end", () => !isRunning(guardian));
}

/** No back end answers at the socket: the VM's device is dead. */
function checkDead(socket: string): void {
  let refused = "";
  try {
    new ControlClient(defaultControlPath(socket))[Symbol.dispose]();
  } catch (error) {
    refused = String(error);
  }
  assert(refused.includes("ECONNREFUSED"), refused);
}

/** Presence of the program that ties a VM to its run. */
const { success: hasSetpriv } = await new Deno.Command("sh", {
  args: ["-c", "setpriv --pdeathsig TERM true"],
  stderr: "null",
}).output();

const SAYS_PID = `echo pid $$; ${waiting("trap 'exit 0' TERM")}`;

Deno.test({
  name: "when run is killed together with its guardian, the kernel ends the VM",
  ignore: mustIgnore(
    hasSetpriv ? undefined : "setpriv, of util-linux, is not installed",
  ),
  fn: () =>
    withDirectory(async (directory) => {
      const socket = `${directory}/vm.sock`;
      const args = ["--socket-path", socket, "--line", "sim/1"];
      await using run = await startRun(args, ["sh", "-c", SAYS_PID]);
      const [, pid] = await run.waitFor(/pid (\d+)/);
      await run.waitFor("started");
      await killBoth(run);
      await until("the VM's end", () => !isRunning(Number(pid)));
      checkDead(socket);
    }),
});

Deno.test("without setpriv a VM runs on then, without its lines, as --help says", () =>
  withDirectory(async (directory) => {
    await using help = await startRun(["--help"], ["true"]);
    await help.waitForExit();
    assertStringIncludes(
      help.stdout,
      "If both are killed at once, no process is",
    );
    const socket = `${directory}/vm.sock`;
    for (const program of ["sh", "sleep"]) {
      const [path] = ["/bin", "/usr/bin"].map((bin) => `${bin}/${program}`)
        .filter((path) => fileStatus(path) !== undefined);
      await Deno.symlink(path!, `${directory}/${program}`);
    }
    const args = ["--socket-path", socket, "--line", "sim/1"];
    await using run = await startRun(args, ["sh", "-c", SAYS_PID], {
      env: { PATH: directory },
    });
    const [, pid] = await run.waitFor(/pid (\d+)/);
    await run.waitFor("started");
    const vm = Number(pid);
    try {
      await killBoth(run);
      assert(isRunning(vm));
      checkDead(socket);
    } finally {
      Deno.kill(vm, "SIGKILL");
    }
  }));

Deno.test("the guardian is there before the lines are taken", () =>
  withDirectory(async (directory) => {
    // Whether it was cannot be seen each time: this process may have to wait
    // for its turn just then. Were it there later, it would never be seen.
    for (let attempt = 0;; attempt++) {
      const socket = `${directory}/${attempt}.sock`;
      await using run = await startRun(
        ["--socket-path", socket, "--line", "sim/1"],
        ["sh", "-c", SAYS_PID],
      );
      while (findGuardian(run.pid) === undefined) {
        if (run.status !== undefined) throw new Error(run.stderr);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      run.kill("SIGKILL");
      await run.waitForExit();
      if (fileStatus(socket) === undefined) return;
      assert(attempt < 10, "the socket was there first, each time");
    }
  }));

Deno.test("the guardian is there until the lines are let go", () =>
  withDirectory(async (directory) => {
    const socket = `${directory}/vm.sock`;
    await using run = await startRun(
      ["--socket-path", socket, "--line", "sim/1"],
      ["sh", "-c", SAYS_PID],
    );
    const [, pid] = await run.waitFor(/pid (\d+)/);
    await run.waitFor("started");
    const guardian = findGuardian(run.pid)!;
    Deno.kill(Number(pid), "SIGTERM");
    // Without a pause, since the socket is there for moments only.
    const deadline = performance.now() + 10_000;
    while (fileStatus(socket) !== undefined) {
      const isThere = isRunning(guardian);
      const isServed = fileStatus(socket) !== undefined;
      assert(isThere || !isServed, "the guardian ended first");
      assert(performance.now() < deadline, "it does not end");
    }
    assertEquals((await run.waitForExit()).code, 0, run.stderr);
    assert(!isRunning(guardian));
  }));

Deno.test("a signal to a run that is just starting leaves nothing behind", () =>
  withDirectory(async (directory) => {
    for (
      const [signal, status] of [
        ["SIGTERM", 143],
        ["SIGINT", 130],
        ["SIGHUP", 129],
      ] as const
    ) {
      await using run = await startRun(
        ["--line", "sim/1", "--respawn"],
        ["sleep", "1000", "{socket}"],
        { env: { TMPDIR: directory } },
      );
      while (listDirectory(directory).length === 0) {
        if (run.status !== undefined) throw new Error(run.stderr);
        await new Promise((resolve) => setTimeout(resolve, 0));
      }
      run.kill(signal);
      const { code } = await run.waitForExit({ timeoutMs: 120_000 });
      assertEquals(listDirectory(directory), []);
      assertEquals(code, status, run.stderr);
    }
  }));

Deno.test("the guardian can make lines safe, wherever gpioagg was started", () =>
  withDirectory(async (directory) => {
    // The guardian outlives what a ChildProcess listens to.
    const log = `${directory}/log`;
    await using run = new ChildProcess({
      command: "sh",
      args: [
        ...["-c", `exec "$@" 2>${log}`, "sh", PROGRAM_FILE],
        ...PROGRAM,
        "run",
        // A chip that may be absent: it is what a host without GPIO can offer.
        ...["--line", "gpiochip99/0,safe=0,optional"],
        ...["--", "sh", "-c", SAYS_PID, "{socket}"],
      ],
      cwd: REPOSITORY,
    });
    await run.waitFor("started");
    run.kill("SIGKILL");
    const said = () => readSmallFile(log) ?? "";
    const outcome = /(its lines are|not all of its lines are) in their safe/;
    await until("the outcome", () => outcome.test(said()), 120_000);
    assertStringIncludes(said(), "gpioagg: its lines are in their safe state");
  }));

Deno.test("the guardian makes lines safe without its program's file, directory, environment or a temporary directory", () =>
  withDirectory(async (directory) => {
    const log = `${directory}/log`;
    const program = `${directory}/gpioagg`;
    const place = `${directory}/place`;
    await Deno.copyFile(PROGRAM_FILE, program);
    await Deno.mkdir(place);
    await using run = new ChildProcess({
      command: "env",
      args: [
        "-i",
        // Deno's cache: nothing is downloaded for this test.
        `HOME=${Deno.env.get("HOME") ?? "/root"}`,
        ...["sh", "-c", `exec "$@" 2>${log}`, "sh", program],
        ...PROGRAM,
        "run",
        ...["--line", "gpiochip99/0,safe=0,optional"],
        // Found although there is no PATH, as are the guardian's programs.
        ...["--", "sh", "-c", "echo started {socket}; read -r line"],
      ],
      input: true,
      cwd: place,
    });
    const [, socket] = await run.waitFor(/started (\S+)/);
    await Deno.remove(program);
    await Deno.remove(place);
    run.kill("SIGKILL");
    const said = () => readSmallFile(log) ?? "";
    const outcome = /(its lines are|not all of its lines are) in their safe/;
    await until("the outcome", () => outcome.test(said()), 120_000);
    assertStringIncludes(said(), "gpioagg: its lines are in their safe state");
    await until(
      "no private directory",
      () => fileStatus(socket!.replace(/\/[^/]*$/, "")) === undefined,
    );
  }));
