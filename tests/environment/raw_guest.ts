/**
 * A VMM and its guest that go on whatever becomes of the service: requests are
 * put into the ring, and answers come when they come. Every answer is checked,
 * none may be missing or come twice.
 *
 * @module
 */
import { connectUnix } from "../../ffi/unix_socket.ts";
import {
  ALL_PROTOCOL,
  type Answer,
  GUEST_FEATURES,
  NEED_REPLY,
  R,
  u32,
  u64,
  VhostGuest,
  VhostPeer,
} from "../doubles/vhost_peer.ts";
import { until } from "./wait.ts";

/** One connection, which is never made again. */
export class RawGuest implements Disposable {
  readonly peer: VhostPeer;
  readonly guest = new VhostGuest();
  /** Answers so far. */
  answered = 0;
  /** Requests so far. */
  asked = 0;

  private constructor(socket: string) {
    this.peer = new VhostPeer(connectUnix(socket));
  }

  /** Connects, and starts both rings. */
  static async start(socket: string): Promise<RawGuest> {
    const it = new RawGuest(socket);
    const { guest } = it;
    it.peer.send(R.SET_PROTOCOL_FEATURES, u64(ALL_PROTOCOL));
    await it.must(R.SET_OWNER);
    await it.must(R.SET_FEATURES, u64(GUEST_FEATURES));
    await it.must(R.SET_MEM_TABLE, guest.memTable(), [guest.file.fd]);
    for (const index of [0, 1]) {
      await it.must(R.SET_VRING_NUM, u32(index, guest.queueSize));
      await it.must(R.SET_VRING_BASE, u32(index, 0));
      await it.must(R.SET_VRING_ADDR, guest.vringAddr(index));
      await it.must(R.SET_VRING_KICK, u64(index), [guest.kicks[index]!.fd]);
      await it.must(R.SET_VRING_CALL, u64(index), [guest.calls[index]!.fd]);
      await it.must(R.SET_VRING_ERR, u64(index), [guest.errs[index]!.fd]);
      await it.must(R.SET_VRING_ENABLE, u32(index, 1));
    }
    return it;
  }

  /** Sends a request, which must succeed. */
  async must(
    request: number,
    payload?: Uint8Array,
    fds: readonly number[] = [],
  ): Promise<void> {
    this.peer.send(request, payload, { flags: NEED_REPLY, fds });
    const { payload: reply } = await this.answer();
    if (reply[0] !== 0) throw new Error(`request ${request} failed`);
  }

  /** Waits for a message of the back end. */
  async answer(): Promise<Answer> {
    let answer: ReturnType<VhostPeer["read"]>;
    await until("a reply", () => {
      answer = this.peer.read();
      if (answer === "ended") throw new Error("the service hung up");
      return answer !== undefined;
    });
    return answer as Answer;
  }

  /** Puts a request into the ring, and kicks. */
  ask(type: number, line: number, value = 0): void {
    this.guest.request(type, line, value);
    this.asked++;
    this.guest.kick(0);
  }

  /** Takes answers that are there: [status, value] each. */
  take(): [status: number, value: number][] {
    const answers = this.guest.responses();
    this.answered += answers.length;
    for (const [status] of answers) {
      if (status !== 0) throw new Error(`a request failed: ${status}`);
    }
    return answers;
  }

  /** Waits until everything is answered; returns the last answer's value. */
  async settle(): Promise<number> {
    let last = -1;
    await until(
      `answers to ${this.asked} requests`,
      () => {
        for (const [, value] of this.take()) last = value;
        return this.answered === this.asked;
      },
    );
    return last;
  }

  /** Does a request, and returns the answer's value. */
  async request(type: number, line: number, value = 0): Promise<number> {
    this.ask(type, line, value);
    return await this.settle();
  }

  /** Queues the event buffer of a line. */
  arm(line: number): void {
    this.guest.arm(line);
    this.guest.kick(1);
  }

  /** Waits for interrupts; returns their lines. */
  async interrupts(count: number): Promise<number[]> {
    const lines: number[] = [];
    await until(
      `${count} interrupts`,
      () => {
        for (const [line, status] of this.guest.interrupts()) {
          if (status !== 1) throw new Error(`the buffer of ${line} came back`);
          lines.push(line);
        }
        return lines.length >= count;
      },
    );
    return lines;
  }

  [Symbol.dispose](): void {
    this.peer.close();
    this.guest[Symbol.dispose]();
  }
}
