/**
 * Client of a control socket, for command-line programs.
 *
 * @module
 */
import settings from "../../../deno.json" with { type: "json" };
import { pollFd, POLLIN } from "../../../ffi/poll.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { receiveBytes, send } from "../../../ffi/socket_message.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import {
  type ControlAnswer,
  type ControlRequest,
  parseControlAnswer,
} from "./control_protocol.ts";
import type { AggregatorDescription } from "../messages/messages.ts";

/** Longest answer: some 300 bytes for each of 65,535 lines. **Units**: bytes. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Time limit of a running service's answer. */
const ANSWER_LIMIT_MS = 5000;
/** Interval of connection attempts to a busy service. */
const AGAIN_MS = 20;
/** Never notified: waiting on it is sleeping. */
const never = new Int32Array(new SharedArrayBuffer(4));

/** A connection to the control socket of a running service. */
export class ControlClient implements Disposable {
  readonly #fd: OwnedFd;
  readonly #path: string;
  readonly #limitMs: number;

  /**
   * Connects to the control socket at `path`. **Blocking**: up to 5 s.
   *
   * @param limitMs Limit of an answer. **Units**: milliseconds.
   * @throws {OsError} If no service is there, or it is too busy (EAGAIN).
   */
  constructor(path: string, limitMs: number = ANSWER_LIMIT_MS) {
    this.#fd = connect(path);
    this.#path = path;
    this.#limitMs = limitMs;
  }

  /**
   * Sends a request and waits for the answer. **Blocking**: up to the limit.
   *
   * @throws {Error} If the service refuses, ends, or does not answer.
   */
  ask(request: ControlRequest): AggregatorDescription {
    return this.pull(request.pull ?? []).aggregator;
  }

  /**
   * Pulls simulated lines. **Blocking**: up to the limit.
   *
   * @returns The aggregator afterwards, and the lines that its guest drives.
   * @throws {Error} If the service refuses, ends, or does not answer.
   */
  pull(
    changes: Required<ControlRequest>["pull"],
  ): { aggregator: AggregatorDescription; driven: string[] } {
    const request: ControlRequest = { pull: changes };
    this.#send(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    const answer = this.#parse(this.#receiveLine());
    if ("error" in answer) throw new Error(answer.error);
    return { aggregator: answer.aggregator, driven: answer.driven ?? [] };
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }

  #parse(text: string): ControlAnswer {
    try {
      return parseControlAnswer(text);
    } catch (cause) {
      throw new Error(
        `Nothing at ${this.#path} answers as the control socket of a gpioagg ` +
          `serve does: ${
            (cause as Error).message
          }. It is a gpioagg of another ` +
          `version than ${settings.version}, or this is another socket`,
        { cause },
      );
    }
  }

  #send(bytes: Uint8Array): void {
    // A request is far smaller than a socket's buffer, and this one is empty.
    if (send(this.#fd.fd, bytes) !== bytes.length) {
      throw new Error(`Cannot send ${bytes.length} bytes to ${this.#path}`);
    }
  }

  #receiveLine(): string {
    const decoder = new TextDecoder();
    const piece = new Uint8Array(64 * 1024);
    const pieces: string[] = [];
    let left = MAX_ANSWER_BYTES;
    const deadline = performance.now() + this.#limitMs;
    while (!pieces.at(-1)?.endsWith("\n")) {
      const leftMs = deadline - performance.now();
      if (leftMs <= 0 || pollFd(this.#fd.fd, POLLIN, leftMs) === 0) {
        throw new Error(
          `No answer from ${this.#path} within ${this.#limitMs / 1000} s`,
        );
      }
      const count = receiveBytes(this.#fd.fd, piece);
      if (count === 0) throw new Error(`${this.#path} closed the connection`);
      if (count <= 0) continue;
      if ((left -= count) < 0) {
        throw new Error(`The answer from ${this.#path} is too long`);
      }
      pieces.push(decoder.decode(piece.subarray(0, count), { stream: true }));
    }
    return pieces.join("");
  }
}

function connect(path: string): OwnedFd {
  const deadline = performance.now() + ANSWER_LIMIT_MS;
  for (;;) {
    try {
      return connectUnix(path, { wait: false, descriptors: false });
    } catch (error) {
      if (!isOsError(error, "EAGAIN") || performance.now() > deadline) {
        throw error;
      }
    }
    Atomics.wait(never, 0, 0, AGAIN_MS);
  }
}
