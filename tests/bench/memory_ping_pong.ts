/**
 * The floor below all wake-ups: two processes that look at shared memory until
 * the other one has written. Between it and a ping-pong by eventfds: one process
 * looks, and the other one waits until it is called. Run as a program, this is
 * the process that looks in both.
 *
 * @module
 */
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { ChildProcess } from "../environment/process.ts";
import { EventSide } from "./ping_pong.ts";
import { type Round, summarize } from "./statistics.ts";

const LIMIT_MS = 10_000;
const BYTES = 4096;
/** A number of rounds, and whether this process is called. */
const ORDER_BYTES = 8;
/** Words on cache lines of their own. */
const PING = 0;
const PONG = 32;

/** The other process, and the memory that is shared with it. */
export class MemoryPingPong implements AsyncDisposable {
  readonly #peer: ChildProcess;
  readonly #socket: OwnedFd;
  readonly #mapping: Mapping;
  readonly #words: Int32Array;
  /** Wakes this process. */
  readonly #call: OwnedFd;
  readonly #called: EventSide;

  private constructor(
    peer: ChildProcess,
    socket: OwnedFd,
    mapping: Mapping,
    call: OwnedFd,
  ) {
    this.#peer = peer;
    this.#socket = socket;
    this.#mapping = mapping;
    this.#words = new Int32Array(mapping.buffer);
    this.#call = call;
    this.#called = new EventSide("epoll", call.fd, call.fd);
  }

  /** Starts the other process; `directory` is where a socket may stand. */
  static async start(directory: string): Promise<MemoryPingPong> {
    const path = `${directory}/memory-ping-pong`;
    using listener = listenUnix(path);
    const peer = new ChildProcess({
      command: Deno.execPath(),
      args: ["run", "-q", "-P=unit", "--no-check", import.meta.filename!, path],
    });
    try {
      pollFd(listener.fd, POLLIN, LIMIT_MS);
      const socket = acceptUnix(listener.fd);
      if (socket === undefined) {
        throw new Error(`The ping-pong did not begin: ${peer.stderr}`);
      }
      using file = createMemFd("ping-pong", BYTES);
      const call = createEventFd();
      send(socket.fd, new Uint8Array(1), [file.fd, call.fd]);
      const mapping = Mapping.map(file.fd, {
        length: BYTES,
        subject: "ping-pong",
      });
      return new MemoryPingPong(peer, socket, mapping, call);
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The other process. */
  get pid(): number {
    return this.#peer.pid;
  }

  /** Writes and looks for the answer, `times.length` times. **Units**: µs. */
  round(times: Float64Array): Round {
    const words = this.#words;
    this.#begin(times.length, false);
    let before = performance.now();
    for (let i = 1; i <= times.length; i++) {
      Atomics.store(words, PING, i);
      while (Atomics.load(words, PONG) !== i) { /* looks again */ }
      const now = performance.now();
      times[i - 1] = (now - before) * 1000;
      before = now;
    }
    return summarize(times);
  }

  /** Writes and sleeps until it is called. **Units**: µs. */
  calledRound(times: Float64Array): Round {
    const words = this.#words;
    this.#begin(times.length, true);
    let before = performance.now();
    for (let i = 1; i <= times.length; i++) {
      Atomics.store(words, PING, i);
      this.#called.wait();
      const now = performance.now();
      times[i - 1] = (now - before) * 1000;
      before = now;
    }
    return summarize(times);
  }

  #begin(count: number, isCalled: boolean): void {
    const order = new Uint8Array(ORDER_BYTES);
    const view = new DataView(order.buffer);
    view.setUint32(0, count, true);
    view.setUint32(4, Number(isCalled), true);
    const words = this.#words;
    words[PING] = words[PONG] = 0;
    send(this.#socket.fd, order);
    const answer = new Uint8Array(1);
    pollFd(this.#socket.fd, POLLIN, LIMIT_MS);
    if (receive(this.#socket.fd, answer, []) !== 1) {
      throw new Error("The ping-pong's other process is gone");
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    this.#called[Symbol.dispose]();
    this.#call.close();
    this.#mapping[Symbol.dispose]();
    await this.#peer[Symbol.asyncDispose]();
  }
}

if (import.meta.main) serve(Deno.args[0]!);

function serve(path: string): void {
  using socket = connectUnix(path);
  const fds: OwnedFd[] = [];
  pollFd(socket.fd, POLLIN, LIMIT_MS);
  receive(socket.fd, new Uint8Array(1), fds);
  using mapping = Mapping.map(fds[0]!.fd, {
    length: BYTES,
    subject: "ping-pong",
  });
  const call = fds[1]!.fd;
  const words = new Int32Array(mapping.buffer);
  const order = new Uint8Array(ORDER_BYTES);
  for (;;) {
    pollFd(socket.fd, POLLIN, -1);
    if (receive(socket.fd, order, []) !== order.length) return;
    const view = new DataView(order.buffer);
    const count = view.getUint32(0, true);
    const isCalled = view.getUint32(4, true) === 1;
    send(socket.fd, new Uint8Array(1));
    for (let i = 1; i <= count; i++) {
      while (Atomics.load(words, PING) !== i) { /* looks again */ }
      if (isCalled) signalFd(call);
      else Atomics.store(words, PONG, i);
    }
  }
}
