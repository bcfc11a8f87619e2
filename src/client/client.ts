/**
 * The control API of a running service, for Deno programs.
 *
 * @module
 */
import {
  type ApiAnswer,
  type ApiRequest,
  readLines,
  readText,
  sendRequest,
  strangeAnswer,
} from "./http_request.ts";
import {
  requireKeys,
  requireString,
  requireTimeout,
} from "../text/arguments.ts";
import {
  type CallOptions,
  callSignal,
  checkCreateRequest,
  checkLevels,
} from "./request_checks.ts";
import { ServiceEvents } from "./service_events.ts";
import { TimeoutError } from "../async/wait.ts";
import type { AnySchema } from "./message_schema.ts";
import { ANSWERS, MESSAGES } from "./messages.ts";
import type {
  AggregatorState,
  ApiErrorBody,
  ApiEvent,
  CreateRequest,
  LeaseMessage,
  ReloadState,
} from "./protocol.ts";

/** Limit of an answer to a question. **Units**: milliseconds. */
const LOOK_LIMIT_MS = 10_000;
/**
 * The same for a change: chips of the kernel appear, and QEMUs answer, within
 * seconds. **Units**: milliseconds.
 */
const CHANGE_LIMIT_MS = 30_000;
/** Limit of the end of an aggregator, and interval of looks. **Units**: ms. */
const RELEASE_LIMIT_MS = 5000;
const RELEASE_LOOK_MS = 10;
/** HTTP status of an aggregator that was removed. */
const NO_CONTENT = 204;
/** Length of an answer that a message quotes. **Units**: UTF-16 units. */
const QUOTED_LENGTH = 60;

/** A service refused, or could not do, what a client asked for. */
export class ServiceError extends Error {
  /** Tells it from other errors. */
  override readonly name = "ServiceError";
  /** The HTTP status. */
  readonly status: number;
  /** One line that says what to do; may be empty. */
  readonly hint: string;
  /**
   * Invalid value, by its path in the request's body, or as `--line SPEC`; may be
   * empty. The message begins with it.
   */
  readonly path: string;

  /** Makes the error of an answer. */
  constructor(status: number, message: string, hint = "", path = "") {
    super(message);
    this.status = status;
    this.hint = hint;
    this.path = path;
  }
}

/**
 * A client of one service. Holds no connection between calls.
 *
 * Needs `--allow-ffi` and no network permission; the file system decides who
 * may use the socket.
 *
 * @example Lines that go away with the program that made them
 * ```ts
 * import { ServiceClient } from "@gpioagg/gpioagg";
 *
 * async function lend(service: ServiceClient): Promise<void> {
 *   await using plc = await service.create({
 *     name: "plc0",
 *     lines: ["gpiochip0/0-7,direction=output,safe=0"],
 *   });
 *   console.log(plc.socketPath); // give this to a VMM
 *   console.log(await plc.ended); // why it went, if not by this program
 * }
 *
 * const service = new ServiceClient("/run/gpioagg/api.sock");
 * console.log(`lend(service) would ask at ${service.socketPath}`, lend);
 * ```
 */
export class ServiceClient {
  /** Path of the service's control API. */
  readonly socketPath: string;
  readonly #limitMs: number | undefined;

  /**
   * Makes a client of the service at `socketPath`; nothing is opened yet.
   *
   * @param options `limitMs`: how long the service may take for an answer, in
   * milliseconds; absent: 10 s, for a change 30 s, and 5 s to end an aggregator
   * whose lease was given up. The streams of {@linkcode ServiceClient.events}
   * and of a lease have none once they have begun. When it has passed, an
   * `Error` with the name `TimeoutError` is thrown, and whether the service did
   * what it was asked for is not known.
   * @throws {TypeError} For an unknown option, or a value of another type.
   */
  constructor(
    socketPath: string,
    options: { limitMs?: number | undefined } = {},
  ) {
    requireString("socketPath", socketPath);
    requireKeys("the options", options, ["limitMs"], {
      timeout: "limitMs",
      limit: "limitMs",
    });
    if (options.limitMs !== undefined) {
      requireTimeout("limitMs", options.limitMs);
    }
    this.socketPath = socketPath;
    this.#limitMs = options.limitMs;
  }

  /**
   * All aggregators of the service.
   *
   * @throws {ServiceError} If the service refuses.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async list(options: CallOptions = {}): Promise<AggregatorState[]> {
    const answer = await this.#ask<{ aggregators: AggregatorState[] }>(
      { method: "GET", path: "/v1/aggregators" },
      options,
      ANSWERS.aggregators,
    );
    return answer.aggregators;
  }

  /**
   * One aggregator, with its lines' present values.
   *
   * @throws {ServiceError} With status 404 if there is none of this name.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async show(
    name: string,
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    return await this.#ask(
      { method: "GET", path: pathOf(name) },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Makes an aggregator that lives as long as what this returns, and no longer
   * than this process: when it dies, however it dies, the guest is
   * disconnected, the lines get their safe state and are released, and the
   * socket, or the kernel chip, is removed.
   *
   * @param options With `signal`, making it can be called off; an aggregator
   * that is there is ended by disposing it.
   * @throws {ServiceError} If the lines cannot be had, or it cannot be
   * presented as it is asked for.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async create(
    request: Omit<CreateRequest, "lease">,
    options: CallOptions = {},
  ): Promise<LeasedAggregator> {
    checkCreateRequest(request);
    const answer = await this.#send({
      method: "POST",
      path: "/v1/aggregators",
      body: { ...request, lease: "stream" },
    }, options);
    return await LeasedAggregator.open(
      this.socketPath,
      answer,
      this.#limitMs ?? RELEASE_LIMIT_MS,
    );
  }

  /**
   * Makes an aggregator that outlives its maker.
   *
   * @throws {ServiceError} If the lines cannot be had, or it cannot be
   * presented as it is asked for.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async createLasting(
    request: Omit<CreateRequest, "lease">,
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    checkCreateRequest(request);
    return await this.#ask(
      {
        method: "POST",
        path: "/v1/aggregators",
        body: { ...request, lease: "none" },
      },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Ends an aggregator, of whatever maker.
   *
   * @throws {ServiceError} With status 404 if there is none of this name.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async remove(name: string, options: CallOptions = {}): Promise<void> {
    const answer = await this.#send(
      { method: "DELETE", path: pathOf(name) },
      options,
    );
    const text = await answer.inTime(readText(answer.body));
    // Another program's socket may have no objection to anything.
    if (answer.status !== NO_CONTENT) throw this.#strange(text);
  }

  /**
   * Has the service read its configuration file again. What may change under
   * running guests is changed, the rest is refused with the reason.
   *
   * @throws {ServiceError} With status 400 if the file is not valid: then
   * nothing was changed; with 409 if the service has none.
   * @throws {Error} If there is no service, or no answer in time.
   */
  reload(options: CallOptions = {}): Promise<ReloadState> {
    return this.#ask(
      { method: "POST", path: "/v1/reload" },
      options,
      MESSAGES.Reload,
    );
  }

  /**
   * Pulls simulated lines to levels, as the world outside would.
   *
   * @throws {ServiceError} If there is no such line, or it is not simulated.
   * @throws {TypeError} If a level is neither 0 nor 1.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async pull(
    name: string,
    levels: Readonly<Record<string, 0 | 1>>,
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    checkLevels(levels);
    return await this.#ask(
      {
        method: "PATCH",
        path: `${pathOf(name)}/lines`,
        body: { pull: levels },
      },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Returns the events of the service from now on, beginning with a snapshot.
   * Ends with the service, when the caller leaves the loop, or with the signal.
   *
   * @param name Only what concerns this aggregator.
   * @throws {Error} As a rejection, if there is no service, or no answer in
   * time.
   * @throws {TypeError} For an unknown option, or a value of another type.
   *
   * @example The next change, or nothing after a minute
   * ```ts
   * import { type ApiEvent, ServiceClient } from "@gpioagg/gpioagg";
   *
   * async function nextChange(
   *   service: ServiceClient,
   *   name: string,
   * ): Promise<ApiEvent | undefined> {
   *   const signal = AbortSignal.timeout(60_000);
   *   try {
   *     for await (const event of service.events(name, { signal })) {
   *       if (event.event === "lines") return event;
   *     }
   *   } catch (error) {
   *     if (error !== signal.reason) throw error;
   *   }
   *   return undefined;
   * }
   * ```
   */
  events(name?: string, options: CallOptions = {}): ServiceEvents {
    if (name !== undefined) requireString("name", name);
    const query = name === undefined
      ? ""
      : `?aggregator=${encodeURIComponent(name)}`;
    return new ServiceEvents(
      (signal) => this.#events(`/v1/events${query}`, signal),
      callSignal(options),
    );
  }

  async *#events(
    path: string,
    signal: AbortSignal,
  ): AsyncGenerator<ApiEvent, void> {
    const answer = await this.#send({ method: "GET", path }, { signal });
    let isStrange = true;
    signal.addEventListener("abort", () => answer.close(), { once: true });
    try {
      for await (const line of readLines(answer.body)) {
        if (!line.startsWith("data:")) continue;
        const event = this.#checked<ApiEvent>(line.slice(5), MESSAGES.Event);
        isStrange = false;
        yield event;
      }
      if (isStrange) {
        throw strangeAnswer(this.socketPath, "it sends no event");
      }
    } catch (error) {
      // A service that was killed ends its streams in the middle.
      if (!isConnectionLoss(error)) throw error;
    } finally {
      answer.close();
    }
  }

  /**
   * The service's counters in Prometheus' text format.
   *
   * @throws {Error} If there is no service, or no answer in time.
   */
  async metrics(options: CallOptions = {}): Promise<string> {
    const answer = await this.#send(
      { method: "GET", path: "/metrics" },
      options,
    );
    return await answer.inTime(readText(answer.body));
  }

  async #send(request: ApiRequest, options: CallOptions): Promise<ApiAnswer> {
    const signal = callSignal(options);
    const limitMs = this.#limitMs ??
      (request.method === "GET" ? LOOK_LIMIT_MS : CHANGE_LIMIT_MS);
    const answer = await sendRequest(
      this.socketPath,
      request,
      limitMs,
      signal,
    );
    if (answer.status < 400) return answer;
    const text = await answer.inTime(readText(answer.body));
    throw errorOf(answer.status, text) ??
      strangeAnswer(this.socketPath, `it answers ${answer.status}`);
  }

  async #ask<T>(
    request: ApiRequest,
    options: CallOptions,
    schema: AnySchema,
  ): Promise<T> {
    const answer = await this.#send(request, options);
    const text = await answer.inTime(readText(answer.body));
    return this.#checked<T>(text, schema);
  }

  /** @throws {Error} If a text is not the message that `schema` describes. */
  #checked<T>(text: string, schema: AnySchema): T {
    return checkedAnswer<T>(this.socketPath, text, schema);
  }

  #strange(text: string): Error {
    return strangeAnswer(this.socketPath, `it answers ${quoted(text)}`);
  }
}

/**
 * An aggregator that lives as long as this object is not disposed, and no
 * longer than this process.
 */
export class LeasedAggregator implements AsyncDisposable {
  /** State when it was made. */
  readonly state: AggregatorState;
  readonly #apiPath: string;
  readonly #answer: ApiAnswer;
  readonly #releaseLimitMs: number;
  readonly #ended: Promise<string>;

  private constructor(
    apiPath: string,
    state: AggregatorState,
    answer: ApiAnswer,
    lines: AsyncIterator<string>,
    releaseLimitMs: number,
  ) {
    this.#apiPath = apiPath;
    this.state = state;
    this.#answer = answer;
    this.#releaseLimitMs = releaseLimitMs;
    this.#ended = untilEnded(lines);
  }

  /** @ignore What {@linkcode ServiceClient.create} takes over as the lease. */
  static async open(
    apiPath: string,
    answer: ApiAnswer,
    releaseLimitMs: number,
  ): Promise<LeasedAggregator> {
    const lines = readLines(answer.body);
    const first = await answer.inTime(lines.next());
    let message: LeaseMessage;
    try {
      message = checkedAnswer(
        apiPath,
        first.done ? "" : first.value,
        MESSAGES.LeaseMessage,
      );
      if ("ended" in message) {
        throw new ServiceError(answer.status, "The service ended at once");
      }
    } catch (error) {
      answer.close();
      throw error;
    }
    const { aggregator } = message;
    return new LeasedAggregator(
      apiPath,
      aggregator,
      answer,
      lines,
      releaseLimitMs,
    );
  }

  /** Its name. */
  get name(): string {
    return this.state.name;
  }

  /**
   * The vhost-user socket to give to a VMM.
   *
   * @throws {TypeError} If it is presented in another way.
   */
  get socketPath(): string {
    return this.#place(this.state.socketPath, "vhost-user socket");
  }

  /**
   * The device node of its kernel chip: `/dev/gpiochip5`.
   *
   * @throws {TypeError} If it is presented in another way.
   */
  get chipPath(): string {
    return this.#place(this.state.kernelChip?.path, "kernel chip");
  }

  /** Resolves with the reason once it is gone, whatever ended it. */
  get ended(): Promise<string> {
    return this.#ended;
  }

  /**
   * Gives the lease up, and waits until the aggregator is gone: its lines are
   * free then.
   *
   * @throws {Error} If it is still there after 5 s (or the client's `limitMs`),
   * or there is no answer: a service that lives on ends it as soon as it can.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#answer.close();
    await this.#ended;
    const limitMs = this.#releaseLimitMs;
    const deadline = performance.now() + limitMs;
    for (let looks = 0; await this.#isServed(deadline, looks > 0); looks++) {
      await new Promise((resolve) => setTimeout(resolve, RELEASE_LOOK_MS));
      if (performance.now() >= deadline) {
        throw new Error(
          `${this.name} is still served ${limitMs / 1000} s after its lease ` +
            "was given up",
        );
      }
    }
  }

  #place(path: string | undefined, what: string): string {
    if (path !== undefined) return path;
    const { name, presentation } = this.state;
    throw new TypeError(`${name} has no ${what}: it is served ${presentation}`);
  }

  /** @param wasServed The last answer; it stands where there is no other. */
  async #isServed(deadline: number, wasServed: boolean): Promise<boolean> {
    const limitMs = Math.max(0, deadline - performance.now());
    try {
      const client = new ServiceClient(this.#apiPath, { limitMs });
      const { servedSince } = await client.show(this.name);
      // Another one of the same name is of another maker.
      return servedSince === this.state.servedSince;
    } catch (cause) {
      // Otherwise it is gone, or the service is.
      if (!(cause instanceof TimeoutError)) return false;
      if (wasServed) return true;
      const { message } = new TimeoutError(this.#apiPath, this.#releaseLimitMs);
      throw new Error(`Cannot tell whether ${this.name} is gone. ${message}`, {
        cause,
      });
    }
  }
}

async function untilEnded(lines: AsyncIterator<string>): Promise<string> {
  try {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) return "the service is gone";
      const message: LeaseMessage = JSON.parse(value);
      if ("ended" in message) return message.ended;
    }
  } catch {
    // The stream was closed, from either side, in the middle.
    return "the connection is closed";
  }
}

/** As node:http tells of a connection that ended before its answer did. */
function isConnectionLoss(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause &&
    cause.code === "ECONNRESET";
}

/**
 * @throws {ServiceError} If nothing can have this name, nor be asked for by it.
 * @throws {TypeError} If it is no string.
 */
function pathOf(name: string): string {
  requireString("name", name);
  // In a URL these are a directory, however they are written.
  if (["", ".", ".."].includes(name)) {
    throw new ServiceError(404, `There is no aggregator "${name}"`);
  }
  return `/v1/aggregators/${encodeURIComponent(name)}`;
}

/** Returns the error that a service names; undefined if it names none. */
function errorOf(status: number, text: string): ServiceError | undefined {
  const body = parsed(text);
  if (!MESSAGES.Error.check(body, "", () => {})) return undefined;
  const { message, hint, path } = (body as unknown as ApiErrorBody).error;
  return new ServiceError(status, message, hint, path);
}

/**
 * Returns the message that a text is.
 *
 * @throws {Error} If it is not what `schema` describes; names the first defect.
 */
function checkedAnswer<T>(path: string, text: string, schema: AnySchema): T {
  const value = parsed(text);
  schema.check(value, "", ({ path: at, problem }) => {
    const why = at === ""
      ? `it answers ${quoted(text)}`
      : `in its answer, ${at} ${problem}`;
    throw strangeAnswer(path, why);
  });
  return value as T;
}

/** Returns the object that a JSON text is; undefined if it is none. */
function parsed(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? value as Record<string, unknown>
      : undefined;
  } catch {
    return undefined;
  }
}

/** An answer as a message quotes it. */
function quoted(text: string): string {
  return text === "" ? "nothing" : JSON.stringify(text.slice(0, QUOTED_LENGTH));
}
