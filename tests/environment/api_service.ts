/**
 * A running `gpioagg serve` with a control API, as a process of its own.
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";
import { readText, sendRequest } from "../../src/client/http_request.ts";
import type {
  AggregatorState,
  CreateRequest,
} from "../../src/client/protocol.ts";
import { REPOSITORY } from "./environment.ts";
import { ChildProcess } from "./process.ts";
import { PROGRAM_FILE, programArguments } from "./program.ts";

/** Options of a service. */
export interface ApiServiceOptions {
  /** Aggregators of its own: name to SPECs. */
  readonly aggregators?: Readonly<Record<string, readonly string[]>>;
  /** Access of the socket for changes, as `,mode=660,…`. */
  readonly apiAccess?: string;
  /** The same for the socket to look at. */
  readonly lookAccess?: string;
  /** The same for the sockets of aggregators that are made. */
  readonly socketAccess?: string;
  /** Limit of its fds. */
  readonly openFiles?: number;
  /** Flags of V8, as `--v8-flags` takes them. */
  readonly v8Flags?: string;
  /** Environment variables. */
  readonly env?: Readonly<Record<string, string>>;
  /** Directory of its sockets. Default: a new one. Removed at its end. */
  readonly directory?: string;
}

/** A service with its sockets in a directory of its own. */
export class ApiService implements AsyncDisposable {
  /** The process. */
  readonly process: ChildProcess;
  /** Directory of its sockets. */
  readonly directory: string;
  /** A client that may change things. */
  readonly client: ServiceClient;
  /** A client that may only look. */
  readonly lookClient: ServiceClient;

  private constructor(process: ChildProcess, directory: string) {
    this.process = process;
    this.directory = directory;
    this.client = new ServiceClient(`${directory}/api.sock`);
    this.lookClient = new ServiceClient(`${directory}/look.sock`);
  }

  /**
   * Starts a service.
   *
   * @throws {Error} when it is not ready within the limit.
   */
  static async start(options: ApiServiceOptions = {}): Promise<ApiService> {
    const directory = options.directory ??
      await Deno.makeTempDir({ prefix: "gpioagg-api-" });
    // Others than this user are let in by the sockets' modes alone.
    await Deno.chmod(directory, 0o755);
    const { aggregators = {}, env, openFiles } = options;
    const process = new ChildProcess({
      command: "sh",
      args: [
        "-c",
        `${
          openFiles === undefined ? "" : `ulimit -n ${openFiles} && `
        }exec "$@"`,
        "sh",
        PROGRAM_FILE,
        ...programArguments({ v8Flags: options.v8Flags }),
        "serve",
        "--json",
        `--api=${directory}/api.sock${options.apiAccess ?? ""}`,
        `--api-look=${directory}/look.sock${options.lookAccess ?? ""}`,
        `--api-sockets=${directory}${options.socketAccess ?? ""}`,
        `--api-qemu-sockets=${directory}`,
        `--audit-log=${directory}/audit.log`,
        ...Object.entries(aggregators).flatMap(([name, specs]) => [
          "--socket-path",
          `${directory}/${name}.sock`,
          ...specs.flatMap((spec) => ["--line", spec]),
        ]),
      ],
      cwd: REPOSITORY,
      ...(env === undefined ? {} : { env }),
    });
    const service = new ApiService(process, directory);
    try {
      await process.waitFor('"event":"ready"', { timeoutMs: 120_000 });
    } catch (error) {
      await service[Symbol.asyncDispose]();
      throw error;
    }
    return service;
  }

  /** The vhost-user socket of an aggregator. */
  socket(name: string): string {
    return `${this.directory}/${name}.sock`;
  }

  /** Asks for an aggregator of a client's that checks nothing before. */
  async post(body: unknown): Promise<{ status: number; text: string }> {
    const answer = await sendRequest(this.client.socketPath, {
      method: "POST",
      path: "/v1/aggregators",
      body,
    });
    const text = await answer.inTime(readText(answer.body));
    return { status: answer.status, text };
  }

  /** The entries of the audit log so far. */
  audit(): Record<string, unknown>[] {
    return Deno.readTextFileSync(`${this.directory}/audit.log`).trim()
      .split("\n").map((line) => JSON.parse(line));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

/** A process that holds a lease. */
export interface LeaseHolder extends AsyncDisposable {
  readonly process: ChildProcess;
  /** The aggregator, as its maker was told of it. */
  readonly state: AggregatorState;
}

/** Starts a process that makes an aggregator and holds its lease. */
export async function startLeaseHolder(
  apiSocket: string,
  request: Omit<CreateRequest, "lease">,
): Promise<LeaseHolder> {
  const process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      "run",
      "-q",
      "--no-prompt",
      "--no-check",
      "--allow-ffi",
      `${REPOSITORY}/tests/environment/lease_holder.ts`,
      apiSocket,
      JSON.stringify(request),
    ],
  });
  try {
    const [line] = await process.waitFor(/^\{.*\}\n/, { timeoutMs: 120_000 });
    return {
      process,
      state: JSON.parse(line),
      [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
    };
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}
