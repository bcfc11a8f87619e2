/**
 * An aggregator whose life is tied to an open stream of answers.
 *
 * @module
 */
import { TimeoutError } from "../async/wait.ts";
import { checkedAnswer, ServiceError } from "./answers.ts";
import { type ApiAnswer, readLines } from "./http_request.ts";
import { MESSAGES } from "./messages.ts";
import type { AggregatorState, LeaseMessage } from "./protocol.ts";

/** Interval of looks for the end of an aggregator. **Units**: milliseconds. */
const RELEASE_LOOK_MS = 10;

/** Service that an aggregator is leased from. */
export interface LeasingService {
  /** Path of its control API. */
  readonly socketPath: string;
  /** Time for the end of an aggregator. **Units**: milliseconds. */
  readonly limitMs: number;
  /**
   * Asks for an aggregator's state.
   *
   * @throws {TimeoutError} If there is no answer in `limitMs`.
   * @throws {Error} If there is no such aggregator, or no service.
   */
  show(name: string, limitMs: number): Promise<AggregatorState>;
}

/**
 * An aggregator that lives as long as this object is not disposed, and no
 * longer than this process.
 */
export class LeasedAggregator implements AsyncDisposable {
  /** State when it was made. */
  readonly state: AggregatorState;
  readonly #service: LeasingService;
  readonly #answer: ApiAnswer;
  readonly #ended: Promise<string>;

  private constructor(
    service: LeasingService,
    state: AggregatorState,
    answer: ApiAnswer,
    lines: AsyncIterator<string>,
  ) {
    this.#service = service;
    this.state = state;
    this.#answer = answer;
    this.#ended = untilEnded(lines);
  }

  /** @ignore What {@linkcode ServiceClient.create} takes over as the lease. */
  static async open(
    service: LeasingService,
    answer: ApiAnswer,
  ): Promise<LeasedAggregator> {
    const lines = readLines(answer.body);
    const first = await answer.inTime(lines.next());
    let message: LeaseMessage;
    try {
      message = checkedAnswer(
        service.socketPath,
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
    return new LeasedAggregator(service, message.aggregator, answer, lines);
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
    const { limitMs } = this.#service;
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
      const { servedSince } = await this.#service.show(this.name, limitMs);
      // Another one of the same name is of another maker.
      return servedSince === this.state.servedSince;
    } catch (cause) {
      // Otherwise it is gone, or the service is.
      if (!(cause instanceof TimeoutError)) return false;
      if (wasServed) return true;
      const { socketPath, limitMs } = this.#service;
      const { message } = new TimeoutError(socketPath, limitMs);
      throw new Error(`Cannot tell whether ${this.name} is gone. ${message}`, {
        cause,
      });
    }
  }
}

/** Returns why a stream of a lease has ended, once it has. */
export async function untilEnded(
  lines: AsyncIterator<string>,
): Promise<string> {
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
