/**
 * The asking side of a control socket, for command-line programs.
 *
 * @module
 */
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { connectUnix, receive, send } from "../../ffi/unix_socket.ts";
import type { ControlAnswer, ControlRequest } from "./control_protocol.ts";
import type { AggregatorDescription } from "./messages.ts";

/** How long a running service may take to answer. */
const ANSWER_LIMIT_MS = 5000;
/** How often a service that is too busy to be connected to is tried again. */
const AGAIN_MS = 20;
/** Nobody ever notifies it: waiting on it is sleeping. */
const never = new Int32Array(new SharedArrayBuffer(4));

/** A connection to the control socket of a running service. */
export class ControlClient implements Disposable {
  readonly #fd: OwnedFd;
  readonly #path: string;

  /**
   * Connects to the control socket at `path`. **Blocking**: up to 5 s.
   *
   * @throws {OsError} If nobody serves there, or has no time (EAGAIN).
   */
  constructor(path: string) {
    this.#fd = connect(path);
    this.#path = path;
  }

  /**
   * Asks, and waits for the answer. **Blocking**: up to 5 s.
   *
   * @throws {Error} If the service refuses, goes away, or does not answer.
   */
  ask(request: ControlRequest): AggregatorDescription {
    this.#send(new TextEncoder().encode(JSON.stringify(request) + "\n"));
    const answer: ControlAnswer = JSON.parse(this.#receiveLine());
    if ("error" in answer) throw new Error(answer.error);
    return answer.aggregator;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
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
    let text = "";
    const deadline = performance.now() + ANSWER_LIMIT_MS;
    while (!text.endsWith("\n")) {
      const left = deadline - performance.now();
      if (left <= 0 || pollFd(this.#fd.fd, POLLIN, left) === 0) {
        throw new Error(
          `No answer from ${this.#path} within ${ANSWER_LIMIT_MS / 1000} s`,
        );
      }
      const fds: OwnedFd[] = [];
      const count = receive(this.#fd.fd, piece, fds);
      for (const fd of fds) fd.close();
      if (count === 0) throw new Error(`${this.#path} closed the connection`);
      if (count > 0) {
        text += decoder.decode(piece.subarray(0, count), { stream: true });
      }
    }
    return text;
  }
}

function connect(path: string): OwnedFd {
  const deadline = performance.now() + ANSWER_LIMIT_MS;
  for (;;) {
    try {
      return connectUnix(path, { wait: false });
    } catch (error) {
      if (!isOsError(error, "EAGAIN") || performance.now() > deadline) {
        throw error;
      }
    }
    Atomics.wait(never, 0, 0, AGAIN_MS);
  }
}
