/**
 * Aggregators that are chips of the host's own kernel behind its USB drivers.
 * The reactor serves their lines; the main isolate makes and removes the chips.
 *
 * @module
 */
import {
  type AggregatorSpecification,
  usbredirSockets,
} from "../../config/specification.ts";
import {
  DETACHED,
  UsbKernelChip,
  type UsbKernelChipOptions,
} from "../../kernel_chip/usb_kernel_chip.ts";
import type {
  AggregatorCounts,
  AggregatorDescription,
} from "../messages/messages.ts";

/** First and longest time before a lost chip is made again. **Units**: ms. */
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 30_000;
/**
 * Time before a chip is made again whose relay alone was lost. One that another
 * program detaches is about to be removed, or its host to suspend.
 * **Units**: ms.
 */
const RELAY_RETRY_MS = 10;
/** Age of a chip from which on a lost relay is no longer a series. **Units**: ms. */
const SERIES_MS = 5000;

/** An aggregator whose chip is made, or to be made. */
interface ServedChip {
  readonly chip: UsbKernelChip;
  readonly sockets: readonly string[];
  retry: ReturnType<typeof setTimeout> | undefined;
  retryMs: number;
  /** Time at which its chips were there last. **Units**: monotonic ms. */
  since: number;
  isRemoved: boolean;
}

/** Receiver of what happens to the chips. */
interface UsbChipListener {
  /**
   * Its adapters are gone, or it cannot be made again; that is retried. Or it is
   * removed, without a report to programs that hold its lines.
   */
  unplugged(name: string, detail: string): void;
  /** It is there again. */
  plugged(name: string, detail: string): void;
  /** Another process removed it. */
  gone(name: string, path: string): void;
}

/** Clock and timers of the chips; tests bring their own. */
interface ChipClock {
  /** Monotonic time. **Units**: milliseconds. */
  now(): number;
  /** Calls `action` in `ms` milliseconds, unless the timer is cleared. */
  after(ms: number, action: () => void): ReturnType<typeof setTimeout>;
}

const CLOCK: ChipClock = {
  now: () => performance.now(),
  after: (ms, action) => {
    const timer = setTimeout(action, ms);
    Deno.unrefTimer(timer);
    return timer;
  },
};

/** The chips of one service. */
export class UsbChips implements AsyncDisposable {
  readonly #chips = new Map<string, ServedChip>();
  readonly #listener: UsbChipListener;
  readonly #options: Pick<UsbKernelChipOptions, "kernel" | "runtimeDirectory">;
  readonly #clock: ChipClock;

  /**
   * Reports to `listener`.
   *
   * @param options The kernel and the directory of records; tests bring their
   * own.
   */
  constructor(
    listener: UsbChipListener,
    options: Pick<UsbKernelChipOptions, "kernel" | "runtimeDirectory"> = {},
    clock: ChipClock = CLOCK,
  ) {
    this.#listener = listener;
    this.#options = options;
    this.#clock = clock;
  }

  /**
   * Prepares the chip of an aggregator.
   *
   * @returns The aggregator as the reactor serves it.
   * @throws {ConfigError} If the kernel cannot have it.
   * @throws {Error} If the kernel has no USB host controller for programs.
   */
  async prepare(
    aggregator: AggregatorSpecification,
  ): Promise<AggregatorSpecification> {
    const { name, lines, kernelChip = {} } = aggregator;
    const chip = await UsbKernelChip.prepare({
      name,
      lines: lines.map(({ name = "", origin }) => ({ name, source: origin })),
      model: kernelChip.device,
      attachFd: kernelChip.attachFd,
      ...kernelChip.access,
      ...this.#options,
    });
    const { kernelChip: _, ...rest } = aggregator;
    const usbredir = {
      socketPath: chip.socketPath,
      device: chip.model,
      access: { mode: 0o600 },
      serial: chip.serial,
    };
    this.#chips.set(name, {
      chip,
      sockets: usbredirSockets(usbredir, lines.length),
      retry: undefined,
      retryMs: FIRST_RETRY_MS,
      since: 0,
      isRemoved: false,
    });
    return { ...rest, usbredir };
  }

  /** Attaches the chip of an aggregator that the reactor serves. */
  async attach(name: string): Promise<void> {
    const served = this.#chips.get(name)!;
    await served.chip.attach(served.sockets, (reason) => {
      void this.#lost(name, served, reason);
    });
    served.retryMs = FIRST_RETRY_MS;
    served.since = this.#clock.now();
  }

  /** Removes the chip of an aggregator; does nothing if it has none. */
  async remove(name: string): Promise<void> {
    const served = this.#chips.get(name);
    if (served === undefined) return;
    this.#chips.delete(name);
    served.isRemoved = true;
    clearTimeout(served.retry);
    const cost = served.chip.describeHolderCost();
    if (cost !== undefined) this.#listener.unplugged(name, cost);
    await served.chip[Symbol.asyncDispose]();
  }

  /** Adds the chips to what the reactor says of the aggregators. */
  describe(
    descriptions: readonly AggregatorDescription[],
  ): AggregatorDescription[] {
    return descriptions.map((description) => {
      const served = this.#chips.get(description.name);
      if (served === undefined) return description;
      const { chip } = served;
      const paths = chip.chips.map(({ path }) => path);
      const present = chip.isPresent;
      const where = paths.length === 0 ? "a kernel chip" : paths.join(", ");
      const { usbredir: _, socketPath: __, controlPath: ___, ...rest } =
        description;
      return {
        ...rest,
        presentation: `as ${where}${present ? "" : ", which is gone"}`,
        connected: present && chip.isUsed,
        kernelChip: {
          path: paths[0] ?? "",
          label: chip.label,
          present,
          ...(paths.length > 1 ? { paths } : {}),
        },
      };
    });
  }

  /** Adds to the counters of an aggregator that its chip is there, or is not. */
  count(counts: AggregatorCounts): AggregatorCounts {
    const served = this.#chips.get(counts.name);
    return served === undefined
      ? counts
      : { ...counts, isChipPresent: served.chip.isPresent };
  }

  /** Removes all of them. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#chips.keys()].map((name) => this.remove(name)));
  }

  async #lost(
    name: string,
    served: ServedChip,
    reason: string,
  ): Promise<void> {
    if (served.isRemoved || await this.#isOver(name, served)) return;
    this.#listener.unplugged(name, `${formatPaths(served)} is gone: ${reason}`);
    const age = this.#clock.now() - served.since;
    this.#makeLater(
      name,
      served,
      reason === DETACHED || age < SERIES_MS ? undefined : RELAY_RETRY_MS,
    );
  }

  /** Reports a chip that another process has removed, for good. */
  async #isOver(name: string, served: ServedChip): Promise<boolean> {
    try {
      if (!await served.chip.isForgotten()) return false;
    } catch {
      // Records that cannot be read now tell nothing.
      return false;
    }
    if (!served.isRemoved) this.#listener.gone(name, formatPaths(served));
    return true;
  }

  #makeLater(name: string, served: ServedChip, soonMs?: number): void {
    served.retry = this.#clock.after(
      soonMs ?? served.retryMs,
      () => void this.#again(name, served),
    );
    if (soonMs !== undefined) return;
    served.retryMs = Math.min(2 * served.retryMs, LAST_RETRY_MS);
  }

  async #again(name: string, served: ServedChip): Promise<void> {
    if (served.isRemoved) return;
    // A process that removes it detaches it first.
    if (await this.#isOver(name, served) || served.isRemoved) return;
    if (served.chip.isHeld) {
      // The host suspends: it is made as soon as that is over.
      served.retryMs = FIRST_RETRY_MS;
      this.#makeLater(name, served);
      return;
    }
    try {
      await this.attach(name);
      this.#listener.plugged(name, `${formatPaths(served)} is there again`);
    } catch (error) {
      if (served.isRemoved) return;
      this.#listener.unplugged(
        name,
        `the chip cannot be made again: ${(error as Error).message}`,
      );
      this.#makeLater(name, served);
    }
  }
}

function formatPaths({ chip }: ServedChip): string {
  return chip.chips.map(({ path }) => path).join(" and ");
}
