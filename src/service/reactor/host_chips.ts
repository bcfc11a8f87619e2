/**
 * Aggregators of a service that are chips of the host's own kernel, whichever
 * way they go: by the kernel's aggregator, which serves the lines itself, or by
 * its USB drivers, where the reactor does.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";
import type {
  AggregatorCounts,
  AggregatorDescription,
} from "../messages/messages.ts";
import type { KernelChips } from "./kernel_chips.ts";
import type { UsbChips } from "./usb_chips.ts";

/** Receiver of what happens to the chips. */
interface HostChipListener {
  /** A chip, or one behind it, has gone. */
  unplugged(name: string, detail: string): void;
  /** It is there again. */
  plugged(name: string, detail: string): void;
  /** Another process removed it. */
  removed(name: string): void;
}

/** Chips that are being made. */
interface ChipAddition {
  /** Those that the kernel serves, which are there. */
  readonly made: readonly AggregatorDescription[];
  /** Those that the reactor is to serve, as it does. */
  readonly served: readonly AggregatorSpecification[];
  /**
   * Makes the chips that the reactor serves by now.
   *
   * @throws {Error} If the kernel does not take one.
   */
  attach(): Promise<void>;
  /** Removes all of them. */
  undo(): Promise<void>;
}

/** The chips. Their code is loaded only when one is used. */
export class HostChips implements AsyncDisposable {
  readonly #listener: HostChipListener;
  #kernel: KernelChips | undefined;
  #usb: UsbChips | undefined;
  /** Start times of the kernel's. **Units**: ms on the monotonic clock. */
  readonly #since = new Map<string, number>();

  readonly #records: string | undefined;

  /**
   * Reports to `listener`.
   *
   * @param records Directory of the records; default: the user's.
   */
  constructor(listener: HostChipListener, records?: string) {
    this.#listener = listener;
    this.#records = records;
  }

  /** True if a chip was made, whatever became of it. */
  get areUsed(): boolean {
    return this.#kernel !== undefined || this.#usb !== undefined;
  }

  /**
   * Makes chips as far as that is possible before the reactor serves lines: all
   * of them, or none.
   *
   * @throws {ConfigError} If the kernel cannot have what is asked for.
   * @throws {Error} If a line cannot be requested, or the kernel lacks a driver.
   */
  async begin(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<ChipAddition> {
    if (aggregators.length === 0) return NOTHING;
    const { goesByUsb } = await import("../../kernel_chip/choice.ts");
    const ofUsb = aggregators.filter(goesByUsb);
    const made = await this.#make(
      aggregators.filter((one) => !ofUsb.includes(one)),
    );
    const undo = async (others: readonly AggregatorSpecification[]) => {
      for (const { name } of [...made, ...others]) await this.remove(name);
    };
    try {
      return {
        made,
        served: await this.#prepare(ofUsb),
        attach: async () => {
          for (const { name } of ofUsb) await this.#usb!.attach(name);
        },
        undo: () => undo(ofUsb),
      };
    } catch (error) {
      await undo([]);
      throw error;
    }
  }

  async #make(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<AggregatorDescription[]> {
    if (aggregators.length === 0) return [];
    const { KernelChips } = await import("./kernel_chips.ts");
    const { unplugged } = this.#listener;
    this.#kernel ??= new KernelChips({
      gone: (name, path) => this.#removed(name, path),
      lost: unplugged,
    }, this.#records);
    const made = await this.#kernel.add(aggregators);
    const now = performance.now();
    for (const { name } of made) this.#since.set(name, now);
    return made;
  }

  async #prepare(
    aggregators: readonly AggregatorSpecification[],
  ): Promise<AggregatorSpecification[]> {
    if (aggregators.length === 0) return [];
    const { UsbChips } = await import("./usb_chips.ts");
    const { unplugged, plugged } = this.#listener;
    this.#usb ??= new UsbChips({
      unplugged,
      plugged,
      gone: (name, path) => this.#removed(name, path),
    }, this.#records === undefined ? {} : { runtimeDirectory: this.#records });
    const served: AggregatorSpecification[] = [];
    try {
      for (const one of aggregators) served.push(await this.#usb.prepare(one));
    } catch (error) {
      // Not one of that name which was there before.
      for (const { name } of served) await this.remove(name);
      throw error;
    }
    return served;
  }

  #removed(name: string, path: string): void {
    this.#listener.unplugged(name, `${path} was removed by another process`);
    this.#listener.removed(name);
  }

  /**
   * Removes the chip of an aggregator, if it is one.
   *
   * @returns Its last description; undefined if the reactor serves its lines, if
   * any.
   */
  async remove(name: string): Promise<AggregatorDescription | undefined> {
    const removed = await this.#kernel?.remove(name);
    if (removed !== undefined) this.#since.delete(name);
    else await this.#usb?.remove(name);
    return removed;
  }

  /** Describes those that the kernel serves: that of a name, or all. */
  describe(name?: string): AggregatorDescription[] {
    return this.#kernel?.describe(name) ?? [];
  }

  /** Adds the chips to what the reactor says of aggregators. */
  describeServed(
    aggregators: AggregatorDescription[],
  ): AggregatorDescription[] {
    return this.#usb?.describe(aggregators) ?? aggregators;
  }

  /** Adds the chips to the reactor's counters. */
  count(counts: readonly AggregatorCounts[]): AggregatorCounts[] {
    const ofKernel = this.#kernel?.count() ?? [];
    return [
      ...counts.map((one) => this.#usb?.count(one) ?? one),
      ...ofKernel.map((one) => ({
        ...one,
        uptimeMs: performance.now() - this.#since.get(one.name)!,
      })),
    ];
  }

  /**
   * Removes all of them.
   *
   * @throws {Error} If one cannot be removed; the others are.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const ends = await Promise.allSettled([
      this.#usb?.[Symbol.asyncDispose](),
      this.#kernel?.[Symbol.asyncDispose](),
    ]);
    for (const end of ends) if (end.status === "rejected") throw end.reason;
  }
}

const NOTHING: ChipAddition = {
  made: [],
  served: [],
  attach: () => Promise.resolve(),
  undo: () => Promise.resolve(),
};
