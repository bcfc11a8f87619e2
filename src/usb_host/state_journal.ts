/**
 * State of a session in memory that outlives this process: as it was before its
 * last messages were taken out of the socket and its last answers were sent, and
 * how much of either was done. The next process goes on from there, whatever
 * ended this one.
 *
 * There are two slots for a state, of which one is valid while the other is
 * written.
 *
 * @module
 */
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";

/** "usbj" as a number. */
const MAGIC = 0x6a62_7375;
const VERSION = 1;
const HEAD_WORDS = 16;
const HEAD_BYTES = 4096;
/** Longest state. **Units**: bytes. */
const SLOT_BYTES = 256 * 1024;
/** Processes in a row that may end before they have written a state. */
const MAX_TRIES = 3;
/** Memory of one session; what is not used does not exist. **Units**: bytes. */
export const JOURNAL_BYTES = HEAD_BYTES + 2 * SLOT_BYTES;

/** Words of the head; those of the two slots follow. */
const At = { magic: 0, version: 1, valid: 2, tries: 3, slots: 4 } as const;
/** Words of a slot. */
const SlotWord = { length: 0, taken: 1, isTaken: 2, sent: 3 } as const;
const SLOT_WORDS = 4;
/** Nothing is valid; otherwise the number of a slot, from 1. */
const NOTHING = 0;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** State that an earlier process left. */
export interface LeftState {
  readonly state: Saved;
  /** First bytes of those that the process was to take out of the socket. */
  readonly first: Uint8Array;
  /** Number of those bytes, if they may be in the socket still; otherwise 0. */
  readonly taken: number;
  /** Bytes of the state's output that are sent. */
  readonly sent: number;
}

/** Memory of one session. */
export class StateJournal {
  readonly #head: Uint32Array;
  readonly #bytes: Uint8Array;

  /** Uses a part of a mapping, of {@linkcode JOURNAL_BYTES}. */
  constructor(buffer: ArrayBuffer, offset: number) {
    this.#head = new Uint32Array(buffer, offset, HEAD_WORDS);
    this.#bytes = new Uint8Array(
      buffer,
      offset + HEAD_BYTES,
      2 * SLOT_BYTES,
    );
  }

  /**
   * Writes the state that is valid from now on.
   *
   * @param first The first bytes of what is taken out of the socket next.
   * @param taken Their number, and that of the bytes after them.
   * @returns False if it is too long: nothing is valid then.
   */
  write(state: Saved, first: Uint8Array, taken: number): boolean {
    const head = this.#head;
    const slot = head[At.valid] === 1 ? 1 : 0;
    const text = JSON.stringify({ state, first: first.toBase64() });
    const at = slot * SLOT_BYTES;
    const { read, written } = encoder.encodeInto(
      text,
      this.#bytes.subarray(at, at + SLOT_BYTES),
    );
    if (read < text.length) {
      this.clear();
      return false;
    }
    const words = At.slots + slot * SLOT_WORDS;
    head[words + SlotWord.length] = written;
    head[words + SlotWord.taken] = taken;
    head[words + SlotWord.isTaken] = 0;
    head[words + SlotWord.sent] = 0;
    head[At.magic] = MAGIC;
    head[At.version] = VERSION;
    head[At.tries] = 0;
    Atomics.store(head, At.valid, slot + 1);
    return true;
  }

  /** Notes that the socket has been read as far as it was to be. */
  tookOut(): void {
    this.#set(SlotWord.isTaken, 1);
  }

  /** So many more bytes of the output are sent. */
  sent(count: number): void {
    const valid = this.#head[At.valid]!;
    if (valid === NOTHING) return;
    const word = this.#words(valid) + SlotWord.sent;
    this.#head[word] = this.#head[word]! + count;
  }

  /** Nothing is valid. */
  clear(): void {
    Atomics.store(this.#head, At.valid, NOTHING);
  }

  /**
   * Reads what an earlier process left.
   *
   * @returns The state, or why there is none.
   */
  read(): LeftState | string {
    const head = this.#head;
    const valid = head[At.valid]!;
    if (valid === NOTHING) return "its state was not written";
    if (head[At.magic] !== MAGIC || head[At.version] !== VERSION) {
      return "its state is of another version";
    }
    const tries = head[At.tries]! + 1;
    head[At.tries] = tries;
    if (tries > MAX_TRIES) {
      return "several processes ended as they were to go on";
    }
    if (valid > 2) return NO_STATE;
    const words = this.#words(valid);
    const length = head[words + SlotWord.length]!;
    if (length > SLOT_BYTES) return NO_STATE;
    const at = (valid - 1) * SLOT_BYTES;
    try {
      const text = decoder.decode(this.#bytes.slice(at, at + length));
      const kept: Saved = JSON.parse(text);
      const read = new SavedReader(kept);
      read.part("state");
      return {
        state: kept["state"] as Saved,
        first: read.bytes("first", SLOT_BYTES),
        taken: head[words + SlotWord.isTaken] === 0
          ? head[words + SlotWord.taken]!
          : 0,
        sent: head[words + SlotWord.sent]!,
      };
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof SyntaxError)) {
        throw error;
      }
      return NO_STATE;
    }
  }

  #words(valid: number): number {
    return At.slots + (valid - 1) * SLOT_WORDS;
  }

  #set(word: number, value: number): void {
    const valid = this.#head[At.valid]!;
    if (valid === NOTHING) return;
    Atomics.store(this.#head, this.#words(valid) + word, value);
  }
}

const NO_STATE = "its state is not one of a session";
