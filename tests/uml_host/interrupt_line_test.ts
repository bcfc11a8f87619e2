/**
 * Lines whose interrupt a driver of this host has, and one that a driver has
 * whole: the kernel's drivers of interrupt_line_test.dts. The kernel does not
 * show the former as used, and refuses outputs (EIO) and edges (EBUSY) of them.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";
import { Service } from "../environment/service.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { gpioagg } from "./kernel_chip_rig.ts";

const LIMIT = { timeoutMs: 120_000 };
const IO = /bus failed, or a driver .*uses .* as an interrupt \(see \/proc\//;
const BUSY = /a driver .*may use .* interrupt.*\/proc\/interrupts/;

const tool = (...args: string[]) => gpioagg(...args);

Deno.test("the tools say that a driver may have a line's interrupt", async () => {
  for (const line of ["d", "e"]) {
    const set = await tool("set", "-t", "0", `${line}=1`);
    assertEquals(set.code, 1);
    assertMatch(set.stderr, /Input\/output error, its bus failed/);
    assertMatch(set.stderr, IO);
    assertEquals(set.stderr.match(/nput\/output error/g)?.length, 1);
    const mon = await tool("mon", "-n1", "--idle-timeout", "100ms", line);
    assertEquals(mon.code, 1);
    assertMatch(mon.stderr, /Device or resource busy, a driver may use/);
    const safe = await tool("safe", `${line},safe=0`, "--retry-for", "100ms");
    // A line that is an input is not driven against its wire, which is told.
    assertEquals(safe.code, 1, safe.stderr);
    assertMatch(safe.stderr, /it is an input, and is not driven/);
  }
  for (const command of ["get", "mon"]) {
    const { code, stderr } = await tool(command, "f");
    assertEquals(code, 1);
    assertMatch(stderr, /'f' is held by "Power Button"/);
  }
});

Deno.test("a service says so to its guest's host, for each operation once", async () => {
  await using service = await Service.start({ plc0: ["d", "e"] });
  const frontend = (...args: string[]) =>
    gpioagg("probe", service.socket("plc0"), ...args);
  for (let i = 0; i < 2; i++) {
    const set = await frontend("--set", "d=1");
    assertEquals(set.code, 1, set.stderr);
  }
  const monitor = await frontend("--monitor=e", "--num-events=1");
  assertEquals(monitor.code, 1, monitor.stdout + monitor.stderr);
  await service.process.waitFor(/watch its edges.*/, LIMIT);
  const told = service.process.stdout.split("\n")
    .filter((line) => line.includes('"refused"'));
  assertEquals(told.length, 2, told.join("\n"));
  assertMatch(told[0]!, /d, gpiochip0 line 3 .*\(EIO\)/);
  assertMatch(told[0]!, IO);
  assertMatch(told[1]!, /e, gpiochip0 line 4 .*\(EBUSY\)/);
  assertMatch(told[1]!, BUSY);
});

Deno.test("a start that a driver's interrupt forbids is reported, and not claimed", async () => {
  const directory = await Deno.makeTempDir();
  await using serve = new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      "serve",
      "--socket-path",
      `${directory}/x.sock`,
      "--line",
      "d,direction=output,initial=1",
    ],
    cwd: REPOSITORY,
  });
  const [fault] = await serve.waitFor(/fault: d, .*retried/, {
    ...LIMIT,
    stream: "stderr",
  });
  assertMatch(
    fault,
    /its rule \(output, 1 at first\) does not hold: .*\(EIO\)/,
  );
  assertMatch(fault, IO);
  await serve.waitFor("serving", { ...LIMIT, stream: "stderr" });
  serve.kill("SIGTERM");
  const { code } = await serve.waitForExit(LIMIT);
  assertEquals(code, 1);
  assert(serve.stderr.includes("x.d ("), serve.stderr);
});
