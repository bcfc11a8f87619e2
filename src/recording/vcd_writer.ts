/**
 * Value Change Dump, the format of IEEE 1364 that waveform viewers and sigrok
 * read: one wire per line, one entry per edge.
 *
 * @module
 */
import { printable } from "../text/printable.ts";

/** Possible lengths of one tick of a dump, in nanoseconds. */
export const TIMESCALES = {
  "1ns": 1n,
  "10ns": 10n,
  "100ns": 100n,
  "1us": 1000n,
  "10us": 10_000n,
  "100us": 100_000n,
  "1ms": 1_000_000n,
} as const;

/** Length of a tick, in the dump's notation. */
export type Timescale = keyof typeof TIMESCALES;

/** Value of a wire; undefined while it is unknown. */
type WireValue = 0 | 1 | undefined;

/** A wire of a dump. */
interface Wire {
  /** The scope that a viewer shows it in; absent: `gpio`. */
  readonly scope?: string | undefined;
  /** The name that a viewer shows. */
  readonly name: string;
  /** Its value at the beginning. */
  readonly value: WireValue;
}

const DEFAULT_SCOPE = "gpio";
// The printable characters of identifiers.
const FIRST_CODE = 33;
const CODES = 94;

/**
 * Converts edges to the text of a dump. Time in a dump never goes back: an edge
 * that is reported late, by a chip with another clock or thread, is written at
 * the time of the last one.
 */
export class VcdWriter {
  readonly #wires: readonly Wire[];
  readonly #tickNs: bigint;
  readonly #timescale: Timescale;
  #startNs: bigint | undefined;
  #lastTick = 0n;

  /**
   * Begins a dump at `startNs`, on the clock of the edges; or at the first
   * edge, if that clock cannot be read.
   */
  constructor(
    wires: readonly Wire[],
    startNs: bigint | undefined,
    timescale: Timescale,
  ) {
    this.#wires = wires;
    this.#startNs = startNs;
    this.#timescale = timescale;
    this.#tickNs = TIMESCALES[timescale];
  }

  /**
   * Returns the head of the dump: the wires and their initial values.
   *
   * @param comment A line for readers, such as the time of tick 0.
   */
  header(program: string, date: Date, comment?: string): string {
    const values = this.#wires.map(({ value }, index) =>
      `${value ?? "x"}${identifier(index)}\n`
    );
    const note = comment === undefined
      ? ""
      : `$comment ${printable(comment).replaceAll("$", "_")} $end\n`;
    return `$date ${date.toISOString()} $end
$version ${program} $end
$timescale ${this.#timescale.replace(/(?<=\d)(?=\D)/, " ")} $end
${note}${declarations(this.#wires)}$enddefinitions $end
#0
$dumpvars
${values.join("")}$end
`;
  }

  /** Returns the entry of one edge of the `index`-th wire. */
  change(index: number, value: WireValue, timestampNs: bigint): string {
    const entry = `${value ?? "x"}${identifier(index)}\n`;
    const stamp = this.#advance(timestampNs);
    return stamp + entry;
  }

  /**
   * Returns the entry for lost edges of the `index`-th wire before
   * `timestampNs`: its value up to there is unknown.
   */
  gap(index: number, timestampNs: bigint): string {
    return this.change(index, undefined, timestampNs);
  }

  /**
   * Returns the entry that makes the last edge last for a tick: for readers
   * such as sigrok a dump ends at its last time, and a change at that time is
   * not part of it.
   */
  tail(): string {
    return `#${++this.#lastTick}\n`;
  }

  /** Returns the entry of the end: nothing has changed up to `timestampNs`. */
  end(timestampNs: bigint): string {
    return this.#advance(timestampNs);
  }

  /** Advances the time, and returns its entry if it changed. */
  #advance(timestampNs: bigint): string {
    this.#startNs ??= timestampNs;
    const tick = (timestampNs - this.#startNs) / this.#tickNs;
    if (tick <= this.#lastTick) return "";
    this.#lastTick = tick;
    return `#${tick}\n`;
  }
}

/** Returns the scopes, in the order of their first wires, with the wires. */
function declarations(wires: readonly Wire[]): string {
  const members = new Map<string, number[]>();
  for (const [index, { scope = DEFAULT_SCOPE }] of wires.entries()) {
    const known = members.get(scope);
    if (known === undefined) members.set(scope, [index]);
    else known.push(index);
  }
  const scopes = uniqueNames([...members.keys()]);
  return [...members.values()].map((indices, i) => {
    const names = uniqueNames(indices.map((index) => wires[index]!.name));
    const variables = indices.map((index, k) =>
      `$var wire 1 ${identifier(index)} ${names[k]} $end\n`
    );
    return `$scope module ${scopes[i]} $end\n${
      variables.join("")
    }$upscope $end\n`;
  }).join("");
}

function identifier(index: number): string {
  let text = "";
  for (let rest = index + 1; rest > 0; rest = Math.floor((rest - 1) / CODES)) {
    text += String.fromCharCode(FIRST_CODE + (rest - 1) % CODES);
  }
  return text;
}

/**
 * Returns names without blanks, which end a name in a dump, and without
 * duplicates.
 */
function uniqueNames(names: readonly string[]): string[] {
  const taken = new Set<string>();
  const lastNumbers = new Map<string, number>();
  return names.map((name) => {
    const plain = printable(name).replace(/[\s$[\]]/g, "_") || "_";
    let unique = plain;
    for (let n = lastNumbers.get(plain) ?? 1; taken.has(unique);) {
      unique = `${plain}_${++n}`;
      lastNumbers.set(plain, n);
    }
    taken.add(unique);
    return unique;
  });
}
