/**
 * The control socket's serving side, inside the reactor: looks at lines and
 * pulls simulated ones while a guest uses them.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { OsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { acceptUnix, receive, send } from "../../ffi/unix_socket.ts";
import type { EventLoop, Timer, Watch } from "../reactor/event_loop.ts";
import {
  type ControlAnswer,
  type ControlRequest,
  MAX_REQUEST_BYTES,
  parseControlRequest,
} from "./control_protocol.ts";
import type { ListenSocket } from "./listen_socket.ts";

/** What answers requests; an exception's message becomes the answer. */
export type ControlHandler = (request: ControlRequest) => ControlAnswer;

const NEWLINE = 10;
/** Who comes beyond these waits: guests need the process's fds. */
const MAX_CONNECTIONS = 16;
/** How long one may say nothing, or take no answer. **Units**: ms. */
const IDLE_LIMIT_MS = 10_000;
/** How long the listener rests when the process has no fd left. **Units**: ms. */
const REST_MS = 1000;

/** Serves one control socket. **Ownership**: owns its listening socket. */
export class ControlSocket implements Disposable {
  readonly #loop: EventLoop;
  readonly #socket: ListenSocket;
  readonly #handler: ControlHandler;
  readonly #watch: Watch;
  readonly #connections = new Set<Connection>();
  #rest: Timer | undefined;

  /** Serves `socket` in `loop` until disposed. */
  constructor(loop: EventLoop, socket: ListenSocket, handler: ControlHandler) {
    this.#loop = loop;
    this.#socket = socket;
    this.#handler = handler;
    this.#watch = loop.watch(
      socket.listener.fd,
      EPOLLIN,
      () => this.#accept(),
    );
  }

  /** Ends all connections, stops listening and removes the file. */
  [Symbol.dispose](): void {
    this.#rest?.[Symbol.dispose]();
    for (const connection of this.#connections) connection.close();
    this.#watch[Symbol.dispose]();
    this.#socket[Symbol.dispose]();
  }

  #accept(): void {
    try {
      while (this.#connections.size < MAX_CONNECTIONS) {
        const fd = acceptUnix(this.#socket.listener.fd);
        if (fd === undefined) return;
        this.#connections.add(
          new Connection(this.#loop, fd, this.#handler, (self) => {
            this.#connections.delete(self);
            if (this.#rest === undefined) this.#watch.update(EPOLLIN);
          }),
        );
      }
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      this.#rest = this.#loop.after(REST_MS, () => {
        this.#rest = undefined;
        this.#watch.update(EPOLLIN);
      });
    }
    this.#watch.update(0);
  }
}

/** One client: lines in, lines out. A client that misbehaves is dropped. */
class Connection {
  readonly #loop: EventLoop;
  readonly #fd: OwnedFd;
  readonly #watch: Watch;
  #limit: Timer;
  readonly #handler: ControlHandler;
  readonly #onClose: (self: Connection) => void;
  #input = new Uint8Array(4096);
  #filled = 0;
  /** What the client has not taken yet. While there is any, nothing is read. */
  #output = new Uint8Array(0);

  constructor(
    loop: EventLoop,
    fd: OwnedFd,
    handler: ControlHandler,
    onClose: (self: Connection) => void,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#handler = handler;
    this.#onClose = onClose;
    this.#limit = loop.after(IDLE_LIMIT_MS, () => this.close());
    this.#watch = loop.watch(fd.fd, EPOLLIN, () => this.#serve());
  }

  close(): void {
    this.#limit[Symbol.dispose]();
    this.#watch[Symbol.dispose]();
    this.#fd.close();
    this.#onClose(this);
  }

  #serve(): void {
    try {
      if (this.#output.length > 0) this.#write();
      else if (!this.#read()) return this.close();
      this.#answerLines();
    } catch (error) {
      if (!(error instanceof OsError)) throw error;
      return this.close();
    }
    this.#watch.update(this.#output.length > 0 ? EPOLLOUT : EPOLLIN);
  }

  /** False at the end of the stream. */
  #read(): boolean {
    if (this.#filled === this.#input.length) {
      const larger = new Uint8Array(this.#input.length * 2);
      larger.set(this.#input);
      this.#input = larger;
    }
    const fds: OwnedFd[] = [];
    const count = receive(
      this.#fd.fd,
      this.#input.subarray(this.#filled),
      fds,
    );
    for (const fd of fds) fd.close();
    if (count > 0) this.#filled += count;
    return count !== 0;
  }

  #answerLines(): void {
    while (this.#output.length === 0) {
      const end = this.#input.subarray(0, this.#filled).indexOf(NEWLINE);
      if (end < 0 && this.#filled < MAX_REQUEST_BYTES) return;
      if (end < 0) {
        this.#filled = 0;
        return this.#reply({
          error: `a request is at most ${MAX_REQUEST_BYTES} bytes long`,
        });
      }
      const text = new TextDecoder().decode(this.#input.subarray(0, end));
      this.#input.copyWithin(0, end + 1, this.#filled);
      this.#filled -= end + 1;
      this.#reply(this.#answer(text));
    }
  }

  #answer(text: string): ControlAnswer {
    try {
      return this.#handler(parseControlRequest(text));
    } catch (error) {
      return { error: error instanceof Error ? error.message : String(error) };
    }
  }

  #reply(answer: ControlAnswer): void {
    this.#limit[Symbol.dispose]();
    this.#limit = this.#loop.after(IDLE_LIMIT_MS, () => this.close());
    this.#output = new TextEncoder().encode(JSON.stringify(answer) + "\n");
    this.#write();
  }

  #write(): void {
    const sent = send(this.#fd.fd, this.#output);
    if (sent > 0) this.#output = this.#output.subarray(sent);
  }
}
