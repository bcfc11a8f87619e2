/**
 * Well-behaved guests of some cells, in a process of their own: works until its
 * standard input is closed, rests while told `rest` there and not yet `work`, or
 * `begin` after a restart of the service, and tells what it saw as lines of JSON.
 *
 * Usage: guests_peer.ts DIRECTORY FIRST_CELL COUNT SEED
 *
 * @module
 */
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { Cell, WrongValue } from "./cell.ts";

/** Time between two rounds of all cells: the others need the CPUs too. */
const PAUSE_MS = 2;
/** Limit of the reports of one kind. */
const MAX_SHOWN = 5;

/** Observations of the guests of one process. */
export interface GuestsReport {
  rounds: number;
  requests: number;
  returns: number;
  /** Requests without an answer, or connections that ended. */
  lost: number;
  wrong: number;
  /** The longest round of one cell. **Units**: milliseconds. */
  slowestMs: number;
  problems: string[];
}

/** The guests of this process. */
class Guests {
  readonly #directory: string;
  readonly #random: Random;
  readonly #cells = new Map<number, Cell>();
  readonly report: GuestsReport = {
    rounds: 0,
    requests: 0,
    returns: 0,
    lost: 0,
    wrong: 0,
    slowestMs: 0,
    problems: [],
  };

  constructor(directory: string, random: Random) {
    this.#directory = directory;
    this.#random = random;
  }

  /**
   * Has the guests of a cell do a round; connects them if they are not.
   * Whatever goes wrong is counted, and the cell begins anew.
   */
  work(index: number): void {
    this.#guarded(index, () => {
      const cell = this.#cells.get(index);
      if (cell === undefined) this.#connect(index);
      else this.#round(cell);
    });
  }

  #guarded(index: number, action: () => void): void {
    try {
      action();
    } catch (error) {
      const { report } = this;
      if (error instanceof WrongValue) report.wrong++;
      else report.lost++;
      if (report.problems.length < MAX_SHOWN) {
        report.problems.push(`cell ${index}: ${error}`);
      }
      this.leave(index);
    }
  }

  /** The service was restarted: its simulated lines have begun anew. */
  begin(index: number): void {
    this.#guarded(index, () => this.#cells.get(index)?.begin());
  }

  /** Has the guests of a cell leave. */
  leave(index: number): void {
    const cell = this.#cells.get(index);
    if (cell === undefined) return;
    this.#cells.delete(index);
    this.report.requests += cell.requests;
    this.report.returns += cell.returns;
    cell[Symbol.dispose]();
  }

  #connect(index: number): void {
    const cell = new Cell(this.#directory, index, this.#random);
    this.#cells.set(index, cell);
  }

  #round(cell: Cell): void {
    const from = performance.now();
    cell.round();
    const { report } = this;
    report.rounds++;
    report.slowestMs = Math.max(report.slowestMs, performance.now() - from);
  }
}

if (import.meta.main) {
  const [directory = "", first, count, seed] = Deno.args;
  const indices = Array.from(
    { length: Number(count) },
    (_, i) => Number(first) + i,
  );
  const guests = new Guests(directory, new Random(Number(seed)));
  let isOver = false;
  let isResting = false;
  let isToBegin = false;
  const input = (async () => {
    const words = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
    for await (const word of words) {
      isResting = word.trimEnd().endsWith("rest");
      isToBegin ||= word.includes("begin");
      // What it says of a rest is said between two rounds.
      if (isResting) console.log(JSON.stringify({ event: "resting" }));
    }
    isOver = true;
  })();
  for (const index of indices) guests.work(index);
  console.log(JSON.stringify({ event: "ready", ...guests.report }));
  while (!isOver) {
    if (!isResting) {
      if (isToBegin) { for (const index of indices) guests.begin(index); }
      isToBegin = false;
      for (const index of indices) guests.work(index);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  for (const index of indices) guests.leave(index);
  await input;
  console.log(JSON.stringify({ event: "report", ...guests.report }));
}
