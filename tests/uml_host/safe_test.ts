/** `gpioagg safe` on simulated chips: lines without a guest. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { REPOSITORY } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

/** Runs the command with lines of a chip: its end, and who had which line. */
async function makeSafe(
  chip: SimChip,
  specs: readonly string[],
): Promise<{ code: number; stderr: string; told: string[] }> {
  using watcher = Chip.open(chip.path);
  for (const { offset } of watcher.lines()) watcher.watchLineInfo(offset);
  const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [
      ...PROGRAM,
      "safe",
      ...specs.flatMap((spec) => ["--line", `${chip.name}/${spec}`]),
    ],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  const told: string[] = [];
  for (;;) {
    const events = watcher.readInfoEvents();
    if (events.length === 0) break;
    for (const { kind, info } of events) {
      told.push(`${info.offset} ${kind} ${info.direction}`);
    }
  }
  return { code, stderr: new TextDecoder().decode(stderr), told };
}

Deno.test("safe makes the lines safe that it can have, and tells of the others", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 3 });
  const specs = [0, 1, 2].map((offset) => `${offset},direction=output,safe=1`);
  const whole = await makeSafe(chip, specs);
  assertEquals(whole.code, 0, whole.stderr);
  using opened = Chip.open(chip.path);
  using _request = opened.requestLines({
    consumer: "another",
    lines: [{ offset: 1, settings: { direction: "input" } }],
  });
  const partly = await makeSafe(chip, specs);
  assertEquals(partly.code, 1);
  assertStringIncludes(partly.stderr, `${chip.name}/1`);
  assertStringIncludes(partly.stderr, 'held by "another"');
  for (const { told } of [whole, partly]) {
    for (const offset of [0, 2]) {
      assert(told.includes(`${offset} reconfigured output`), told.join("; "));
      assert(
        told.some((text) => text.startsWith(`${offset} released`)),
        told.join("; "),
      );
    }
  }
  assert(!partly.told.some((text) => text.startsWith("1 ")));
});

Deno.test("safe waits for one who is just letting a line go", async () => {
  await using chip = await SimChip.create(localFiles, { lines: 2 });
  using opened = Chip.open(chip.path);
  const request = opened.requestLines({
    consumer: "dying",
    lines: [{ offset: 1, settings: { direction: "input" } }],
  });
  const specs = [0, 1].map((offset) => `${offset},direction=output,safe=1`);
  const safe = makeSafe(chip, specs);
  await until(
    "the other line is safe",
    () => opened.lineInfo(0).direction === "output",
  );
  request[Symbol.dispose]();
  const { code, stderr } = await safe;
  assertEquals([code, stderr], [0, ""]);
  assertEquals(opened.lineInfo(1).direction, "output");
});
