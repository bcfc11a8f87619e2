/**
 * Aggregators that are chips of the host's own kernel: the kernel serves them,
 * the main isolate makes them and takes them down.
 *
 * @module
 */
import type { AggregatorSpecification } from "../config/specification.ts";
import { Chip } from "../gpio/mod.ts";
import { KernelChip } from "../kernel_chip/kernel_chip.ts";
import type { AggregatorDescription, LineDescription } from "./messages.ts";

/** The kernel chips of one service. */
export class KernelChips implements AsyncDisposable {
  readonly #chips = new Map<string, KernelChip>();

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
    const chips: [string, KernelChip][] = [];
    for (const { name, kernelChip = {}, lines } of aggregators) {
      const { interface: chosen, access = {} } = kernelChip;
      const chip = await KernelChip.create({
        name,
        lines,
        ...access,
        ...(chosen === undefined ? {} : { interface: chosen }),
      });
      made.use(chip);
      chips.push([name, chip]);
    }
    made.move();
    for (const [name, chip] of chips) this.#chips.set(name, chip);
    return chips.map(([name, chip]) => describe(name, chip));
  }

  /** Takes one down; undefined if there is none of this name. */
  async remove(name: string): Promise<AggregatorDescription | undefined> {
    const chip = this.#chips.get(name);
    if (chip === undefined) return undefined;
    const description = describe(name, chip);
    this.#chips.delete(name);
    await chip[Symbol.asyncDispose]();
    return description;
  }

  /** Tells what there is: the one of this name, or all. */
  describe(name?: string): AggregatorDescription[] {
    return [...this.#chips]
      .filter(([one]) => name === undefined || one === name)
      .map(([one, chip]) => describe(one, chip));
  }

  /** Takes all of them down. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#chips.keys()]) await this.remove(name);
  }
}

function describe(name: string, chip: KernelChip): AggregatorDescription {
  return {
    name,
    presentation: chip.isPresent
      ? `as ${chip.path}`
      : `as ${chip.path}, which somebody took down`,
    connected: chip.isPresent,
    lines: chip.isPresent ? linesOf(chip) : [],
  };
}

function linesOf({ path, label }: KernelChip): LineDescription[] {
  using chip = Chip.open(path);
  return chip.lines().map(({ offset, name, direction }) => ({
    lineNumber: offset,
    name,
    source: `line ${offset} of ${label}`,
    direction,
  }));
}
