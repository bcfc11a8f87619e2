import { assertEquals, assertMatch } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { MortalRun } from "../../tests/doubles/mortal_run.ts";
import { hasEnded, openProcess } from "../../ffi/process.ts";
import { waitUntil } from "../async/wait.ts";
import { readSmallFile } from "../../ffi/files.ts";
import { VmGuardian } from "./guardian.ts";

/** Limit of what is only waited for. **Units**: ms. */
const LIMIT_MS = 60_000;
const LINES_LEFT = "its lines are left as they are";

interface Rig extends AsyncDisposable {
  readonly run: MortalRun;
  readonly guardian: VmGuardian;
  /** The guardian's directory of private sockets. */
  readonly sockets: string;
  /** Its working directory. */
  readonly place: string;
  readonly reports: string[];
  /** Starts a VM of this command. */
  start(...command: string[]): Deno.ChildProcess;
  /** Reads a file that the safe command made; undefined if it did not. */
  made(name: string): string | undefined;
}

async function rig(...safeCommand: string[]): Promise<Rig> {
  await using stack = new AsyncDisposableStack();
  const place = await Deno.makeTempDir();
  stack.defer(() => Deno.remove(place, { recursive: true }));
  const sockets = `${place}/sockets`;
  await Deno.mkdir(sockets);
  await Deno.writeTextFile(`${sockets}/vm.sock`, "");
  const run = stack.use(new MortalRun());
  const reports: string[] = [];
  const guardian = stack.use(
    await VmGuardian.start({
      safeCommand,
      workingDirectory: place,
      linesLeft: LINES_LEFT,
      directory: sockets,
      report: (text) => reports.push(text),
    }),
  );
  const owned = stack.move();
  return {
    run,
    guardian,
    sockets,
    place,
    reports,
    start: (...command) => {
      const { program, args } = guardian.commandFor(command);
      const vm = new Deno.Command(program, {
        args,
        stdin: "null",
        stdout: "piped",
        env: { GPIOAGG_CALLED_AS: "x", GPIOAGG_LAUNCHER_SET: "A_B", A_B: "1" },
      }).spawn();
      owned.defer(async () => {
        try {
          vm.kill("SIGKILL");
        } catch {
          // It has ended.
        }
        await vm.status;
        if (!vm.stdout.locked) await vm.stdout.cancel();
      });
      guardian.lookAfter(vm.pid);
      return vm;
    },
    made: (name) => {
      try {
        return Deno.readTextFileSync(`${place}/${name}`);
      } catch {
        return undefined;
      }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Resolves with what a VM prints first: then it is the VM. */
async function firstWords({ stdout }: Deno.ChildProcess): Promise<string> {
  const reader = stdout.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).trim();
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

function isRunning({ pid }: Deno.ChildProcess): boolean {
  using process = openProcess(pid);
  return process !== undefined && !hasEnded(process);
}

/** Script of a VM that waits for its end. */
const WAITING = "echo ready; exec sleep 600";

testSerially(
  "a VM has its process id from the start, and none of gpioagg's variables",
  async () => {
    await using it = await rig();
    const vm = it.start(
      "sh",
      "-c",
      'echo "$$ $1 [$GPIOAGG_CALLED_AS$GPIOAGG_LAUNCHER_SET$A_B]"',
      "sh",
      "two words",
    );
    assertEquals(await firstWords(vm), `${vm.pid} two words []`);
    assertEquals((await vm.status).code, 0);
  },
);

testSerially(
  "when gpioagg dies its lines are made safe, and its VM and sockets are removed",
  async () => {
    await using it = await rig(
      "sh",
      "-c",
      'pwd >place; echo "$1" >argument; cat >input',
      "sh",
      "two words",
    );
    const vm = it.start("sh", "-c", WAITING);
    await firstWords(vm);
    const said = await it.run.die();
    assertEquals((await vm.status).signal, "SIGTERM");
    assertMatch(said, RegExp(`run has died; its VM \\(process ${vm.pid}\\)`));
    assertMatch(said, /: its lines are in their safe state\n/);
    assertEquals([it.made("place"), it.made("argument"), it.made("input")], [
      `${await Deno.realPath(it.place)}\n`,
      "two words\n",
      "",
    ]);
    assertEquals(exists(it.sockets), false);
  },
);

testSerially(
  "a VM that was forgotten is not ended when gpioagg dies",
  async () => {
    await using it = await rig();
    const vm = it.start("sh", "-c", WAITING);
    await firstWords(vm);
    await it.guardian.forget();
    const said = await it.run.die();
    assertMatch(said, /run has died; there was no VM/);
    assertMatch(said, RegExp(LINES_LEFT));
    assertEquals(isRunning(vm), true);
  },
);

testSerially(
  "another process that has the number of the VM is not ended",
  async () => {
    await using it = await rig();
    const vm = it.start("sh", "-c", WAITING);
    await firstWords(vm);
    // A VM of an earlier start time.
    const told = await new Deno.Command("sh", {
      args: ["-c", `echo "vm ${vm.pid} 1" >/proc/${it.guardian.pid}/fd/0`],
    }).output();
    assertEquals(told.code, 0);
    assertMatch(await it.run.die(), RegExp(`process ${vm.pid}\\) is ended`));
    assertEquals(isRunning(vm), true);
  },
);

testSerially("lines that cannot be made safe are reported", async () => {
  await using it = await rig("sh", "-c", "echo x >tried; exit 3");
  assertMatch(
    await it.run.die(),
    /not all of its lines are in their safe state/,
  );
  assertEquals(it.made("tried"), "x\n");
});

testSerially(
  "the running program makes the lines safe if its file was removed",
  async () => {
    await using it = await rig(
      "/nonexistent/deno",
      "eval",
      "Deno.writeTextFileSync('safe', 'done')",
    );
    assertMatch(await it.run.die(), /: its lines are in their safe state\n/);
    assertEquals(it.made("safe"), "done");
  },
);

testSerially(
  "a guardian that is not needed leaves everything as it is",
  async () => {
    await using it = await rig("sh", "-c", "echo x >tried");
    const vm = it.start("sh", "-c", WAITING);
    await firstWords(vm);
    await it.guardian[Symbol.asyncDispose]();
    assertEquals(isRunning(vm), true);
    assertEquals(
      [it.made("tried"), exists(`${it.sockets}/vm.sock`), it.reports],
      [undefined, true, []],
    );
  },
);

testSerially(
  "a guardian that stands still does not keep gpioagg from its end",
  async () => {
    await using it = await rig("sh", "-c", "echo x >tried");
    Deno.kill(it.guardian.pid, "SIGSTOP");
    await it.guardian[Symbol.asyncDispose]();
    assertEquals([it.made("tried"), it.reports], [undefined, []]);
  },
);

testSerially(
  "a guardian that was stopped is continued, as is each of its processes once gpioagg is dead",
  async () => {
    await using it = await rig(
      "sh",
      "-c",
      "echo $$ >pid; kill -STOP $$ $PPID; echo x >safe",
    );
    const vm = it.start("sh", "-c", `trap '' TERM; ${WAITING}`);
    await firstWords(vm);
    Deno.kill(it.guardian.pid, "SIGSTOP");
    await waitUntil(() => it.reports.length > 0, LIMIT_MS);
    assertEquals(it.reports, [
      "the VM's guardian was stopped: it is continued",
    ]);
    const guardian = it.guardian.pid;
    const said = it.run.die();
    await waitUntil(() => it.made("pid")?.endsWith("\n") === true, LIMIT_MS);
    Deno.kill(guardian, "SIGSTOP");
    assertMatch(await said, /: its lines are in their safe state\n/);
    assertEquals((await vm.status).signal, "SIGKILL");
    assertEquals([it.made("safe"), exists(it.sockets)], ["x\n", false]);
  },
);

testSerially(
  "there is no VM without a guardian, and a killed one has a successor that knows the VM",
  async () => {
    await using it = await rig();
    const vm = it.start("sh", "-c", WAITING);
    await firstWords(vm);
    const first = it.guardian.pid;
    const orphan = it.guardian.commandFor(["sh", "-c", "echo started"]);
    Deno.kill(first, "SIGKILL");
    await waitUntil(() => it.reports.length > 0, LIMIT_MS);
    assertEquals(it.reports, [
      "the VM's guardian was killed: another one is started",
    ]);
    const { code, stdout } = await new Deno.Command(orphan.program, {
      args: orphan.args,
      stderr: "null",
    }).output();
    assertEquals([code, stdout.length], [1, 0]);
    await waitUntil(() => it.run.count === 2, LIMIT_MS);
    assertEquals(it.guardian.pid === first, false);
    // From its first moment on: this process may be killed in the next one. The
    // kernel shows no words while a process becomes another program.
    let words: string[] = [];
    await waitUntil(() => {
      const path = `/proc/${it.guardian.pid}/cmdline`;
      words = readSmallFile(path)!.split("\0");
      return words.length > 1;
    }, LIMIT_MS);
    assertEquals(words.includes(String(vm.pid)), true, words.join(" "));
    const said = await it.run.die();
    assertMatch(said, RegExp(`its VM \\(process ${vm.pid}\\) is ended`));
    assertEquals((await vm.status).signal, "SIGTERM");
  },
);

testSerially(
  "a guardian that cannot be followed by another one is reported",
  async () => {
    await using it = await rig();
    it.run.refusal = new Error("no more processes");
    Deno.kill(it.guardian.pid, "SIGKILL");
    await waitUntil(() => it.reports.length > 1, LIMIT_MS);
    assertEquals(it.reports[1], "the VM has no guardian: no more processes");
    // Its pipe is broken, which stops nothing.
    await it.guardian.forget();
  },
);
