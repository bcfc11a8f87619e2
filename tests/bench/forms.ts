/**
 * The executable beside the checkout: what starting costs, and being there.
 *
 * @module
 */
import type { Effort } from "./effort.ts";
import { LINES } from "./effort.ts";
import { readMemory } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { besideFloor } from "./statistics.ts";

const MEGABYTE = 1_000_000;

/** Measurements of one of the two. */
class Form {
  readonly getMs: number[] = [];
  readonly serveMs: number[] = [];
  readonly restMb: number[] = [];

  constructor(readonly command: ServerCommand) {}

  async measure(directory: string, restMs: number): Promise<void> {
    this.getMs.push(await getMs(this.command));
    await using server = await Server.start(
      this.command,
      directory,
      1,
      LINES,
    );
    this.serveMs.push(server.startMs);
    await new Promise((resolve) => setTimeout(resolve, restMs));
    this.restMb.push(readMemory(server.pid).resident / MEGABYTE);
  }
}

/**
 * Measures both in turns.
 *
 * @returns Measures of the executable; their floors are those of the checkout.
 */
export async function measureForms(
  executable: ServerCommand,
  checkout: ServerCommand,
  directory: string,
  effort: Effort,
): Promise<Measure[]> {
  const ours = new Form(executable);
  const theirs = new Form(checkout);
  for (let i = 0; i < effort.starts; i++) {
    for (const form of i % 2 === 0 ? [ours, theirs] : [theirs, ours]) {
      await form.measure(directory, effort.restMs);
    }
  }
  const row = (
    name: string,
    unit: string,
    values: number[],
    floors: number[],
    note: string,
  ): Measure => ({
    name,
    ...besideFloor(values, floors, unit),
    note: `${note}; floor: the checkout`,
  });
  return [
    row(
      "executable: get",
      "ms",
      ours.getMs,
      theirs.getMs,
      "gpioagg get of a line that no chip has, start to end",
    ),
    row(
      "executable: serve",
      "ms",
      ours.serveMs,
      theirs.serveMs,
      "from the start of the process to its first answer",
    ),
    row(
      "executable: memory at rest",
      "MB",
      ours.restMb,
      theirs.restMb,
      "resident set of serve with 1 aggregator",
    ),
  ];
}

/** Runs `gpioagg get` to its refusal. **Units**: milliseconds. */
async function getMs([program, ...args]: ServerCommand): Promise<number> {
  const before = performance.now();
  const { code, stderr } = await new Deno.Command(program, {
    args: [...args, "get", "no-such-line-of-any-chip"],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (code !== 1) throw new Error(new TextDecoder().decode(stderr));
  return performance.now() - before;
}
