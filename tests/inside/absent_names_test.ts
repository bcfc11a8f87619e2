/**
 * One rule for all commands: what is named and is not there is a failure (1), not
 * a wrong command line (2).
 */
import { assertEquals, assertMatch } from "@std/assert";
import { COMMANDS } from "../../src/cli/commands.ts";
import { testSerially } from "../doubles/test_alone.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { gpioagg } from "../doubles/program/captured.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { ConfigService } from "../environment/config_service.ts";

/** Commands that name no aggregator, line, chip or service that may be absent. */
const NAMELESS: ReadonlySet<string> = new Set([
  ...["check", "schema", "doctor", "demo", "man", "completions"],
  ...["complete-words", "serve-isolated", "serve-standby", "usb-relay"],
  ...["version", "install-tools"],
]);

/** Names that are not there, by command: arguments, and what is said. */
const ABSENT: Readonly<Record<string, readonly (readonly [string, RegExp])[]>> =
  {
    serve: [
      ["--socket-path {d}/x.sock --line nochip/0", /nochip/],
      ["--socket-path {d}/x.sock --line chip/99", /99/],
    ],
    safe: [
      ["--line nochip/0,safe=0", /nochip/],
      ["--line NOLINE,safe=0", /NOLINE/],
    ],
    kernel: [["remove nochip", /nochip/]],
    run: [["--attach pres {api} -- true {socket}", /mean press/]],
    create: [["new --line nochip/0 {api}", /nochip/]],
    reload: [["--api nope", /no service "nope"/]],
    list: [["--api nope", /no service "nope"/]],
    ui: [["--port 0 --api nope", /no service "nope"/]],
    cdi: [["--api nope", /no service "nope"/]],
    show: [["pres {api}", /aggregator "pres"\n.*mean press\?/]],
    top: [["--once pres {api}", /aggregator "pres"\n.*mean press\?/]],
    remove: [["pres {api}", /aggregator "pres"\n.*mean press\?/]],
    watch: [["pres --api nope", /no service "nope"/]],
    wait: [
      ["press.STRT=1 {api}", /no line "STRT"\n.*mean press\.START\?/],
      ["press.START=1 --api nope", /no service "nope"/],
    ],
    record: [
      ["pres {api}", /aggregator "pres"\n.*mean press\?/],
      ["pres.START {api}", /aggregator "pres"\n.*mean press\.START\?/],
      ["press.STRT {api}", /no line "STRT"\n.*mean press\.START\?/],
    ],
    play: [
      ["{d}/p.csv --map x.A=press.STRT {api}", /no line "STRT"/],
      ["{d}/p.csv --map x.A=pres.START {api}", /mean press\.START\?/],
    ],
    force: [
      ["pres.START=1 --for 1s --reason x {api}", /mean press\.START\?/],
      ["press.STRT=1 --for 1s --reason x {api}", /no line "STRT"/],
      ["--end pres {api}", /mean press\?/],
    ],
    "set-rule": [
      ["pres.START safe=1 {api}", /mean press\.START\?/],
      ["press.STRT safe=1 {api}", /no line "STRT"/],
      ["press safe=1 {api}", /not a line of one\n.*press\.LINE/],
    ],
    sim: [
      ["pres {api}", /mean press\?/],
      ["nothing.like.it {api}", /gpioagg list shows the aggregators/],
      ["press.START=1 {api}", /apart: press START=1/],
      ["press STRT=1 {api}", /mean START\?/],
    ],
    probe: [["{d}/press.sock --get STRT", /no line "STRT"\n.*mean START\?/]],
    detect: [["nochip", /nochip/]],
    info: [
      ["NOLINE", /NOLINE/],
      ["{api} press.STRT", /mean press\.START\?/],
      ["press.STRT {api}", /options come before the lines: write --api first/],
    ],
    get: [
      ["NOLINE", /NOLINE/],
      ["{api} pres.START", /mean press\.START\?/],
      ["--api nope press.START", /no service "nope"/],
    ],
    set: [["NOLINE=1", /NOLINE/]],
    mon: [
      ["NOLINE", /NOLINE/],
      ["{api} press.STRT", /mean press\.START\?/],
    ],
    notify: [["NOLINE", /NOLINE/]],
  };

testSerially(
  "every command fails with 1 for names that are not there, and suggests",
  async () => {
    using kernel = GpioKernel.install();
    using _programs = runProgramsInside();
    kernel.addChip({ lines: 2, label: "chip" });
    await using service = await ConfigService.start((directory) => `
aggregators:
  press:
    vhost-user: ${directory}/press.sock
    lines: [{ sim: 1, as: START, direction: input }]
`);
    const directory = service.file.slice(0, service.file.lastIndexOf("/"));
    Deno.writeTextFileSync(
      `${directory}/p.csv`,
      "time,aggregator,line,value\n0,x,A,1\n",
    );
    const found: Record<string, string> = {};
    for (const command of Object.keys(COMMANDS)) {
      if (NAMELESS.has(command)) continue;
      for (const [words, says] of ABSENT[command] ?? []) {
        const args = words.replaceAll("{d}", directory)
          .replace("{api}", `--api ${service.api}`).split(" ");
        const { code, stdout, stderr } = await gpioagg([command, ...args]);
        assertMatch(stderr, says, `${command} ${words}`);
        found[`${command} ${words}`] = `${code} ${stdout}`;
      }
      // A new command has its place in one of the tables.
      assertEquals(Object.hasOwn(ABSENT, command), true, command);
    }
    assertEquals(
      found,
      Object.fromEntries(Object.keys(found).map((words) => [words, "1 "])),
    );
  },
);
