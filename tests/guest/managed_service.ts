/**
 * A service with USB adapters that a manager starts again.
 *
 * @module
 */
import { ManagerDouble } from "../environment/manager_double.ts";
import { linesAt, pullLines } from "../environment/served_lines.ts";
import type { Service } from "../environment/service.ts";

/** A service, as far as tests of adapters ask it. */
export type Served = Pick<Service, "socket" | "lines" | "pull">;

/** A service of one aggregator, plc0, whose manager keeps its descriptors. */
export class ManagedService implements Served, AsyncDisposable {
  readonly #manager = new ManagerDouble();
  readonly #args: readonly string[];

  /**
   * @param specs Lines of the aggregator.
   * @param settings What follows a socket's path in `--usbredir`.
   */
  constructor(specs: readonly string[], settings = "") {
    this.#args = [
      ...["--usbredir", `${this.socket("plc0")}${settings}`, "--name=plc0"],
      ...specs.map((spec) => `--line=${spec}`),
    ];
  }

  /** Starts it, and waits until it is ready. */
  start(): Promise<void> {
    return this.#manager.start(this.#args);
  }

  /** Ends it by a signal, and starts it again. */
  async restart(signal: Deno.Signal): Promise<void> {
    await this.#manager.stop(signal);
    await this.start();
  }

  socket(name: string): string {
    return `${this.#manager.directory}/${name}.sock`;
  }

  async lines(name: string): ReturnType<Service["lines"]> {
    const lines = await linesAt(this.socket(name));
    return Object.fromEntries(lines.map((line) => [line.name, line]));
  }

  pull(name: string, ...changes: readonly string[]): Promise<void> {
    return pullLines(this.socket(name), changes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#manager[Symbol.asyncDispose]();
  }
}
