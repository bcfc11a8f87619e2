/**
 * Views of a restart: guests that connect again, and a watch that misses no
 * change of a line's user.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import type { SimChip } from "../environment/gpio_sim.ts";

const FRONTEND_LIMIT_MS = 120_000;
/** Time in which an interrupt comes. **Units**: milliseconds. */
export const EVENT_LIMIT_MS = 120_000;
/** Time in which none comes that should not. **Units**: milliseconds. */
export const QUIET_MS = 300;

/** Ways a service ends for a restart: told to, and not. */
export const RESTARTS = ["SIGUSR2", "SIGKILL"] as const;

/** A guest that does not notice when its backend is lost. */
export class RestartGuest implements Disposable {
  readonly driver: GpioDriver;
  readonly #socket: string;
  readonly #frontend: Frontend;

  constructor(socket: string) {
    this.#socket = socket;
    this.#frontend = Frontend.open(socket, { timeoutMs: FRONTEND_LIMIT_MS });
    this.driver = GpioDriver.attach(this.#frontend);
  }

  /** The VMM notices that its backend is gone. */
  disconnect(): void {
    this.#frontend.disconnect();
  }

  /** The VMM connects again; the guest goes on. */
  reconnect(): void {
    this.#frontend.reconnect(this.#socket, "used");
    this.#frontend.start();
  }

  [Symbol.dispose](): void {
    this.#frontend[Symbol.dispose]();
  }
}

/** Watches lines of a chip until it is ended. */
export class WireWatch implements Disposable {
  readonly #chip: SimChip;
  readonly #offsets: readonly number[];
  readonly #lines: Chip;
  readonly #seen = new Set<string>();
  readonly #watching: Promise<void>;
  #isOver = false;

  constructor(chip: SimChip, offsets: readonly number[]) {
    this.#chip = chip;
    this.#offsets = offsets;
    this.#lines = Chip.open(chip.path);
    for (const offset of offsets) this.#lines.watchLineInfo(offset);
    this.#watching = this.#look();
  }

  /**
   * Asserts that the wires had these levels all the time, and that the kernel
   * was asked for nothing but to go on.
   */
  async end(levels: string): Promise<void> {
    assertEquals([...await this.levels()], [levels]);
    const told = this.#lines.readInfoEvents().map(({ kind, info }) =>
      `${kind} ${info.offset}`
    );
    assertEquals(told, []);
  }

  /** Ends the watch: the levels that there were, one digit a wire. */
  async levels(): Promise<ReadonlySet<string>> {
    this.#isOver = true;
    await this.#watching;
    return this.#seen;
  }

  /** Returns true if a line is in use. */
  isUsed(offset: number): boolean {
    return this.#lines.lineInfo(offset).used;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#lines[Symbol.dispose]();
  }

  async #look(): Promise<void> {
    while (!this.#isOver) {
      const levels: number[] = [];
      for (const offset of this.#offsets) {
        levels.push(await this.#chip.level(offset));
      }
      this.#seen.add(levels.join(""));
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
}
