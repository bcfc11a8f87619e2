/**
 * A running `gpioagg serve`, as a process of its own.
 *
 * @module
 */
import { REPOSITORY } from "./environment.ts";
import { ChildProcess } from "./process.ts";
import { PROGRAM, PROGRAM_FILE } from "./program.ts";
import { linesAt, pullLines, type ServedLine } from "./served_lines.ts";

export type { ServedLine } from "./served_lines.ts";

/** Time that a slow machine needs to start a service. */
const START_LIMIT_MS = 120_000;

/** Aggregators by name, each with the SPECs of its lines. */
type Aggregators = Readonly<Record<string, readonly string[]>>;

/** A service with its sockets in a directory of its own. */
export class Service implements AsyncDisposable {
  #process: ChildProcess;
  readonly #start: (aggregators: Aggregators) => ChildProcess;
  readonly #directory: string;
  #aggregators: Aggregators;

  private constructor(
    start: (aggregators: Aggregators) => ChildProcess,
    directory: string,
    aggregators: Aggregators,
  ) {
    this.#start = start;
    this.#process = start(aggregators);
    this.#directory = directory;
    this.#aggregators = aggregators;
  }

  /**
   * Starts `serve` with an aggregator for each entry: its name to its SPECs.
   *
   * @param exposure The option that says how they are presented.
   * @param settings What follows a socket's path in it.
   * @throws {Error} when it is not ready within the limit.
   */
  static async start(
    aggregators: Aggregators,
    exposure: "--socket-path" | "--vfio-user" | "--usbredir" = "--socket-path",
    settings = "",
  ): Promise<Service> {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-service-" });
    const start = (aggregators: Aggregators) =>
      new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...PROGRAM,
          "serve",
          "--json",
          ...Object.entries(aggregators).flatMap(([name, specs]) => [
            exposure,
            `${directory}/${name}.sock${settings}`,
            ...specs.flatMap((spec) => ["--line", spec]),
          ]),
        ],
        cwd: REPOSITORY,
      });
    const service = new Service(start, directory, aggregators);
    try {
      await service.#ready();
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
    return service;
  }

  /** The process. */
  get process(): ChildProcess {
    return this.#process;
  }

  /**
   * Kills the process (SIGKILL), and starts another one at the same sockets.
   *
   * @param aggregators Its aggregators. Default: those of the one before.
   * @throws {Error} when that is not ready within the limit.
   */
  async crash(aggregators = this.#aggregators): Promise<void> {
    this.#aggregators = aggregators;
    this.#process.kill("SIGKILL");
    await this.#process.waitForExit();
    this.#process = this.#start(aggregators);
    await this.#ready();
  }

  /** The socket of an aggregator, for a VMM. */
  socket(name: string): string {
    return `${this.#directory}/${name}.sock`;
  }

  /**
   * Pulls simulated lines of an aggregator, as `NAME=LEVEL`.
   *
   * @throws {Error} when that is refused, or the guest drives one of them.
   */
  pull(name: string, ...changes: readonly string[]): Promise<void> {
    return pullLines(this.socket(name), changes);
  }

  /** The lines of an aggregator, by name, as they are now. */
  async lines(name: string): Promise<Record<string, ServedLine>> {
    const lines = await linesAt(this.socket(name));
    return Object.fromEntries(lines.map((line) => [line.name, line]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }

  async #ready(): Promise<void> {
    await this.#process.waitFor('"event":"ready"', {
      timeoutMs: START_LIMIT_MS,
    });
  }
}
