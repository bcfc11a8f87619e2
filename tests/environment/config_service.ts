/**
 * A running `gpioagg serve --config`, as a process of its own.
 *
 * @module
 */
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { REPOSITORY } from "./environment.ts";
import { ChildProcess } from "./process.ts";
import { pullLines } from "./served_lines.ts";
import { until } from "./wait.ts";
import { PROGRAM, PROGRAM_FILE } from "./program.ts";

/** Time that a slow machine needs to start a service. */
const START_LIMIT_MS = 120_000;

/** One line of what `serve --json` says. */
export interface ServiceLine {
  readonly event: string;
  readonly aggregator?: string;
  readonly detail?: string;
  readonly [key: string]: unknown;
}

/** A service whose aggregators come from a file. */
export class ConfigService implements AsyncDisposable {
  /** The process. */
  readonly process: ChildProcess;
  /** The configuration's path. */
  readonly file: string;
  /** The control API's socket. */
  readonly api: string;
  readonly #directory: string;
  readonly #deno: string;

  private constructor(process: ChildProcess, directory: string, deno: string) {
    this.process = process;
    this.file = `${directory}/gpioagg.yaml`;
    this.api = `${directory}/api.sock`;
    this.#directory = directory;
    this.#deno = deno;
  }

  /**
   * Starts `serve --config` with what `config` gives for a directory for the
   * sockets: an aggregator `NAME` is expected at `DIRECTORY/NAME.sock`.
   *
   * @throws {Error} When it is not ready within the limit.
   */
  static async start(
    config: (directory: string) => string,
  ): Promise<ConfigService> {
    const deno = PROGRAM_FILE;
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-config-" });
    Deno.writeTextFileSync(`${directory}/gpioagg.yaml`, config(directory));
    const service = new ConfigService(
      new ChildProcess({
        command: deno,
        args: [
          ...PROGRAM,
          "serve",
          "--json",
          "--config",
          `${directory}/gpioagg.yaml`,
          "--api",
          `${directory}/api.sock`,
        ],
        cwd: REPOSITORY,
      }),
      directory,
      deno,
    );
    try {
      await service.process.waitFor('"event":"ready"', {
        timeoutMs: START_LIMIT_MS,
      });
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
    return service;
  }

  /** The vhost-user socket of an aggregator. */
  socket(name: string): string {
    return `${this.#directory}/${name}.sock`;
  }

  /** A guest of our own at an aggregator. **Ownership**: dispose the frontend. */
  guest(name: string): { frontend: Frontend; driver: GpioDriver } & Disposable {
    const frontend = Frontend.open(this.socket(name), { timeoutMs: 120_000 });
    return {
      frontend,
      driver: GpioDriver.attach(frontend),
      [Symbol.dispose]: () => frontend[Symbol.dispose](),
    };
  }

  /** Lines that the service reported so far. */
  said(event?: string): ServiceLine[] {
    return this.process.stdout.split("\n").slice(0, -1)
      .map((line) => JSON.parse(line) as ServiceLine)
      .filter((line) => event === undefined || line.event === event);
  }

  /** Waits until the service has said `count` times that `event` happened. */
  async heard(event: string, count = 1): Promise<ServiceLine[]> {
    await until(
      `${event} was said ${count} times`,
      () => this.said(event).length >= count,
    );
    return this.said(event);
  }

  /** Writes another configuration and has it read by SIGHUP. */
  async hangUp(config: (directory: string) => string): Promise<ServiceLine> {
    const before = this.said("reloaded").length;
    Deno.writeTextFileSync(this.file, config(this.#directory));
    this.process.kill("SIGHUP");
    return (await this.heard("reloaded", before + 1)).at(-1)!;
  }

  /** Writes another configuration and has it read by `gpioagg reload`. */
  async reload(
    config: (directory: string) => string,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    Deno.writeTextFileSync(this.file, config(this.#directory));
    return await this.run("reload", "--api", this.api);
  }

  /** Runs another command of the program. */
  async run(
    ...args: readonly string[]
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const output = await new Deno.Command(this.#deno, {
      args: [...PROGRAM, ...args],
      cwd: REPOSITORY,
      stdin: "null",
    }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return {
      code: output.code,
      stdout: text(output.stdout),
      stderr: text(output.stderr),
    };
  }

  /** Pulls simulated lines of an aggregator, as `NAME=LEVEL`. */
  async pull(name: string, ...changes: readonly string[]): Promise<void> {
    await pullLines(this.socket(name), changes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
