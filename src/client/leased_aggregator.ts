/**
 * An aggregator whose life is tied to an open stream of answers.
 *
 * @module
 */
import { settlesWithin, sleep, TimeoutError } from "../async/wait.ts";
import { checkedAnswer, ServiceError } from "./answers.ts";
import { type ApiAnswer, readLines } from "./http_request.ts";
import { MESSAGES } from "./messages.ts";
import type { AggregatorState, LeaseMessage } from "./protocol.ts";

/** Interval of looks for the end of an aggregator. **Units**: milliseconds. */
const RELEASE_LOOK_MS = 10;
/**
 * Time for a service to come back after a restart, and interval of attempts to
 * reach it. **Units**: milliseconds.
 */
const RESTART_LIMIT_MS = 60_000;
const RESTART_LOOK_MS = 50;
/** HTTP statuses from here on may be others soon: the service ends just now. */
const TEMPORARY = 500;

/** Service that an aggregator is leased from. */
interface LeasingService {
  /** Path of its control API. */
  readonly socketPath: string;
  /** Time for the end of an aggregator. **Units**: milliseconds. */
  readonly limitMs: number;
  /** Called when it waits for the service to return, and when that is back. */
  readonly onWait: (isWaiting: boolean) => void;
  /**
   * Asks for an aggregator's state.
   *
   * @throws {TimeoutError} If there is no answer in `limitMs`.
   * @throws {Error} If there is no such aggregator, or no service.
   */
  show(name: string, limitMs: number): Promise<AggregatorState>;
  /**
   * Takes a lease back after a restart.
   *
   * @throws {ServiceError} If the service refuses.
   * @throws {Error} If there is no service, or no answer in `limitMs`.
   */
  resume(name: string, token: string, limitMs: number): Promise<ApiAnswer>;
}

/** A lease's stream. */
interface Stream {
  readonly answer: ApiAnswer;
  readonly lines: AsyncIterator<string>;
}

/**
 * An aggregator that lives as long as this object is not disposed, and no
 * longer than this process. It goes on over restarts of the service that keep its
 * lines.
 */
export class LeasedAggregator implements AsyncDisposable {
  /** State when it was made. */
  readonly state: AggregatorState;
  readonly #service: LeasingService;
  /** Proves after a restart that the lease is this one; absent: it ends then. */
  readonly #token: string | undefined;
  readonly #ended: Promise<string>;
  #stream: Stream;
  /** Distinguishes it from another one of its name; unique to each process. */
  #servedSince: number | undefined;
  /** End of attempts to reach the service. **Units**: ms of the monotonic clock. */
  #deadline = Infinity;
  #isGivenUp = false;

  private constructor(
    service: LeasingService,
    state: AggregatorState,
    token: string | undefined,
    stream: Stream,
  ) {
    this.#service = service;
    this.state = state;
    this.#token = token;
    this.#stream = stream;
    this.#servedSince = state.servedSince;
    this.#ended = this.#untilEnded();
  }

  /** @ignore What {@linkcode ServiceClient.create} takes over as the lease. */
  static async open(
    service: LeasingService,
    answer: ApiAnswer,
  ): Promise<LeasedAggregator> {
    const stream = { answer, lines: readLines(answer.body) };
    const message = await firstMessage(service, stream);
    if ("ended" in message) {
      answer.close();
      throw new ServiceError(answer.status, "The service ended at once");
    }
    const { aggregator, token } = message;
    return new LeasedAggregator(service, aggregator, token, stream);
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
    const { limitMs } = this.#service;
    const deadline = performance.now() + limitMs;
    this.#isGivenUp = true;
    // While the service restarts, it is notified as soon as it is back.
    this.#deadline = Math.min(this.#deadline, deadline);
    this.#stream.answer.close();
    await settlesWithin(this.#ended, limitMs);
    for (let looks = 0; await this.#isServed(deadline, looks > 0); looks++) {
      await sleep(RELEASE_LOOK_MS);
      if (performance.now() >= deadline) {
        throw new Error(
          `${this.name} is still served ${limitMs / 1000} s after its lease ` +
            "was given up",
        );
      }
    }
  }

  /** Follows the lease over restarts, and returns the reason of its end. */
  async #untilEnded(): Promise<string> {
    for (;;) {
      const { reason, isSaid } = await waitForEnd(this.#stream.lines);
      if (isSaid || this.#isGivenUp || this.#token === undefined) return reason;
      this.#tellWait(true);
      const refusal = await this.#resume(this.#token);
      if (refusal !== undefined) return refusal;
      this.#tellWait(false);
    }
  }

  /** An exception of the callback does not end the lease. */
  #tellWait(isWaiting: boolean): void {
    queueMicrotask(() => this.#service.onWait(isWaiting));
  }

  /** Takes the lease back. Returns why it cannot be had, if so. */
  async #resume(token: string): Promise<string | undefined> {
    this.#deadline = performance.now() + RESTART_LIMIT_MS;
    for (;;) {
      const leftMs = this.#deadline - performance.now();
      if (leftMs <= 0) return "the service is gone";
      try {
        const answer = await this.#service.resume(this.name, token, leftMs);
        const stream = { answer, lines: readLines(answer.body) };
        const message = await firstMessage(this.#service, stream);
        if ("ended" in message) return message.ended;
        this.#stream = stream;
        this.#servedSince = message.aggregator.servedSince;
        this.#deadline = Infinity;
        if (this.#isGivenUp) answer.close();
        return undefined;
      } catch (error) {
        const isFinal = error instanceof ServiceError &&
          error.status < TEMPORARY;
        if (isFinal) return `it did not outlive a restart: ${error.message}`;
      }
      await sleep(RESTART_LOOK_MS);
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
      return servedSince === this.#servedSince;
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

/**
 * Returns the first message of a lease.
 *
 * @throws {Error} If there is none; the stream is closed then.
 */
async function firstMessage(
  { socketPath }: LeasingService,
  { answer, lines }: Stream,
): Promise<LeaseMessage> {
  try {
    const first = await answer.inTime(lines.next());
    return checkedAnswer(
      socketPath,
      first.done ? "" : first.value,
      MESSAGES.LeaseMessage,
    );
  } catch (error) {
    answer.close();
    throw error;
  }
}

/** Returns why a stream of a lease has ended, once it has. */
export async function untilEnded(
  lines: AsyncIterator<string>,
): Promise<string> {
  return (await waitForEnd(lines)).reason;
}

/** Waits for the end of a stream: the reason, and if the service gave it. */
async function waitForEnd(
  lines: AsyncIterator<string>,
): Promise<{ reason: string; isSaid: boolean }> {
  try {
    for (;;) {
      const { value, done } = await lines.next();
      if (done) return { reason: "the service is gone", isSaid: false };
      const message: LeaseMessage = JSON.parse(value);
      if ("ended" in message) return { reason: message.ended, isSaid: true };
    }
  } catch {
    // The stream was closed, from either side, in the middle.
    return { reason: "the connection is closed", isSaid: false };
  }
}
