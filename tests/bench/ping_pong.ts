/**
 * The floor that a request round trip stands on: two processes wake each other
 * by eventfds, with the same calls that a frontend and a backend use, and do
 * nothing else.
 *
 * The other process is `ping_pong_peer.ts`; it gets the eventfds over a unix
 * socket. Two ways of waiting are known:
 *
 * - `epoll`: `epoll_wait` on the eventfd, edge-triggered, without reading it;
 * - `read`: a blocking `read` of an eventfd that is made for it.
 *
 * @module
 */

import { Epoll, EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import { check, libc } from "../../ffi/libc.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { ChildProcess } from "../environment/process.ts";
import { type Round, summarize } from "./statistics.ts";

/** Way in which both processes wait. */
export type WaitMode = "epoll" | "read";

/** One process's side of a ping-pong. */
export interface Side {
  /** Wakes the other process. */
  signal(): void;
  /** Sleeps until the other process wakes this one. */
  wait(): void;
}

const EFD_CLOEXEC = 0o2000000;
const START_LIMIT_MS = 10_000;

/** An eventfd for a mode; only `read` needs a blocking one. */
export function createModeFd(mode: WaitMode): OwnedFd {
  if (mode === "epoll") return createEventFd();
  const fd = check(libc().eventfd(0, EFD_CLOEXEC), "eventfd", "a ping-pong");
  return new OwnedFd(fd, "eventfd");
}

/** This process's side: sleeps on one eventfd, signals the other. */
export class EventSide implements Side, Disposable {
  readonly #waitFd: number;
  readonly #signalFd: number;
  readonly #epoll: Epoll | undefined;

  constructor(mode: WaitMode, waitFd: number, signalTo: number) {
    this.#waitFd = waitFd;
    this.#signalFd = signalTo;
    if (mode === "epoll") {
      this.#epoll = new Epoll(1);
      this.#epoll.add(waitFd, EPOLLIN | EPOLLET, 0, 0);
    }
  }

  signal(): void {
    signalFd(this.#signalFd);
  }

  wait(): void {
    if (this.#epoll === undefined) drainFd(this.#waitFd);
    else while (this.#epoll.wait(-1) === 0) { /* a signal came between */ }
  }

  [Symbol.dispose](): void {
    this.#epoll?.[Symbol.dispose]();
  }
}

/** A peer process and the eventfds shared with it. */
export class PingPong implements AsyncDisposable {
  readonly #peer: ChildProcess;
  readonly #socket: OwnedFd;
  readonly #stack: DisposableStack;
  readonly #sides: Record<WaitMode, EventSide>;

  private constructor(
    peer: ChildProcess,
    socket: OwnedFd,
    stack: DisposableStack,
    sides: Record<WaitMode, EventSide>,
  ) {
    this.#peer = peer;
    this.#socket = socket;
    this.#stack = stack;
    this.#sides = sides;
  }

  /** Starts the peer; `directory` is where the socket may stand. */
  static async start(directory: string): Promise<PingPong> {
    const path = `${directory}/ping-pong`;
    using listener = listenUnix(path);
    const peer = new ChildProcess({
      command: Deno.execPath(),
      args: [
        "run",
        "--allow-ffi",
        "--allow-read",
        `${import.meta.dirname}/ping_pong_peer.ts`,
        path,
      ],
    });
    const stack = new DisposableStack();
    try {
      pollFd(listener.fd, POLLIN, START_LIMIT_MS);
      const accepted = acceptUnix(listener.fd);
      if (accepted === undefined) {
        throw new Error(
          `The ping-pong's other process did not connect within ` +
            `${START_LIMIT_MS / 1000} s: ${peer.stderr}`,
        );
      }
      const socket = stack.use(accepted);
      const pair = (mode: WaitMode) => {
        const there = stack.use(createModeFd(mode));
        const back = stack.use(createModeFd(mode));
        send(socket.fd, new Uint8Array([mode === "epoll" ? 0 : 1]), [
          there.fd,
          back.fd,
        ]);
        return stack.use(new EventSide(mode, back.fd, there.fd));
      };
      const sides = { epoll: pair("epoll"), read: pair("read") };
      return new PingPong(peer, socket, stack, sides);
    } catch (error) {
      stack.dispose();
      await peer[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The peer's process id. */
  get pid(): number {
    return this.#peer.pid;
  }

  /**
   * Wakes the peer and waits to be woken, `times.length` times.
   *
   * **Units**: microseconds.
   */
  round(mode: WaitMode, times: Float64Array): Round {
    const order = new Uint8Array(8);
    const view = new DataView(order.buffer);
    view.setUint32(0, mode === "epoll" ? 0 : 1, true);
    view.setUint32(4, times.length, true);
    send(this.#socket.fd, order);
    const ready = new Uint8Array(1);
    pollFd(this.#socket.fd, POLLIN, START_LIMIT_MS);
    if (receive(this.#socket.fd, ready, []) !== 1) {
      throw new Error(`The ping-pong's other process is gone`);
    }
    const side = this.#sides[mode];
    let before = performance.now();
    for (let i = 0; i < times.length; i++) {
      side.signal();
      side.wait();
      const now = performance.now();
      times[i] = (now - before) * 1000;
      before = now;
    }
    return summarize(times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stack.dispose();
    await this.#peer[Symbol.asyncDispose]();
  }
}
