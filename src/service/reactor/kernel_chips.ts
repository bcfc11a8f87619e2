/**
 * Aggregators that are chips of the host's own kernel. The kernel serves them;
 * the main isolate makes and removes them.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";
import { Chip } from "../../gpio/chip.ts";
import { LineError } from "../../gpio/errors.ts";
import type { LineInfo } from "../../gpio/line_info.ts";
import { KernelChip } from "../../kernel_chip/kernel_chip.ts";
import { lostChipsText } from "../../kernel_chip/lost_chips.ts";
import type {
  AggregatorCounts,
  AggregatorDescription,
} from "../messages/messages.ts";

/**
 * Interval of checks that the chips still exist: the kernel notifies only
 * processes that have a chip open. **Units**: milliseconds.
 */
const LOOK_MS = 500;

/** A chip that is served. */
interface ServedChip {
  readonly chip: KernelChip;
  readonly servedSince: number;
  /** Set once its removal by another process was reported. */
  isMissed: boolean;
  /** Chips behind it that it has lost, as far as reported. */
  lost: readonly string[];
}

/** Receiver of what other processes and unplugged chips did to the chips. */
interface KernelChipListener {
  /** Another process removed it. Once of each. */
  gone(name: string, path: string): void;
  /**
   * It has lost chips that its lines come from; `text` says which. Once for each
   * such chip.
   */
  lost(name: string, text: string): void;
}

/** The kernel chips of one service. */
export class KernelChips implements AsyncDisposable {
  readonly #chips = new Map<string, ServedChip>();
  readonly #listener: KernelChipListener;
  readonly #records: string | undefined;
  #looks: ReturnType<typeof setInterval> | undefined;

  /**
   * Reports to `listener`.
   *
   * @param records Directory of the records; default: the user's.
   */
  constructor(listener: KernelChipListener, records?: string) {
    this.#listener = listener;
    this.#records = records;
  }

  /**
   * Makes chips: all of them, or none.
   *
   * @throws {ConfigError} If the kernel's driver does not support it.
   * @throws {Error} If a line cannot be requested, or there is no such driver.
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
        interface: chosen === "usb" ? undefined : chosen,
        runtimeDirectory: this.#records,
      });
      made.use(chip);
      const servedSince = Date.now();
      added.push([name, { chip, servedSince, isMissed: false, lost: [] }]);
    }
    const descriptions = added.map(([name, served]) => describe(name, served));
    made.move();
    for (const [name, served] of added) this.#chips.set(name, served);
    if (this.#looks === undefined && this.#chips.size > 0) {
      this.#looks = setInterval(() => this.#look(), LOOK_MS);
      // The timer does not keep the process alive.
      Deno.unrefTimer(this.#looks);
    }
    return descriptions;
  }

  /** Removes one; undefined if there is none of this name. */
  async remove(name: string): Promise<AggregatorDescription | undefined> {
    const served = this.#chips.get(name);
    if (served === undefined) return undefined;
    const description = describe(name, served);
    this.#chips.delete(name);
    try {
      await served.chip[Symbol.asyncDispose]();
    } catch (error) {
      // It still exists, so it stays listed: a retry may succeed.
      this.#chips.set(name, served);
      throw error;
    }
    if (this.#chips.size === 0) this.#stopLooking();
    return description;
  }

  /** Describes the one of this name, or all. */
  describe(name?: string): AggregatorDescription[] {
    return [...this.#chips]
      .filter(([one]) => name === undefined || one === name)
      .map(([one, served]) => describe(one, served));
  }

  /** Returns the counters of all: the kernel counts nothing of its chips. */
  count(): AggregatorCounts[] {
    return [...this.#chips].map(([name, served]) => ({
      name,
      connected: describe(name, served).connected,
      servedSince: served.servedSince,
      isChipPresent: served.chip.isPresent,
      lostChips: served.lost.length,
    }));
  }

  /**
   * Removes all of them.
   *
   * @throws {Error} If one cannot be removed; the others are.
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
      if (served.isMissed) continue;
      const { chip } = served;
      if (!chip.isPresent) {
        served.isMissed = true;
        this.#listener.gone(name, chip.path);
        continue;
      }
      const lost = chip.lostChips;
      const isNews = lost.some((one) => !served.lost.includes(one));
      served.lost = lost;
      if (isNews) {
        this.#listener.lost(name, lostChipsText(lost, chip.path));
      }
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
  const infos = isPresent ? readInfos(path) : [];
  const lost = isPresent ? chip.lostChips : [];
  const what = !isPresent
    ? ", which was removed"
    : lost.length > 0
    ? `, which has lost ${lost.join(" and ")}`
    : "";
  return {
    name,
    presentation: `as ${path}${what}`,
    kernelChip: {
      path,
      label,
      present: isPresent,
      ...(lost.length === 0 ? {} : { lostChips: lost }),
    },
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

/** Reads the kernel's view of a chip's lines; empty if it cannot be read. */
function readInfos(path: string): LineInfo[] {
  try {
    using opened = Chip.open(path);
    return opened.lines();
  } catch (error) {
    // It was just removed, or its node belongs to another user.
    if (error instanceof LineError) return [];
    throw error;
  }
}
