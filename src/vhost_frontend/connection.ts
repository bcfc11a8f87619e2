/**
 * A vhost-user connection from the frontend's side: whole messages out, whole
 * replies in, each within a limit of time.
 *
 * @module
 */
import { fileStatus } from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { pollFd, POLLIN, POLLOUT } from "../../ffi/poll.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import {
  ConnectFailedError,
  ConnectionError,
  RuleViolation,
  WaitTimeoutError,
} from "./errors.ts";
import {
  HEADER,
  VERSION,
  VERSION_MASK,
} from "../vhost_user/messages/protocol.ts";
import { decodeHeader } from "./messages.ts";

/** A message from the backend. **Ownership**: the fds are the receiver's. */
export interface Reply {
  /** The request code that it answers. */
  readonly request: number;
  /** Version, reply and need-reply bits. */
  readonly flags: number;
  /** Payload behind the header; the reader's own copy. */
  readonly payload: Uint8Array;
  /** Descriptors that came with it. */
  readonly fds: readonly OwnedFd[];
}

/** More than any reply has; a larger one is garbage, not an answer. */
const MAX_PAYLOAD_BYTES = 0x1_0000;

/**
 * Connects to a backend that listens.
 *
 * @throws {ConnectFailedError} If there is none at `path`; the message says what
 * to do about it.
 */
export function connectBackend(path: string): OwnedFd {
  try {
    return connectUnix(path, { wait: false });
  } catch (cause) {
    throw new ConnectFailedError(
      `Cannot connect to ${path}: ${connectAdvice(path, cause)}`,
      { cause },
    );
  }
}

function connectAdvice(path: string, cause: unknown): string {
  if (isOsError(cause, "ENOENT")) {
    return "there is no such socket; is the backend running? " +
      "(gpioagg serve --socket-path PATH makes one)";
  }
  if (isOsError(cause, "ECONNREFUSED")) {
    const kind = fileStatus(path)?.kind;
    if (kind !== undefined && kind !== "socket") {
      return `it is a ${kind}, not a socket`;
    }
    return "nothing listens there: the program that made the socket is gone";
  }
  if (isOsError(cause, "EAGAIN")) {
    return "the backend is busy: as many connections wait as it lets wait";
  }
  if (isOsError(cause, "EACCES", "EPERM")) {
    return "permission denied; writing to the socket file is what counts";
  }
  if (isOsError(cause, "ENOTSOCK", "EPROTOTYPE")) {
    return "this is not a stream socket";
  }
  return cause instanceof Error ? cause.message : String(cause);
}

function isHttp(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes).startsWith("HTTP/");
}

/** One connection. **Ownership**: owns the socket. */
export class Connection implements Disposable {
  readonly #socket: OwnedFd;
  readonly #header = new Uint8Array(HEADER.size);

  /**
   * @param socket A connected, non-blocking stream socket; owned from here on.
   * @param subject How to name the backend in errors: the socket's path.
   * @param timeoutMs Limit for each wait. **Units**: milliseconds.
   */
  constructor(
    socket: OwnedFd,
    readonly subject: string,
    readonly timeoutMs: number,
  ) {
    this.#socket = socket;
  }

  /** The socket, for polling. **Ownership**: the connection's. */
  get fd(): number {
    return this.#socket.fd;
  }

  /**
   * Sends bytes as they are, with fds beside the first of them.
   *
   * **Blocking**: until the socket took all of them, or the limit.
   *
   * @throws {ConnectionError} If the backend has hung up.
   * @throws {WaitTimeoutError} If the backend does not read.
   */
  send(bytes: Uint8Array, fds: readonly number[] = []): void {
    const deadline = performance.now() + this.timeoutMs;
    let sent = 0;
    while (sent < bytes.length) {
      let count: number;
      try {
        count = send(
          this.fd,
          bytes.subarray(sent),
          sent === 0 ? fds : undefined,
        );
      } catch (cause) {
        if (!isOsError(cause, "EPIPE", "ECONNRESET")) throw cause;
        throw new ConnectionError(
          `The backend at ${this.subject} closed the connection`,
          { cause },
        );
      }
      if (count >= 0) sent += count;
      else this.#wait(POLLOUT, deadline, "room to send to the backend");
    }
  }

  /**
   * Receives one message.
   *
   * **Blocking**: until it is whole, or the limit.
   *
   * @param awaited Name of what is awaited, for the error.
   * @throws {ConnectionError} If the backend hangs up first.
   * @throws {WaitTimeoutError} If it does not come.
   * @throws {RuleViolation} If what comes is not a vhost-user message.
   */
  receive(awaited: string): Reply {
    const deadline = performance.now() + this.timeoutMs;
    const fds: OwnedFd[] = [];
    try {
      this.#fill(this.#header, fds, deadline, awaited);
      const { request, flags, size } = decodeHeader(this.#header);
      if ((flags & VERSION_MASK) !== VERSION || size > MAX_PAYLOAD_BYTES) {
        throw new RuleViolation(
          "vhost-user: every message begins with a version 1 header",
          `bytes ${hex(this.#header)} while waiting for ${awaited}; ${
            isHttp(this.#header)
              ? `${this.subject} answers HTTP: it is a control API's socket`
              : `is ${this.subject} the socket of a vhost-user backend?`
          }`,
        );
      }
      const payload = new Uint8Array(size);
      this.#fill(payload, fds, deadline, awaited);
      return { request, flags, payload, fds };
    } catch (error) {
      for (const fd of fds) fd.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  #fill(
    target: Uint8Array,
    fds: OwnedFd[],
    deadline: number,
    awaited: string,
  ): void {
    let have = 0;
    while (have < target.length) {
      let count: number;
      try {
        count = receive(this.fd, target.subarray(have), fds);
      } catch (cause) {
        if (!isOsError(cause, "ECONNRESET")) throw cause;
        count = 0;
      }
      if (count === 0) {
        throw new ConnectionError(
          `The backend at ${this.subject} closed the connection before its ` +
            awaited,
        );
      }
      if (count > 0) have += count;
      else this.#wait(POLLIN, deadline, awaited);
    }
  }

  #wait(events: number, deadline: number, awaited: string): void {
    const left = Math.ceil(deadline - performance.now());
    if (left <= 0 || pollFd(this.fd, events, left) === 0) {
      throw new WaitTimeoutError(awaited, this.timeoutMs);
    }
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0"))
    .join(" ");
}
