/** The live view of a service's lines, on a terminal of its own. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { ApiService } from "../environment/api_service.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { until } from "../environment/wait.ts";

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const AGGREGATORS = { press: ["sim/1,as=START", "const/1,as=ON"] };

/** `gpioagg top` on a terminal, and the terminal's settings around it. */
class Terminal implements AsyncDisposable {
  readonly #service: ApiService;
  readonly process: ChildProcess;

  constructor(service: ApiService, ...args: readonly string[]) {
    this.#service = service;
    const { directory } = service;
    const words = [
      PROGRAM_FILE,
      ...PROGRAM,
      "top",
      "--api",
      service.client.socketPath,
      ...args,
    ].map((word) => `'${word}'`).join(" ");
    const program = `${directory}/top.sh`;
    Deno.writeTextFileSync(
      program,
      `stty cols 70 rows 12; stty -g > ${directory}/before
sh -c 'echo $$ > ${directory}/pid; exec "$@"' sh ${words}
status=$?
stty -g > ${directory}/after
exit $status
`,
    );
    this.process = new ChildProcess({
      command: "script",
      args: ["-qec", `sh ${program}`, "/dev/null"],
      env: { NO_COLOR: "1", LC_ALL: "C.UTF-8", TERM: "xterm" },
      input: true,
      cwd: directory,
    });
  }

  /** Identity of the process on the terminal. */
  get pid(): number {
    return Number(Deno.readTextFileSync(`${this.#service.directory}/pid`));
  }

  /** Waits for its end; the terminal must be as it was. */
  async end(): Promise<number> {
    const { code } = await this.process.waitForExit();
    const { stdout } = this.process;
    assert(stdout.lastIndexOf(LEAVE) > stdout.lastIndexOf(ENTER), stdout);
    const settings = (when: string) =>
      Deno.readTextFileSync(`${this.#service.directory}/${when}`);
    assertEquals(settings("after"), settings("before"));
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
  }
}

Deno.test("top shows lines as they change, pulls them, and saves them", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await using terminal = new Terminal(service);
  const { process } = terminal;
  await process.waitFor("press  VMM not connected");
  assertStringIncludes(process.stdout, `${ENTER}`);
  await service.client.pull("press", { START: 1 });
  await process.waitFor(/START in {2}1 /);
  const from = process.stdout.length;
  await process.write("0");
  await process.waitFor(/START in {2}0 /, { from });
  await until(
    "a pulled line",
    async () => (await service.client.show("press")).lines[0]!.value === 0,
  );
  await process.write("j1");
  await process.waitFor("press.ON is not a simulated line");
  await process.write("s");
  await process.waitFor(/saved \d+ edges in gpioagg-\d{8}-\d{6}\.vcd/);
  const [file] = [...Deno.readDirSync(service.directory)].filter(({ name }) =>
    name.endsWith(".vcd")
  );
  const dump = Deno.readTextFileSync(`${service.directory}/${file!.name}`);
  assertStringIncludes(dump, "$var wire 1 ! START $end");
  await process.write("q");
  assertEquals(await terminal.end(), 0);
  // Each picture is written at once, and no row is wider than the terminal.
  assert(!process.stdout.includes("\x1b[7m"), "no colours");
});

Deno.test("top gives the terminal back when a signal ends it", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  for (const [signal, status] of [["SIGTERM", 143], ["SIGINT", 130]] as const) {
    await using terminal = new Terminal(service, "press");
    await terminal.process.waitFor("press  VMM not connected");
    Deno.kill(terminal.pid, signal);
    assertEquals(await terminal.end(), status);
  }
});

Deno.test("top gives the terminal back while it is stopped", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await using terminal = new Terminal(service);
  const { process } = terminal;
  await process.waitFor("press  VMM not connected");
  const { pid } = terminal;
  Deno.kill(pid, "SIGTSTP");
  await process.waitFor(LEAVE);
  await until(
    "a stopped process",
    () => / T /.test(readSmallFile(`/proc/${pid}/stat`) ?? ""),
  );
  const from = process.stdout.length;
  Deno.kill(pid, "SIGCONT");
  await process.waitFor(ENTER, { from });
  await process.waitFor("press  VMM not connected", { from });
  await process.write("q");
  assertEquals(await terminal.end(), 0);
});

Deno.test("top ends with its service, and says so", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  await using terminal = new Terminal(service);
  await terminal.process.waitFor("press  VMM not connected");
  service.process.kill("SIGTERM");
  assertEquals(await terminal.end(), 1);
  assertStringIncludes(
    terminal.process.stdout.split(LEAVE).at(-1)!,
    "the service has ended",
  );
});

Deno.test("top --once prints a picture; without a terminal there is no other", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  let locale = "C.UTF-8";
  let columns = "";
  const run = async (...args: readonly string[]) => {
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...PROGRAM,
        "top",
        "--api",
        service.client.socketPath,
        ...args,
      ],
      env: { LC_ALL: locale, COLUMNS: columns },
    });
    const { code } = await process.waitForExit();
    return { code, stdout: process.stdout, stderr: process.stderr };
  };
  const { code, stdout } = await run("--once", "press");
  assertEquals(code, 0);
  const [head, group, start, on] = stdout.split("\n");
  assert(/^gpioagg {2}\d\d:\d\d:\d\d {2}10 s window/.test(head!), head);
  assertEquals(group, "○ press  VMM not connected");
  assert(/^ {2}START in {2}0 [▁·]+ +0$/.test(start!), start);
  assert(/^ {2}ON {4}in {2}1 [▔·]+ +0$/.test(on!), on);
  assertEquals(stdout.includes("\x1b"), false);
  for (
    const [args, status, says] of [
      [[], 1, "there is no terminal"],
      [["--once", "pres"], 1, 'There is no aggregator "pres"'],
      [["--once", "--window", "1"], 2, '--window: "1" is not a valid time'],
      [["a", "b"], 2, 'unexpected argument "b"'],
    ] as const
  ) {
    const result = await run(...args);
    assertStringIncludes(result.stderr, says);
    assertEquals(result.code, status);
  }
  // Blanks at the end are left out.
  const columnsBeyond = (text: string) =>
    text.split("\n")[2]!.length - start!.length;
  columns = "120";
  const wide = await run("--once", "press");
  assertEquals(columnsBeyond(wide.stdout), 40, wide.stdout);
  const words = [...PROGRAM, "top", "--once", "press", "--api"].join(" ");
  await using terminal = new ChildProcess({
    command: "script",
    args: [
      "-qec",
      `stty cols 70; ${PROGRAM_FILE} ${words} ${service.client.socketPath}`,
      "/dev/null",
    ],
    env: { LC_ALL: locale, COLUMNS: columns, NO_COLOR: "1", TERM: "xterm" },
  });
  await terminal.waitForExit();
  assertEquals(
    columnsBeyond(terminal.stdout.replaceAll("\r", "")),
    -10,
    terminal.stdout,
  );
  locale = "C";
  const ascii = await run("--once");
  assertStringIncludes(ascii.stdout, "\no press  VMM not connected\n");
  assert(/^ {2}START in {2}0 [_.]+ +0$/m.test(ascii.stdout), ascii.stdout);
});

Deno.test("top does not begin on a terminal that cannot move its cursor", async () => {
  await using service = await ApiService.start({ aggregators: AGGREGATORS });
  const words = [
    PROGRAM_FILE,
    ...PROGRAM,
    "top",
    "--api",
    service.client.socketPath,
  ].map((word) => `'${word}'`).join(" ");
  await using process = new ChildProcess({
    command: "script",
    args: ["-qec", words, "/dev/null"],
    env: { TERM: "dumb" },
  });
  const { code } = await process.waitForExit();
  assertEquals(code, 1, process.stdout);
  assertStringIncludes(process.stdout, "(TERM=dumb)");
  assertStringIncludes(process.stdout, "top --once prints one picture");
  assertEquals(process.stdout.includes("\x1b"), false, process.stdout);
});
