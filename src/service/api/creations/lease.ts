/**
 * Tie between an aggregator's life and a client connection: the answer to its
 * creation, which stays open.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type {
  AggregatorState,
  LeaseMessage,
} from "../../../client/protocol.ts";
import { beginStream } from "../../../http/paced_connection.ts";
import { printableJson } from "../../../text/printable.ts";

/** One lease. The kernel closes a dead client's connection, so it ends it. */
export class Lease {
  readonly #response: ServerResponse;
  readonly #status: number;
  #onGone: (() => void) | undefined;
  #isGone = false;

  /** Watches the connection of `response`, of this HTTP status, from now on. */
  constructor(response: ServerResponse, socket: Socket, status = 201) {
    this.#response = response;
    this.#status = status;
    const gone = () => {
      // The connection may carry other requests after this one's answer.
      socket.off("end", gone);
      socket.off("close", gone);
      response.off("close", gone);
      this.#gone();
    };
    // A client that shuts its side down gives its lease up, as one does that is
    // gone: the kernel reports both in the same way.
    socket.on("end", gone);
    socket.on("close", gone);
    response.on("close", gone);
    if (socket.destroyed) this.#isGone = true;
  }

  /** The client is gone already. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /**
   * Answers with the aggregator; `onGone` is called once the client is gone.
   *
   * @param token Proves after a restart that the lease is the client's.
   */
  grant(
    aggregator: AggregatorState,
    onGone: () => void,
    token?: string | undefined,
  ): void {
    this.#onGone = onGone;
    this.#say({ aggregator, ...(token === undefined ? {} : { token }) });
  }

  /** Lets the next process decide: the client comes back to it, or not. */
  leave(): void {
    this.#onGone = undefined;
  }

  /** Reports to the client why its aggregator was ended. */
  end(reason: string): void {
    this.#onGone = undefined;
    // One that only shut its write side still gets the end.
    if (this.#response.destroyed || this.#response.writableEnded) return;
    this.#say({ ended: reason });
    this.#response.end();
  }

  #say(message: LeaseMessage): void {
    if (!this.#response.headersSent) {
      beginStream(this.#response, this.#status, "application/x-ndjson");
    }
    this.#response.write(printableJson(message) + "\n");
  }

  #gone(): void {
    this.#isGone = true;
    const onGone = this.#onGone;
    this.#onGone = undefined;
    onGone?.();
  }
}
