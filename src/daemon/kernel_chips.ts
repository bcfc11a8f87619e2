/**
 * Aggregators that are chips of the host's own kernel: the kernel serves them,
 * the main isolate makes them and takes them down.
 *
 * @module
 */
import type { AggregatorSpecification } from "../config/specification.ts";
import { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import type { LineInfo } from "../gpio/line_info.ts";
import { KernelChip } from "../kernel_chip/kernel_chip.ts";
import type { AggregatorCounts, AggregatorDescription } from "./messages.ts";

/**
 * How often it is looked whether the chips are still there: the kernel tells
 * only those who have a chip open. **Units**: milliseconds.
 */
const LOOK_MS = 500;

/** A chip that is served. */
interface ServedChip {
  readonly chip: KernelChip;
  readonly servedSince: number;
  /** Whether it was told that somebody took it down. */
  isMissed: boolean;
}

/** The kernel chips of one service. */
export class KernelChips implements AsyncDisposable {
  readonly #chips = new Map<string, ServedChip>();
  readonly #onGone: (name: string, path: string) => void;
  #looks: ReturnType<typeof setInterval> | undefined;

  /** `onGone` hears of chips that somebody else has taken down, once of each. */
  constructor(onGone: (name: string, path: string) => void) {
    this.#onGone = onGone;
  }

  /**
   * Makes chips: all of them, or none.
   *
   * @throws {ConfigError} If the kernel's driver cannot do what is asked for.
   * @throws {Error} If a line cannot be had, or there is no such driver.
   */
  async add(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    await using made = new AsyncDisposableStack();
    const added: [string, ServedChip][] = [];
    for (const { name, kernelChip = {}, lines } of aggregators) {
      const { interface: chosen, access = {} } = kernelChip;
      const chip = await KernelChip.create({
        name,
        lines,
        ...access,
        ...(chosen === undefined ? {} : { interface: chosen }),
      });
      made.use(chip);
      added.push([name, { chip, servedSince: Date.now(), isMissed: false }]);
    }
    const descriptions = added.map(([name, served]) => describe(name, served));
    made.move();
    for (const [name, served] of added) this.#chips.set(name, served);
    if (this.#looks === undefined && this.#chips.size > 0) {
      this.#looks = setInterval(() => this.#look(), LOOK_MS);
      // It keeps no process alive that has nothing else to do.
      Deno.unrefTimer(this.#looks);
    }
    return descriptions;
  }

  /** Takes one down; undefined if there is none of this name. */
  async remove(name: string): Promise<AggregatorDescription | undefined> {
    const served = this.#chips.get(name);
    if (served === undefined) return undefined;
    const description = describe(name, served);
    this.#chips.delete(name);
    try {
      await served.chip[Symbol.asyncDispose]();
    } catch (error) {
      // It is there, so it stays known: the next one may have more luck.
      this.#chips.set(name, served);
      throw error;
    }
    if (this.#chips.size === 0) this.#stopLooking();
    return description;
  }

  /** Tells what there is: the one of this name, or all. */
  describe(name?: string): AggregatorDescription[] {
    return [...this.#chips]
      .filter(([one]) => name === undefined || one === name)
      .map(([one, served]) => describe(one, served));
  }

  /** Tells of all of them in numbers: the kernel counts nothing of its chips. */
  count(): AggregatorCounts[] {
    return [...this.#chips].map(([name, served]) => ({
      name,
      connected: describe(name, served).connected,
      servedSince: served.servedSince,
      isChipPresent: served.chip.isPresent,
    }));
  }

  /**
   * Takes all of them down.
   *
   * @throws {Error} If one would not go; the others are gone all the same.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopLooking();
    const ends = await Promise.allSettled(
      [...this.#chips.keys()].map((name) => this.remove(name)),
    );
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }

  #look(): void {
    for (const [name, served] of this.#chips) {
      if (served.isMissed || served.chip.isPresent) continue;
      served.isMissed = true;
      this.#onGone(name, served.chip.path);
    }
  }

  #stopLooking(): void {
    clearInterval(this.#looks);
    this.#looks = undefined;
  }
}

function describe(
  name: string,
  { chip, servedSince }: ServedChip,
): AggregatorDescription {
  const { path, label, isPresent } = chip;
  const infos = isPresent ? infosOf(path) : [];
  return {
    name,
    presentation: isPresent
      ? `as ${path}`
      : `as ${path}, which somebody took down`,
    kernelChip: { path, label, present: isPresent },
    connected: infos.some(({ used }) => used),
    servedSince,
    lines: chip.record.lines.map((line, lineNumber) => ({
      lineNumber,
      name: infos[lineNumber]?.name ?? line.name,
      source: `${line.chip} line ${line.chipOffset}`,
      direction: infos[lineNumber]?.direction ?? "input",
    })),
  };
}

/** What the kernel says of a chip's lines; nothing if it may not be asked. */
function infosOf(path: string): LineInfo[] {
  try {
    using opened = Chip.open(path);
    return opened.lines();
  } catch (error) {
    // It went at this very moment, or its node is for somebody else only.
    if (error instanceof LineError) return [];
    throw error;
  }
}
