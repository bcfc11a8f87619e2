/** Slips in names of lines and chips, with what was probably meant. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { command, commandProcess } from "./command.ts";

/** A service is a process, since it starts others. */
async function failure(...args: string[]): Promise<string> {
  const run = args[0] === "serve" ? commandProcess : command;
  const { code, stdout, stderr } = await run(...args);
  assertEquals([code === 0, stdout], [false, ""]);
  return stderr;
}

Deno.test("names of lines and chips that do not exist are followed by similar ones", async () => {
  await using _chip = await SimChip.create(localFiles, {
    label: "press-io",
    lines: 3,
    names: { 0: "START", 2: "VALVE" },
  });
  const directory = await Deno.makeTempDir();
  const socket = `${directory}/a.sock`;
  const cases: readonly (readonly [string, string])[] = [
    ["STRAT", 'did you mean "START"?'],
    ["press-io/VALV", 'did you mean "VALVE"?'],
    ["pres-io/0", 'did you mean "press-io"?'],
  ];
  try {
    for (const [spec, says] of cases) {
      const serve = ["serve", "--socket-path", socket, "--line", spec];
      assertStringIncludes(await failure(...serve), says);
      const file = `${directory}/plant.yaml`;
      await Deno.writeTextFile(
        file,
        `aggregators: { a: { vhost-user: ${socket}, lines: ["${spec}"] } }`,
      );
      assertStringIncludes(await failure("check", "--live", file), says);
      assertStringIncludes(await failure("safe", `${spec},safe=0`), says);
    }
    // One like nothing else has no suggestion.
    const serve = ["serve", "--socket-path", socket, "--line", "QQQQQQ"];
    const said = await failure(...serve);
    assertEquals(said.includes("did you mean"), false, said);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
