/**
 * The control API of a running service, for Deno programs.
 *
 * @module
 */
import { readText } from "./http_request.ts";
import {
  requireKeys,
  requireString,
  requireTimeout,
} from "../text/arguments.ts";
import {
  type CallOptions,
  checkCreateRequest,
  checkForceRequest,
  checkLevels,
  checkPlayRequest,
  checkRules,
  type EventOptions,
  eventQuery,
  type HistoryOptions,
  historyQuery,
  type LeaseOptions,
  leaseOptions,
} from "./request_checks.ts";
import type { PlayRequest, PlayState } from "./play.ts";
import { ServiceCalls } from "./service_calls.ts";
import { ServiceEvents } from "./service_events.ts";
import { ServiceError } from "./answers.ts";
import type { ForceRequest } from "./force.ts";
import { HeldForce } from "./held_force.ts";
import { LeasedAggregator } from "./leased_aggregator.ts";
import { aggregatorPath } from "./paths.ts";
import { ANSWERS, MESSAGES } from "./messages.ts";
import type {
  AggregatorState,
  CreateRequest,
  ReloadState,
  RuleChangeState,
  ServiceLine,
} from "./protocol.ts";
import type { History } from "./edges.ts";

export { HeldForce, LeasedAggregator, ServiceError };

/** Limit of the end of an aggregator. **Units**: milliseconds. */
const RELEASE_LIMIT_MS = 5000;
/** HTTP status of an aggregator that was removed. */
const NO_CONTENT = 204;

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
  readonly #calls: ServiceCalls;

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
    this.#calls = new ServiceCalls(socketPath, options.limitMs);
  }

  /**
   * All aggregators of the service.
   *
   * @throws {ServiceError} If the service refuses.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async list(options: CallOptions = {}): Promise<AggregatorState[]> {
    const answer = await this.#calls.ask<{ aggregators: AggregatorState[] }>(
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
    return await this.#calls.ask(
      { method: "GET", path: aggregatorPath(name) },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Makes an aggregator that lives as long as what this returns, and no longer
   * than this process: when it dies, however it dies, the guest is
   * disconnected, the lines get their safe state and are released, and the
   * socket, or the kernel chip, is removed. A restart of a service whose lines a
   * service manager keeps does not end it.
   *
   * @param options With `signal`, making it can be called off; an aggregator
   * that is there is ended by disposing it. `onWait` is called for restarts.
   * @throws {ServiceError} If the lines cannot be had, or it cannot be
   * presented as it is asked for.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async create(
    request: Omit<CreateRequest, "lease">,
    options: LeaseOptions = {},
  ): Promise<LeasedAggregator> {
    checkCreateRequest(request);
    const { onWait, call } = leaseOptions(options);
    const answer = await this.#calls.send({
      method: "POST",
      path: "/v1/aggregators",
      body: { ...request, lease: "stream" },
    }, call);
    return await LeasedAggregator.open({
      socketPath: this.socketPath,
      onWait,
      limitMs: this.#limitMs ?? RELEASE_LIMIT_MS,
      show: (name, limitMs) =>
        new ServiceClient(this.socketPath, { limitMs }).show(name),
      resume: (name, token, limitMs) =>
        new ServiceCalls(this.socketPath, limitMs).send({
          method: "POST",
          path: `${aggregatorPath(name)}/lease`,
          body: { token },
        }, {}),
    }, answer);
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
    return await this.#calls.ask(
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
   * Ends an aggregator of any client, or, by `isForced`, one of the service's own
   * configuration.
   *
   * @throws {ServiceError} With status 404 if there is none of this name, and
   * 409 if it is of the service's own configuration.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async remove(
    name: string,
    { isForced = false, ...options }: CallOptions & { isForced?: boolean } = {},
  ): Promise<void> {
    const path = `${aggregatorPath(name)}${isForced ? "?force=1" : ""}`;
    const answer = await this.#calls.send({ method: "DELETE", path }, options);
    const text = await answer.inTime(readText(answer.body));
    // Another program's socket may have no objection to anything.
    if (answer.status !== NO_CONTENT) throw this.#calls.strange(text);
  }

  /**
   * Has the service read its configuration file again. What may change under
   * running guests is changed, the rest is refused with the reason.
   *
   * @throws {ServiceError} With status 400 if the file is not valid: then
   * nothing was changed, and `errors` has what is wrong; with 409 if the service
   * has none.
   * @throws {Error} If there is no service, or no answer in time.
   */
  reload(options: CallOptions = {}): Promise<ReloadState> {
    return this.#calls.ask(
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
    return await this.#calls.ask(
      {
        method: "PATCH",
        path: `${aggregatorPath(name)}/lines`,
        body: { pull: levels },
      },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Changes rules of lines of an aggregator that a client made, under its guest;
   * null: as without the rule.
   *
   * @param rules Changes by line name or number.
   * @throws {ServiceError} If there is no such line, the service's configuration
   * made the aggregator, rules contradict each other, or a change is not
   * possible under a guest.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async changeRules(
    name: string,
    rules: Readonly<Record<string, RuleChangeState>>,
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    checkRules(rules);
    return await this.#calls.ask(
      { method: "PATCH", path: aggregatorPath(name), body: { rules } },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Plays values into simulated lines at given times: a timer of the service
   * decides when. Steps with the same `from` follow those that wait.
   *
   * @throws {ServiceError} If there is no such line, it is not simulated,
   * another play is under way, or too many steps wait.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async play(
    name: string,
    request: PlayRequest,
    options: CallOptions = {},
  ): Promise<PlayState> {
    checkPlayRequest(request);
    return await this.#calls.ask(
      { method: "POST", path: `${aggregatorPath(name)}/play`, body: request },
      options,
      MESSAGES.Play,
    );
  }

  /**
   * Returns the state of the last play of an aggregator.
   *
   * @throws {ServiceError} With status 404 if there is none of this name.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async playState(
    name: string,
    options: CallOptions = {},
  ): Promise<PlayState> {
    return await this.#calls.ask(
      { method: "GET", path: `${aggregatorPath(name)}/play` },
      options,
      MESSAGES.Play,
    );
  }

  /**
   * Cancels the steps that wait; lines stay as they are.
   *
   * @throws {ServiceError} With status 404 if there is none of this name.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async cancelPlay(
    name: string,
    options: CallOptions = {},
  ): Promise<PlayState> {
    return await this.#calls.ask(
      { method: "DELETE", path: `${aggregatorPath(name)}/play` },
      options,
      MESSAGES.Play,
    );
  }

  /**
   * Holds lines at values until their time is over, what this returns is
   * disposed, or this process ends; outputs then go back to what their guest
   * asked for last.
   *
   * @throws {ServiceError} If a line cannot be forced, with the reason.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async force(
    name: string,
    request: Omit<ForceRequest, "lease">,
    options: CallOptions = {},
  ): Promise<HeldForce> {
    checkForceRequest(request);
    const body = { ...request, lease: "stream" };
    const path = `${aggregatorPath(name)}/force`;
    const answer = await this.#calls.send(
      { method: "POST", path, body },
      options,
    );
    return await HeldForce.open(this.socketPath, answer);
  }

  /**
   * Holds lines at values until their time is over.
   *
   * @throws {ServiceError} If a line cannot be forced, with the reason.
   * @throws {TypeError} For an unknown key, or a value of another type.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async forceDetached(
    name: string,
    request: Omit<ForceRequest, "lease">,
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    checkForceRequest(request);
    const body = { ...request, lease: "none" };
    return await this.#calls.ask(
      { method: "POST", path: `${aggregatorPath(name)}/force`, body },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * Ends forces, of whatever operator.
   *
   * @param lines Names or numbers; absent: all lines of the aggregator.
   * @throws {ServiceError} If there is no such aggregator or line.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async endForce(
    name: string,
    lines: readonly string[] = [],
    options: CallOptions = {},
  ): Promise<AggregatorState> {
    const query = new URLSearchParams(lines.map((line) => ["line", line]));
    const path = `${aggregatorPath(name)}/force${
      lines.length === 0 ? "" : `?${query}`
    }`;
    return await this.#calls.ask(
      { method: "DELETE", path },
      options,
      MESSAGES.Aggregator,
    );
  }

  /**
   * The lines of all aggregators, with their present values.
   *
   * @throws {Error} If there is no service, or no answer in time.
   */
  async lines(options: CallOptions = {}): Promise<ServiceLine[]> {
    const { lines } = await this.#calls.ask<{ lines: ServiceLine[] }>(
      { method: "GET", path: "/v1/lines" },
      options,
      ANSWERS.allLines,
    );
    return lines;
  }

  /**
   * Edges of the past, as far as the service keeps them. If the answer has
   * `next`, it is the `from` of the next call.
   *
   * @throws {ServiceError} If a time or a line is not valid, or the service
   * records no edges.
   * @throws {Error} If there is no service, or no answer in time.
   * @throws {TypeError} For an unknown option, or a value of another type.
   */
  async history(options: HistoryOptions = {}): Promise<History> {
    const { query, signal } = historyQuery(options);
    return await this.#calls.ask(
      { method: "GET", path: `/v1/history${query}` },
      { signal },
      MESSAGES.History,
    );
  }

  /**
   * Returns the events of the service from now on, beginning with a snapshot.
   * Ends with the service, when the caller leaves the loop, or with the signal.
   *
   * @param name Only what concerns this aggregator.
   * @param options With `edges`, edges are included.
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
  events(name?: string, options: EventOptions = {}): ServiceEvents {
    const { query, signal } = eventQuery(name, options);
    return new ServiceEvents(
      (signal) => this.#calls.events(`/v1/events${query}`, signal),
      signal,
    );
  }

  /**
   * The service's counters in Prometheus' text format.
   *
   * @throws {Error} If there is no service, or no answer in time.
   */
  async metrics(options: CallOptions = {}): Promise<string> {
    const answer = await this.#calls.send(
      { method: "GET", path: "/metrics" },
      options,
    );
    return await answer.inTime(readText(answer.body));
  }
}
