/**
 * A client that has a lease and no library: it comes back after a restart when
 * the test says so.
 *
 * @module
 */
import { readLines, sendRequest } from "../../src/client/http_request.ts";
import type { AggregatorState } from "../../src/client/protocol.ts";

/** Limit of every answer. **Units**: milliseconds. */
const LIMIT_MS = 120_000;

/** A lease. Disposing ends its connection. */
export class RawLease implements Disposable {
  readonly state: AggregatorState;
  /** Token of its first message, if there is one. */
  readonly token: string | undefined;
  readonly #close: () => void;

  private constructor(
    { aggregator, token }: { aggregator: AggregatorState; token?: string },
    close: () => void,
  ) {
    this.state = aggregator;
    this.token = token;
    this.#close = close;
  }

  /** Makes an aggregator. */
  static create(api: string, request: unknown): Promise<RawLease> {
    return RawLease.#begin(api, "/v1/aggregators", request);
  }

  /** Takes a lease back. */
  static resume(api: string, name: string, token: string): Promise<RawLease> {
    return RawLease.#begin(api, `/v1/aggregators/${name}/lease`, { token });
  }

  static async #begin(
    api: string,
    path: string,
    body: unknown,
  ): Promise<RawLease> {
    const request = { method: "POST", path, body } as const;
    const answer = await sendRequest(api, request, LIMIT_MS);
    const { value } = await readLines(answer.body).next();
    const message = JSON.parse(value || "null");
    if (message?.aggregator === undefined) {
      answer.close();
      throw new Error(`${path} is answered with ${answer.status}: ${value}`);
    }
    return new RawLease(message, answer.close);
  }

  [Symbol.dispose](): void {
    this.#close();
  }
}
