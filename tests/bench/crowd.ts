/**
 * Many round trips at once: each member of a crowd has one under way at all
 * times, and begins the next when it is told of the answer.
 *
 * @module
 */
import { Epoll, EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../ffi/event_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { MAX_PASSED_FDS, receive, send } from "../../ffi/socket_message.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { MessageType } from "../../src/virtio/gpio/protocol.ts";
import { ChildProcess } from "../environment/process.ts";
import { LIKE_QEMU } from "./effort.ts";
import { median, quantile } from "./statistics.ts";

const LIMIT_MS = 10_000;
const REQUEST_QUEUE = 0;

/** Round trips that a crowd had at the same time. */
export interface CrowdRound {
  /** Requests of all members. **Units**: 1/s. */
  readonly rate: number;
  /** Over all trips. **Units**: microseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Trips of the member with the fewest, as a part of the median's. */
  readonly worstPart: number;
}

/** One member: something that can be asked, and an fd that tells of the answer. */
interface Member {
  readonly fd: number;
  /** Requests of one trip, if it is not one. */
  readonly requests?: number;
  ask(): void;
  /** Takes the answer; false if it was told too early. */
  take(): boolean;
}

/** Members that are asked together. **Ownership**: disposed of together. */
export class Crowd implements AsyncDisposable {
  readonly #members: readonly Member[];
  readonly #owned: AsyncDisposableStack;
  readonly #epoll: Epoll;

  private constructor(members: readonly Member[], owned: AsyncDisposableStack) {
    this.#members = members;
    this.#owned = owned;
    this.#epoll = owned.use(new Epoll(members.length));
    for (const [slot, { fd }] of members.entries()) {
      this.#epoll.add(fd, EPOLLIN | EPOLLET, slot, 0);
    }
  }

  /** A guest at each of these vhost-user sockets, which reads its lines in turns. */
  static async ofGuests(
    sockets: readonly string[],
    lines: number,
  ): Promise<Crowd> {
    await using owned = new AsyncDisposableStack();
    const members = sockets.map((path): Member => {
      const frontend = owned.use(Frontend.open(path, {
        timeoutMs: LIMIT_MS,
        protocolFeatures: LIKE_QEMU,
      }));
      const { requests } = GpioDriver.attach(frontend);
      for (let slot = 0; slot < lines; slot++) {
        requests.prepare(slot, MessageType.GetValue, slot, 0);
      }
      let slot = 0;
      return {
        fd: frontend.callPoint(REQUEST_QUEUE).backendFd,
        ask() {
          requests.enableCalls();
          requests.submit(slot);
          requests.flush();
          slot = slot + 1 === lines ? 0 : slot + 1;
        },
        take: () => requests.reap() > 0,
      };
    });
    return new Crowd(members, owned.move());
  }

  /**
   * A guest at each of these sockets that has a whole ring of requests answered
   * in each trip, and looks at none of the answers: it costs little beside them.
   */
  static async ofDeepGuests(
    sockets: readonly string[],
    lines: number,
  ): Promise<Crowd> {
    await using owned = new AsyncDisposableStack();
    const members = sockets.map((path): Member => {
      const frontend = owned.use(Frontend.open(path, {
        timeoutMs: LIMIT_MS,
        protocolFeatures: LIKE_QEMU,
      }));
      const { requests } = GpioDriver.attach(frontend);
      const { depth } = requests;
      const ring = frontend.rings[REQUEST_QUEUE]!;
      for (let filled = 0; filled < ring.size; filled += depth) {
        for (let slot = 0; slot < depth; slot++) {
          requests.prepare(slot, MessageType.GetValue, slot % lines, 0);
          requests.submit(slot);
        }
        requests.flush();
        for (let left = depth; left > 0;) left -= requests.wait(LIMIT_MS);
      }
      const kick = frontend.kickPoint(REQUEST_QUEUE);
      return {
        fd: frontend.callPoint(REQUEST_QUEUE).backendFd,
        requests: depth,
        ask() {
          ring.enableCalls(depth - 1);
          // The ring still has all heads in their order.
          ring.publishRaw(ring.availIndex + depth);
          kick.kick();
        },
        take() {
          if (ring.usedCount() < depth) return false;
          for (let i = 0; i < depth; i++) ring.takeUsed();
          return true;
        },
      };
    });
    return new Crowd(members, owned.move());
  }

  /** The floor: a process that answers eventfds by eventfds, and does nothing else. */
  static async ofEventFds(directory: string, count: number): Promise<Crowd> {
    await using owned = new AsyncDisposableStack();
    const path = `${directory}/echo-${count}`;
    using listener = listenUnix(path);
    const peer = owned.use(
      new ChildProcess({
        command: Deno.execPath(),
        args: [
          ...["run", "-q", "--allow-ffi", "--allow-read"],
          ...[`${import.meta.dirname}/echo_peer.ts`, path, String(count)],
        ],
      }),
    );
    pollFd(listener.fd, POLLIN, LIMIT_MS);
    const accepted = acceptUnix(listener.fd);
    if (accepted === undefined) {
      throw new Error(`The floor's process did not connect: ${peer.stderr}`);
    }
    const socket = owned.use(accepted);
    const fds: OwnedFd[] = [];
    for (let i = 0; i < 2 * count; i++) fds.push(owned.use(createEventFd()));
    for (let at = 0; at < fds.length; at += MAX_PASSED_FDS) {
      const some = fds.slice(at, at + MAX_PASSED_FDS).map(({ fd }) => fd);
      while (send(socket.fd, new Uint8Array(1), some) < 0) pollFd(-1, 0, 1);
    }
    const ready = new Uint8Array(1);
    pollFd(socket.fd, POLLIN, LIMIT_MS);
    if (receive(socket.fd, ready, []) !== 1) {
      throw new Error(`The floor's process is gone: ${peer.stderr}`);
    }
    const members = Array.from({ length: count }, (_, i): Member => {
      const there = fds[2 * i]!.fd;
      return {
        fd: fds[2 * i + 1]!.fd,
        ask: () => signalFd(there),
        take: () => true,
      };
    });
    return new Crowd(members, owned.move());
  }

  /** Keeps all members busy for some time. */
  round(ms: number, times: Float64Array): CrowdRound {
    const members = this.#members;
    const epoll = this.#epoll;
    const counts = new Uint32Array(members.length);
    const begun = new Float64Array(members.length);
    const isUnderWay = new Uint8Array(members.length).fill(1);
    let underWay = members.length;
    let count = 0;
    const start = performance.now();
    const end = start + ms;
    let now = start;
    for (const [slot, member] of members.entries()) {
      begun[slot] = performance.now();
      member.ask();
    }
    while (underWay > 0) {
      const ready = epoll.wait(LIMIT_MS);
      if (ready === 0) {
        throw new Error("A member of the crowd was not answered");
      }
      for (let i = 0; i < ready; i++) {
        const slot = epoll.slotAt(i);
        const member = members[slot]!;
        if (isUnderWay[slot] === 0 || !member.take()) continue;
        now = performance.now();
        if (count < times.length) times[count++] = (now - begun[slot]!) * 1000;
        counts[slot]!++;
        if (now < end) {
          begun[slot] = now;
          member.ask();
        } else {
          isUnderWay[slot] = 0;
          underWay--;
        }
      }
    }
    const sorted = times.subarray(0, count).sort();
    const total = members.reduce(
      (sum, { requests = 1 }, slot) => sum + counts[slot]! * requests,
      0,
    );
    return {
      rate: total * 1000 / (now - start),
      p50: quantile(sorted, 0.5),
      p99: quantile(sorted, 0.99),
      worstPart: Math.min(...counts) / median([...counts]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}
