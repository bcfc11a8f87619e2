/**
 * An endpoint that sends to the host: messages that wait for a transfer, and
 * transfers that wait for a message.
 *
 * @module
 */
import { type Saved, savedBytes, SavedReader } from "./saved_state.ts";
import { NO_DATA, TransferStatus, type UsbHost } from "./transfers.ts";

/** Longest message. **Units**: bytes. */
export const MAX_MESSAGE = 64;
/** Transfers that wait; more of them fail. */
const MAX_WAITING = 64;
/** Limits of what is believed of an earlier process. */
export const MAX_TOKEN = 2 ** 31 - 1;
const MAX_ROOM = 2 ** 32 - 1;

/** One endpoint. Everything that it needs is made once. */
export class InPipe {
  readonly #tokens = new Float64Array(MAX_WAITING);
  readonly #rooms = new Float64Array(MAX_WAITING);
  #tokenHead = 0;
  #tokenCount = 0;
  readonly #messages: Uint8Array;
  readonly #lengths: Uint8Array;
  #head = 0;
  #count = 0;
  readonly #capacity: number;

  /** Makes an endpoint that keeps so many messages. */
  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#messages = new Uint8Array(capacity * MAX_MESSAGE);
    this.#lengths = new Uint8Array(capacity);
  }

  /**
   * Sends a message, now or with the next transfer.
   *
   * @returns False if there is no room for it.
   */
  push(
    message: Uint8Array,
    length: number,
    host: UsbHost | undefined,
  ): boolean {
    if (this.#count === this.#capacity) return false;
    const slot = (this.#head + this.#count) % this.#capacity;
    const at = slot * MAX_MESSAGE;
    for (let i = 0; i < length; i++) this.#messages[at + i] = message[i]!;
    this.#lengths[slot] = length;
    this.#count++;
    this.#send(host);
    return true;
  }

  /** A transfer of `length` bytes at most waits for a message. */
  wait(token: number, length: number, host: UsbHost): void {
    if (this.#tokenCount === MAX_WAITING) {
      return host.done(token, TransferStatus.IoError, NO_DATA, 0);
    }
    const slot = (this.#tokenHead + this.#tokenCount++) % MAX_WAITING;
    this.#tokens[slot] = token;
    this.#rooms[slot] = length;
    this.#send(host);
  }

  /** Takes a waiting transfer back. @returns False if it does not wait. */
  cancel(token: number): boolean {
    for (let i = 0; i < this.#tokenCount; i++) {
      if (this.#tokens[(this.#tokenHead + i) % MAX_WAITING] !== token) continue;
      for (let next = i + 1; next < this.#tokenCount; next++) {
        const from = (this.#tokenHead + next) % MAX_WAITING;
        const to = (this.#tokenHead + next - 1) % MAX_WAITING;
        this.#tokens[to] = this.#tokens[from]!;
        this.#rooms[to] = this.#rooms[from]!;
      }
      this.#tokenCount--;
      return true;
    }
    return false;
  }

  /** Forgets messages and transfers. */
  clear(): void {
    this.#tokenCount = 0;
    this.#count = 0;
  }

  /** Forgets messages; transfers wait on. */
  drop(): void {
    this.#count = 0;
  }

  /** Returns messages and transfers that wait. */
  save(): Saved {
    const messages: string[] = [];
    for (let i = 0; i < this.#count; i++) {
      const slot = (this.#head + i) % this.#capacity;
      const at = slot * MAX_MESSAGE;
      messages.push(
        savedBytes(this.#messages.subarray(at, at + this.#lengths[slot]!)),
      );
    }
    const transfers: Saved[] = [];
    for (let i = 0; i < this.#tokenCount; i++) {
      const slot = (this.#tokenHead + i) % MAX_WAITING;
      transfers.push({
        token: this.#tokens[slot]!,
        room: this.#rooms[slot]!,
      });
    }
    return { messages, transfers };
  }

  /**
   * Goes on with what was saved, into an endpoint that has nothing.
   *
   * @throws {RangeError} If it does not fit.
   */
  restore(saved: SavedReader): void {
    for (const message of saved.list("messages", this.#capacity)) {
      const bytes = new SavedReader({ message }).bytes("message", MAX_MESSAGE);
      this.push(bytes, bytes.length, undefined);
    }
    for (const transfer of saved.list("transfers", MAX_WAITING)) {
      const read = new SavedReader(transfer);
      const slot = this.#tokenCount++;
      this.#tokens[slot] = read.integer("token", 0, MAX_TOKEN);
      this.#rooms[slot] = read.integer("room", 0, MAX_ROOM);
    }
  }

  #send(host: UsbHost | undefined): void {
    while (host !== undefined && this.#tokenCount > 0 && this.#count > 0) {
      const waiting = this.#tokenHead;
      const token = this.#tokens[waiting]!;
      this.#tokenHead = (waiting + 1) % MAX_WAITING;
      this.#tokenCount--;
      const slot = this.#head;
      const length = this.#lengths[slot]!;
      if (this.#rooms[waiting]! < length) {
        // The message goes with the next transfer that has room for it.
        host.done(token, TransferStatus.Babble, NO_DATA, 0);
        continue;
      }
      this.#head = (slot + 1) % this.#capacity;
      this.#count--;
      const at = slot * MAX_MESSAGE;
      host.done(
        token,
        TransferStatus.Success,
        this.#messages.subarray(at, at + length),
        length,
      );
    }
  }
}
