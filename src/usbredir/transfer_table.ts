/**
 * Transfers that are under way: what the peer must get back with the answer.
 *
 * @module
 */
import type { Setup } from "../usb/core/transfers.ts";

/** Transfers under way at most. */
const SLOTS = 256;
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

  /** Forgets all transfers. */
  clear(): void {
    this.types.fill(0);
    for (let i = 0; i < SLOTS; i++) this.#free[i] = SLOTS - 1 - i;
    this.#freeCount = SLOTS;
  }
}
