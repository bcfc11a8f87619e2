/**
 * A chip of the GPIO kernel double, as tests use it.
 *
 * @module
 */
import { pullLine, reportEdge } from "./ioctls.ts";
import { activeKernel, type GpioKernel } from "./kernel.ts";

/** A chip of the double: the same calls as those of gpio-sim's `SimChip`. */
export class ChipDouble implements Disposable {
  readonly #kernel: GpioKernel;
  readonly #index: number;

  /** The chip that stands at `index` in the kernel's state. */
  constructor(kernel: GpioKernel, index: number) {
    this.#kernel = kernel;
    this.#index = index;
  }

  get #chip() {
    return this.#kernel.look().chips[this.#index]!;
  }

  /** Name in the kernel, such as `gpiochip0`. */
  get name(): string {
    return `gpiochip${this.#chip.number}`;
  }

  /** Path of the device file. */
  get path(): string {
    return `/dev/${this.name}`;
  }

  /** Pulls a line: what an input reads. */
  pull(offset: number, direction: "up" | "down"): void {
    this.#kernel.change((state, host) => {
      const line = state.chips[this.#index]!.lines[offset]!;
      if (pullLine(line, direction === "up" ? 1 : 0)) {
        reportEdge(state, host, line, offset);
      }
    });
  }

  /** Physical level of a line. */
  level(offset: number): 0 | 1 {
    return this.#chip.lines[offset]!.level === 1 ? 1 : 0;
  }

  /** Consumer of the request that holds a line; undefined if it is free. */
  consumer(offset: number): string | undefined {
    const { chips, files } = this.#kernel.look();
    const { holder } = chips[this.#index]!.lines[offset]!;
    return files[holder]?.request?.consumer;
  }

  /** Word of `LineFlag`s of a line, without Used. */
  flags(offset: number): number {
    return this.#chip.lines[offset]!.flags;
  }

  /** Takes the chip away from under its users. */
  unplug(): void {
    if (this.#chip.isPlugged) this.#kernel.unplug(this.#index);
  }

  /** Brings the chip back; its number is the first that is free. */
  plug(): string {
    this.#kernel.plug(this.#index);
    return this.name;
  }

  [Symbol.dispose](): void {
    if (activeKernel() === this.#kernel) this.unplug();
  }
}
