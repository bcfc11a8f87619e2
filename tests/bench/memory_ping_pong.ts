/**
 * The floor below all wake-ups: two processes that look at shared memory until
 * the other one has written. Run as a program, this is the other process.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { acceptUnix, connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { ChildProcess } from "../environment/process.ts";
import { type Round, roundOf } from "./statistics.ts";

const LIMIT_MS = 10_000;
const BYTES = 4096;
/** Words on cache lines of their own. */
const PING = 0;
const PONG = 32;

/** The other process, and the memory that is shared with it. */
export class MemoryPingPong implements AsyncDisposable {
  readonly #peer: ChildProcess;
  readonly #socket: OwnedFd;
  readonly #mapping: Mapping;
  readonly #words: Int32Array;

  private constructor(peer: ChildProcess, socket: OwnedFd, mapping: Mapping) {
    this.#peer = peer;
    this.#socket = socket;
    this.#mapping = mapping;
    this.#words = new Int32Array(mapping.buffer);
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
      send(socket.fd, new Uint8Array(1), [file.fd]);
      const mapping = Mapping.map(file.fd, {
        length: BYTES,
        subject: "ping-pong",
      });
      return new MemoryPingPong(peer, socket, mapping);
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
    const order = new Uint8Array(4);
    new DataView(order.buffer).setUint32(0, times.length, true);
    const words = this.#words;
    words[PING] = words[PONG] = 0;
    send(this.#socket.fd, order);
    const answer = new Uint8Array(1);
    pollFd(this.#socket.fd, POLLIN, LIMIT_MS);
    if (receive(this.#socket.fd, answer, []) !== 1) {
      throw new Error("The ping-pong's other process is gone");
    }
    let before = performance.now();
    for (let i = 1; i <= times.length; i++) {
      Atomics.store(words, PING, i);
      while (Atomics.load(words, PONG) !== i) { /* looks again */ }
      const now = performance.now();
      times[i - 1] = (now - before) * 1000;
      before = now;
    }
    return roundOf(times);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
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
  const words = new Int32Array(mapping.buffer);
  const order = new Uint8Array(4);
  for (;;) {
    pollFd(socket.fd, POLLIN, -1);
    if (receive(socket.fd, order, []) !== order.length) return;
    const count = new DataView(order.buffer).getUint32(0, true);
    send(socket.fd, new Uint8Array(1));
    for (let i = 1; i <= count; i++) {
      while (Atomics.load(words, PING) !== i) { /* looks again */ }
      Atomics.store(words, PONG, i);
    }
  }
}
