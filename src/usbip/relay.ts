/**
 * The part between the kernel's host controller and the service that has the
 * device: passes messages on, and answers what the service leaves unanswered.
 * A pure state machine.
 *
 * A program that uses the chip waits inside the kernel, out of the reach of
 * SIGKILL, for as long as a transfer has no answer. A service that waits for a
 * slow line, is stopped, or uses a line of its own chip must not keep it there.
 *
 * @module
 */
import { NO_DATA } from "../usb/core/transfers.ts";
import { InputBuffer } from "../usb_host/input_buffer.ts";
import { AnswerBuffer } from "./answer_buffer.ts";
import { Field, HEADER, MAX_TRANSFER, Message, UrbStatus } from "./protocol.ts";
import { NO_SLOT, SLOTS, TransfersUnderWay } from "./transfers_under_way.ts";

/**
 * Time that the service has for a transfer that it does not put off itself.
 * **Units**: ms.
 */
export const ANSWER_MS = 1000;
/** Time after which a service that does not answer is given up. **Units**: ms. */
export const GIVE_UP_MS = 10_000;
/** Messages that may wait for the service before the kernel is read no more. */
export const MAX_BACKLOG = 96 * 1024;

/** State of a transfer. */
const Due = {
  /** It waits for what the device will tell, for any time. */
  Never: 0,
  /** The service must answer. */
  Service: 1,
  /** Answered here: the service's own answer is dropped. */
  Dropped: 2,
} as const;

/** Returns a field of the next message. */
function readField(from: InputBuffer, offset: number): number {
  return from.view.getUint32(from.start + offset);
}

/** Takes the next message and writes it to the other side, or drops it. */
function pass(from: InputBuffer, length: number, to?: AnswerBuffer): void {
  const { start } = from;
  to?.bytes(from.bytes.subarray(start, start + length));
  from.take(length);
}

/** One device's connections. */
export class Relay {
  readonly #now: () => number;
  readonly #fromKernel = new InputBuffer(HEADER + MAX_TRANSFER);
  readonly #fromService = new InputBuffer(HEADER + MAX_TRANSFER);
  readonly #transfers = new TransfersUnderWay();
  readonly #dues = new Uint8Array(SLOTS);
  /** Transfers whose due is not `Never`. */
  #dueCount = 0;
  /** Time of the due. **Units**: monotonic ms. */
  readonly #times = new Float64Array(SLOTS);
  /** 1: an unlink, whose victim is `lengths`. */
  readonly #isUnlink = new Uint8Array(SLOTS);
  #fault = "";

  /** Bytes for the service. */
  readonly toService = new AnswerBuffer();
  /** Bytes for the kernel. */
  readonly toKernel = new AnswerBuffer();

  /** @param now Monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Why it cannot go on; empty: it can. */
  get fault(): string {
    if (this.#fault !== "") return this.#fault;
    if (this.toService.hasOverflowed) return "the service does not read";
    return this.toKernel.hasOverflowed ? "the kernel does not read" : "";
  }

  /** True while an answer has a deadline. */
  get hasDeadline(): boolean {
    return this.#dueCount > 0;
  }

  /** Room for what the kernel sends. */
  get kernelRoom(): Uint8Array {
    return this.#fromKernel.room;
  }

  /** Room for what the service sends. */
  get serviceRoom(): Uint8Array {
    return this.#fromService.room;
  }

  /** That many bytes came from the kernel. */
  kernelSent(count: number): void {
    this.#fromKernel.received(count);
    while (this.fault === "" && this.#passToService());
  }

  /** That many bytes came from the service. */
  serviceSent(count: number): void {
    this.#fromService.received(count);
    while (this.fault === "" && this.#passToKernel());
  }

  /** Answers what the service has left unanswered for too long. */
  tick(): void {
    const now = this.#now();
    for (let slot = 0; slot < SLOTS; slot++) {
      const waited = now - this.#times[slot]!;
      if (this.#dues[slot] === Due.Service && waited >= ANSWER_MS) {
        this.#answerFor(slot);
      }
      if (this.#dues[slot] === Due.Dropped && waited >= GIVE_UP_MS) {
        this.#fail(`the service does not answer for ${GIVE_UP_MS / 1000} s`);
      }
    }
  }

  #answerFor(slot: number): void {
    const seqnum = this.#transfers.seqnums[slot]!;
    this.#setDue(slot, Due.Dropped);
    if (this.#isUnlink[slot] === 0) {
      this.toKernel.answer(
        Message.SubmitDone,
        seqnum,
        UrbStatus.Stall,
        0,
        NO_DATA,
      );
      return;
    }
    const victim = this.#transfers.find(this.#transfers.lengths[slot]!);
    if (victim !== NO_SLOT) {
      // The kernel forgets it now.
      if (this.#dues[victim] !== Due.Dropped) {
        this.#times[victim] = this.#times[slot]!;
      }
      this.#setDue(victim, Due.Dropped);
    }
    this.toKernel.answer(
      Message.UnlinkDone,
      seqnum,
      UrbStatus.Unlinked,
      0,
      NO_DATA,
    );
  }

  #fail(reason: string): false {
    if (this.#fault === "") this.#fault = reason;
    return false;
  }

  #passToService(): boolean {
    const from = this.#fromKernel;
    if (from.available < HEADER) return false;
    const message = readField(from, Field.Message);
    const seqnum = readField(from, Field.Seqnum);
    if (message === Message.Unlink) {
      const victim = readField(from, Field.Victim);
      if (!this.#take(seqnum, false, victim, Due.Service, 1)) return false;
      pass(from, HEADER, this.toService);
      return true;
    }
    if (message !== Message.Submit) {
      return this.#fail(`the kernel sent a message of type ${message}`);
    }
    const isIn = readField(from, Field.Direction) !== 0;
    const length = readField(from, Field.Length);
    if (length > MAX_TRANSFER) {
      return this.#fail(`the kernel sent a transfer of ${length} bytes`);
    }
    const size = HEADER + (isIn ? 0 : length);
    if (from.available < size) return false;
    const due = isIn && readField(from, Field.Endpoint) !== 0
      ? Due.Never
      : Due.Service;
    if (!this.#take(seqnum, isIn, length, due, 0)) return false;
    pass(from, size, this.toService);
    return true;
  }

  #take(
    seqnum: number,
    isIn: boolean,
    length: number,
    due: number,
    isUnlink: number,
  ): boolean {
    const slot = this.#transfers.find(seqnum) === NO_SLOT
      ? this.#transfers.take(seqnum, isIn, length)
      : NO_SLOT;
    if (slot === NO_SLOT) return this.#fail("too many transfers are under way");
    this.#setDue(slot, due);
    this.#times[slot] = this.#now();
    this.#isUnlink[slot] = isUnlink;
    return true;
  }

  #passToKernel(): boolean {
    const from = this.#fromService;
    if (from.available < HEADER) return false;
    const message = readField(from, Field.Message);
    const slot = this.#transfers.find(readField(from, Field.Seqnum));
    const isUnlink = message === Message.UnlinkDone;
    if (
      slot === NO_SLOT || !isUnlink && message !== Message.SubmitDone ||
      this.#isUnlink[slot] !== (isUnlink ? 1 : 0)
    ) return this.#fail("the service sent an answer to nothing");
    const length = readField(from, Field.Length);
    if (!isUnlink && length > this.#transfers.lengths[slot]!) {
      return this.#fail(`the service sent ${length} bytes`);
    }
    const size = HEADER + (this.#transfers.isIn[slot] === 1 ? length : 0);
    if (from.available < size) return false;
    const isDropped = this.#dues[slot] === Due.Dropped;
    if (isUnlink && readField(from, Field.Status) !== UrbStatus.Ok) {
      // Its victim has no answer of its own.
      this.#free(this.#transfers.find(this.#transfers.lengths[slot]!));
    }
    this.#free(slot);
    pass(from, size, isDropped ? undefined : this.toKernel);
    return true;
  }

  #free(slot: number): void {
    if (slot === NO_SLOT) return;
    this.#setDue(slot, Due.Never);
    this.#transfers.free(slot);
  }

  #setDue(slot: number, due: number): void {
    if (this.#dues[slot] !== Due.Never) this.#dueCount--;
    if (due !== Due.Never) this.#dueCount++;
    this.#dues[slot] = due;
  }
}
