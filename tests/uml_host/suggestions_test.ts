/** Slips in names of lines and chips, with what was probably meant. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

async function failure(...args: string[]): Promise<string> {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, ...args],
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  assertEquals([code === 0, process.stdout], [false, ""]);
  return process.stderr;
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
