/** `gpioagg run` with programs that stand in for a VMM. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { until } from "../environment/wait.ts";
import { isRunning, startRun, waiting, withDirectory } from "./run_rig.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const KILLS = 5;

Deno.test("run gives the VM its socket, and ends with its status", async () => {
  await using run = await startRun(["--line", "sim/2"], [
    "sh",
    "-c",
    "[ -S {socket} ] && exit 7",
  ]);
  assertEquals((await run.waitForExit()).code, 7, run.stderr);
  assert(run.stderr.includes("the VM ended with status 7"), run.stderr);
});

Deno.test("run says what a card needs if its VM fails before it has one", async () => {
  await using run = await startRun(["--line", "sim/2"], [
    ...["sh", "-c", "exit 1", "vm", "{vfio-user}"],
  ]);
  assertEquals((await run.waitForExit()).code, 1, run.stderr);
  assert(run.stderr.includes("needs QEMU 10.1 or newer"), run.stderr);
});

Deno.test("run refuses what it cannot do, and starts nothing", async () => {
  const wrong: readonly (readonly [string[], string[], string])[] = [
    [["--line", "sim/1"], [], "no VMM to run"],
    [["--line", "sim/1"], ["", "{socket}"], "no VMM to run"],
    [
      ["--line", "sim/1", "--respawn=often"],
      ["true"],
      '"often" is not a valid rule',
    ],
    [["--line", "sim/1"], ["echo", "{crosvm}"], "{crosvm}: "],
    [["--line", "sim/1"], ["echo", "{qmeu}"], "Did you mean {qemu}?"],
    [["--line", "sim/1"], ["echo"], "the VMM is not given its lines' socket"],
    [["--line", "sim/1", "--api", "x.sock"], ["true"], "--api: applies to a"],
    [["--config=x.yaml"], ["true"], "--config: applies to a"],
    [[], ["true"], "has no lines\ngpioagg: gpioagg run --line"],
    [[], [], "no VMM to run\ngpioagg: gpioagg run --line"],
    [["x", "--line=sim/1"], ["true"], "gpioagg: gpioagg run --line"],
    [
      ["--socket-path=a", "--socket-path=b", "--line=sim/1"],
      ["true"],
      "has no lines\ngpioagg: Give it lines: gpioagg run --line",
    ],
  ];
  for (const [args, vmm, says] of wrong) {
    await using run = await startRun(args, vmm);
    assertEquals((await run.waitForExit()).code, 2, run.stderr);
    assert(run.stderr.includes(says), run.stderr);
    assert(!run.stderr.includes("gpioagg serve --socket-path"), run.stderr);
  }
  const unfit: readonly (readonly [string, string])[] = [
    ["/no/such/vmm", "no such program"],
    ["no-such-vmm", "no such program"],
    [REPOSITORY, "it is not executable"],
    [`${REPOSITORY}/deno.json`, "it is not executable"],
  ];
  for (const [program, says] of unfit) {
    await using run = await startRun(
      ["--line", "sim/1", "--respawn"],
      [program],
    );
    assertEquals((await run.waitForExit()).code, 1);
    const lines = run.stderr.trim().split("\n");
    assertEquals(lines, [`gpioagg: Cannot start ${program}: ${
      lines[0]
        ?.split(": ").at(-1)
    }`]);
    assert(run.stderr.includes(says), run.stderr);
  }
});

Deno.test("run serves several aggregators, and puts each one's socket where it is called", () =>
  withDirectory(async (directory) => {
    const first = `${directory}/first.sock`;
    const second = `${directory}/second.sock`;
    await using run = await startRun(
      [
        ...["--socket-path", first, "--line", "sim/1"],
        ...["--socket-path", second, "--name", "other", "--line", "sim/2"],
      ],
      [
        "sh",
        "-c",
        'for s in "$@"; do echo "$s"; [ -S "${s#x=}" ] || exit 9; done',
        "vm",
        "x={socket:first}",
        "{socket:other}",
      ],
    );
    assertEquals((await run.waitForExit()).code, 0, run.stderr);
    assertEquals(run.stdout, `x=${first}\n${second}\n`);
    assertEquals([fileStatus(first), fileStatus(second)], [
      undefined,
      undefined,
    ]);
  }));

Deno.test("a VM's own status is its own, whatever shells mean by it", async () => {
  for (const status of [126, 127]) {
    await using run = await startRun(["--line", "sim/1"], [
      "sh",
      "-c",
      `exit ${status}`,
      "{socket}",
    ]);
    assertEquals((await run.waitForExit()).code, status);
    assert(run.stderr.includes(`ended with status ${status}`), run.stderr);
  }
});

Deno.test("a VM that goes on after SIGINT hears SIGTERM, and ends", async () => {
  await using run = await startRun(["--line", "sim/1", "--respawn"], [
    "sh",
    "-c",
    waiting("trap 'echo heard' INT; trap 'exit 6' TERM"),
    "{socket}",
  ]);
  await run.waitFor("started");
  run.kill("SIGINT");
  assertEquals((await run.waitForExit({ timeoutMs: 120_000 })).code, 6);
  assertEquals(run.stdout, "started\nheard\n");
});

/** A `run` with a VM that is a shell, on a terminal of its own. */
function startOnTerminal(
  vmm: string,
  after: string,
): ChildProcess {
  const command = [PROGRAM_FILE, ...PROGRAM].join(" ");
  // script gives it a terminal, and that terminal's other end to us. The shell in
  // between is whichever $SHELL says: some end at ^C after what they wait for.
  return new ChildProcess({
    command: "script",
    args: [
      "-qec",
      `trap : INT; ${command} run --line sim/1 -- sh -c '${vmm}' {socket}; ${after}`,
      "/dev/null",
    ],
    input: true,
  });
}

Deno.test("on a terminal the VM reads it, and hears of a key once", async () => {
  await using terminal = await startOnTerminal(
    'n=0; key() { n=$((n + 1)); echo "key $n"; }; trap key INT; read -r a; ' +
      'echo "got $a"; until [ "$b" ]; do read -r b; done; ' +
      'echo "then $b"; exit 8',
    "echo status $?",
  );
  await terminal.write("one\n");
  await terminal.waitFor("got one");
  await terminal.write("\x03");
  await terminal.waitFor("key 1");
  await terminal.write("two\n");
  await terminal.waitFor("then two");
  await terminal.waitFor("status 8");
  assert(!terminal.stdout.includes("key 2"), terminal.stdout);
});

Deno.test("a VM that is killed leaves the terminal as it was before", async () => {
  await using terminal = await startOnTerminal(
    "stty raw -echo; kill -KILL $$",
    "echo status $?; stty -a",
  );
  await terminal.waitFor("status 137");
  await terminal.waitFor(/(?<!-)\bicanon\b/);
  await terminal.waitFor(/(?<!-)\becho\b/);
});

Deno.test("run hands signals on, and ends with the VM", async () => {
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    await using run = await startRun(["--line", "sim/1", "--respawn"], [
      "sh",
      "-c",
      waiting("trap 'exit 5' TERM INT HUP"),
      "{socket}",
    ]);
    await run.waitFor("started");
    run.kill(signal);
    assertEquals((await run.waitForExit()).code, 5, signal);
  }
  await using run = await startRun(["--line", "sim/1"], [
    "sh",
    "-c",
    waiting("trap 'echo heard' USR1; trap 'exit 0' TERM"),
    "{socket}",
  ]);
  await run.waitFor("started");
  run.kill("SIGUSR1");
  await run.waitFor("heard");
  run.kill("SIGTERM");
  assertEquals((await run.waitForExit()).code, 0);
});

Deno.test("run --respawn=on-failure starts a VM again until it ends well", () =>
  withDirectory(async (directory) => {
    await using run = await startRun(
      ["--line", "sim/1", "--respawn=on-failure"],
      [
        "sh",
        "-c",
        `echo x >>${directory}/runs; [ $(wc -l <${directory}/runs) -ge 4 ]`,
        "{socket}",
      ],
    );
    assertEquals((await run.waitForExit()).code, 0, run.stderr);
    const runs = await Deno.readTextFile(`${directory}/runs`);
    assertEquals(runs, "x\n".repeat(4));
    const waits = [...run.stderr.matchAll(/started again in ([\d.]+) s/g)];
    assertEquals(waits.map(([, wait]) => wait), ["0.1", "0.2", "0.4"]);
  }));

Deno.test(`run --respawn brings a VM back ${KILLS} times; its line is safe in between`, () =>
  withDirectory(async (directory) => {
    const socket = `${directory}/plc.sock`;
    await using run = await startRun(
      ["--respawn", "--socket-path", socket, "--line", "sim/2,safe=0"],
      [
        Deno.execPath(),
        "run",
        "-q",
        "-P=unit",
        "--no-check",
        `--config=${REPOSITORY}/deno.json`,
        `${REPOSITORY}/tests/environment/vmm_double.ts`,
        "{socket}",
      ],
    );
    let from = 0;
    for (let kill = 1; kill <= KILLS; kill++) {
      const match = await run.waitFor(/VM (\d+) drives line 0/, {
        from,
        timeoutMs: 120_000,
      });
      from = run.stdout.length;
      using lines = new ControlClient(defaultControlPath(socket));
      assertEquals(lines.ask({}).lines[0]?.value, 1);
      Deno.kill(Number(match[1]), "SIGKILL");
      await until(
        "the line is safe",
        () => lines.ask({}).lines[0]?.value === 0,
        1000,
      );
    }
    const deaths = () => run.stderr.match(/the VM ended by SIGKILL/g) ?? [];
    // The line is safe before its VM's end is reported.
    await until("all reports", () => deaths().length >= KILLS);
    assertEquals(deaths().length, KILLS, run.stderr);
    run.kill("SIGTERM");
    await run.waitForExit();
    assertEquals(fileStatus(socket), undefined);
  }));

Deno.test("run leaves no guardian behind, nor its private socket", async () => {
  await using run = await startRun(["--line", "sim/1"], [
    "sh",
    "-c",
    "echo {socket}; ps -o pid=,args= --ppid $PPID | grep gpioagg-guardian",
  ]);
  assertEquals((await run.waitForExit()).code, 0, run.stderr);
  const [socket = "", guardian = ""] = run.stdout.split("\n");
  assertEquals(fileStatus(socket), undefined);
  const [pid] = guardian.trim().split(" ");
  assert(Number(pid) > 1, run.stdout);
  assert(!isRunning(Number(pid)));
});

Deno.test("run with pins inside QEMU wants them among QEMU's arguments", async () => {
  for (
    const [args, vmm, words] of [
      [["--qemu-pins", "device=pl061"], "true", "Add {qemu-pins}"],
      [["--qemu-pins", "device=pl061"], "{qemu}", "Add {qemu-pins}"],
      [[], "{qemu-pins}", "Add --qemu-pins device=TYPE"],
    ] as const
  ) {
    await using run = await startRun([...args, "--line", "sim/1"], [
      "echo",
      vmm,
    ]);
    const { code } = await run.waitForExit();
    assertEquals([code, run.stdout], [2, ""]);
    assertStringIncludes(run.stderr, words);
  }
});
