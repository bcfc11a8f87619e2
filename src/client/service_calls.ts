/**
 * Calls of the control API: a request, its limit of time, and its answer,
 * checked or turned into an error.
 *
 * @module
 */
import { checkedAnswer, quoted, readServiceError } from "./answers.ts";
import {
  type ApiAnswer,
  type ApiRequest,
  readLines,
  readText,
  sendRequest,
  strangeAnswer,
} from "./http_request.ts";
import type { AnySchema } from "./message_schema.ts";
import { MESSAGES } from "./messages.ts";
import { isConnectionLoss } from "./paths.ts";
import type { ApiEvent } from "./protocol.ts";
import { type CallOptions, callSignal } from "./request_checks.ts";

/** Limit of an answer to a question. **Units**: milliseconds. */
const LOOK_LIMIT_MS = 10_000;
/**
 * The same for a change: chips of the kernel appear, and QEMUs answer, within
 * seconds. **Units**: milliseconds.
 */
const CHANGE_LIMIT_MS = 30_000;

/** Makes calls to one service. Holds no connection between them. */
export class ServiceCalls {
  readonly #socketPath: string;
  readonly #limitMs: number | undefined;

  /**
   * Prepares calls to the service at `socketPath`.
   *
   * @param limitMs Limit of an answer, in milliseconds; undefined: 10 s, for a
   * change 30 s.
   */
  constructor(socketPath: string, limitMs: number | undefined) {
    this.#socketPath = socketPath;
    this.#limitMs = limitMs;
  }

  /**
   * Sends a request, and returns the answer that begins.
   *
   * @throws {ServiceError} If the service refuses.
   * @throws {Error} If there is no service, or no answer in time.
   */
  async send(request: ApiRequest, options: CallOptions): Promise<ApiAnswer> {
    const signal = callSignal(options);
    const limitMs = this.#limitMs ??
      (request.method === "GET" ? LOOK_LIMIT_MS : CHANGE_LIMIT_MS);
    const answer = await sendRequest(
      this.#socketPath,
      request,
      limitMs,
      signal,
    );
    if (answer.status < 400) return answer;
    const text = await answer.inTime(readText(answer.body));
    throw readServiceError(answer.status, text) ??
      strangeAnswer(this.#socketPath, `it answers ${answer.status}`);
  }

  /**
   * Sends a request, and returns the message that answers it.
   *
   * @throws {ServiceError} If the service refuses.
   * @throws {Error} If there is no service, no answer in time, or the answer is
   * not the message that `schema` describes.
   */
  async ask<T>(
    request: ApiRequest,
    options: CallOptions,
    schema: AnySchema,
  ): Promise<T> {
    const answer = await this.send(request, options);
    const text = await answer.inTime(readText(answer.body));
    return checkedAnswer<T>(this.#socketPath, text, schema);
  }

  /** Yields the events of a stream until it ends, or `signal` is aborted. */
  async *events(
    path: string,
    signal: AbortSignal,
  ): AsyncGenerator<ApiEvent, void> {
    const answer = await this.send({ method: "GET", path }, { signal });
    let isStrange = true;
    signal.addEventListener("abort", () => answer.close(), { once: true });
    try {
      for await (const line of readLines(answer.body)) {
        if (!line.startsWith("data:")) continue;
        const event = checkedAnswer<ApiEvent>(
          this.#socketPath,
          line.slice(5),
          MESSAGES.Event,
        );
        isStrange = false;
        yield event;
      }
      if (isStrange) {
        throw strangeAnswer(this.#socketPath, "it sends no event");
      }
    } catch (error) {
      // A service that was killed ends its streams in the middle.
      if (!isConnectionLoss(error)) throw error;
    } finally {
      answer.close();
    }
  }

  /** Returns the error of an answer that no service of this kind gives. */
  strange(text: string): Error {
    return strangeAnswer(this.#socketPath, `it answers ${quoted(text)}`);
  }
}
