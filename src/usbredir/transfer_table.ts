/**
 * Transfers that are under way: what the peer must get back with the answer.
 *
 * @module
 */
import { type Saved, SavedReader } from "../usb/core/saved_state.ts";
import type { Setup } from "../usb/core/transfers.ts";

/** Transfers under way at most. */
export const SLOTS = 256;
const MAX_32 = 2 ** 32 - 1;
const NO_SLOT = -1;

/** The table. A slot's number is the token of its transfer. */
export class TransferTable {
  /** Type of the packet; 0: the slot is free. */
  readonly types = new Uint8Array(SLOTS);
  readonly idsLow = new Uint32Array(SLOTS);
  readonly idsHigh = new Uint32Array(SLOTS);
  readonly endpoints = new Uint8Array(SLOTS);
  /** Stream of a bulk transfer. */
  readonly streams = new Uint32Array(SLOTS);
  /** Request and its type, of a control transfer. */
  readonly requests = new Uint16Array(SLOTS);
  readonly values = new Uint16Array(SLOTS);
  readonly indices = new Uint16Array(SLOTS);
  readonly #free = new Uint16Array(SLOTS);
  #freeCount = 0;

  /** Makes an empty table. */
  constructor() {
    this.clear();
  }

  /** Takes a slot. @returns Its number; -1: all are taken. */
  take(
    type: number,
    idLow: number,
    idHigh: number,
    endpoint: number,
  ): number {
    if (this.#freeCount === 0) return NO_SLOT;
    const slot = this.#free[--this.#freeCount]!;
    this.types[slot] = type;
    this.idsLow[slot] = idLow;
    this.idsHigh[slot] = idHigh;
    this.endpoints[slot] = endpoint;
    this.streams[slot] = 0;
    return slot;
  }

  /** Keeps what a control transfer asks for. */
  keepSetup(slot: number, setup: Setup): void {
    this.requests[slot] = setup.request | setup.requestType << 8;
    this.values[slot] = setup.value;
    this.indices[slot] = setup.index;
  }

  /** Gives a slot back. */
  free(slot: number): void {
    this.types[slot] = 0;
    this.#free[this.#freeCount++] = slot;
  }

  /** Finds the transfer of an id; -1: it is not under way. */
  find(idLow: number, idHigh: number): number {
    for (let slot = 0; slot < SLOTS; slot++) {
      if (
        this.types[slot] !== 0 && this.idsLow[slot] === idLow &&
        this.idsHigh[slot] === idHigh
      ) return slot;
    }
    return NO_SLOT;
  }

  /** Returns the transfers under way, with their slots. */
  save(): Saved[] {
    const saved: Saved[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.types[slot] === 0) continue;
      saved.push({
        slot,
        type: this.types[slot]!,
        idLow: this.idsLow[slot]!,
        idHigh: this.idsHigh[slot]!,
        endpoint: this.endpoints[slot]!,
        stream: this.streams[slot]!,
        request: this.requests[slot]!,
        value: this.values[slot]!,
        index: this.indices[slot]!,
      });
    }
    return saved;
  }

  /**
   * Has these transfers under way, in an empty table.
   *
   * @throws {RangeError} If they are not valid.
   */
  restore(saved: readonly unknown[]): void {
    for (const transfer of saved) {
      const read = new SavedReader(transfer);
      const slot = read.integer("slot", 0, SLOTS - 1);
      if (this.types[slot] !== 0) throw new RangeError("a slot is taken twice");
      this.types[slot] = read.integer("type", 1, 0xff);
      this.idsLow[slot] = read.integer("idLow", 0, MAX_32);
      this.idsHigh[slot] = read.integer("idHigh", 0, MAX_32);
      this.endpoints[slot] = read.integer("endpoint", 0, 0xff);
      this.streams[slot] = read.integer("stream", 0, MAX_32);
      this.requests[slot] = read.integer("request", 0, 0xffff);
      this.values[slot] = read.integer("value", 0, 0xffff);
      this.indices[slot] = read.integer("index", 0, 0xffff);
    }
    this.#freeCount = 0;
    for (let slot = SLOTS - 1; slot >= 0; slot--) {
      if (this.types[slot] === 0) this.#free[this.#freeCount++] = slot;
    }
  }

  /** Forgets all transfers. */
  clear(): void {
    this.types.fill(0);
    for (let i = 0; i < SLOTS; i++) this.#free[i] = SLOTS - 1 - i;
    this.#freeCount = SLOTS;
  }
}
