/**
 * Counters of a virtio-gpio device. Guests cause these things, so they are
 * counted and never logged.
 *
 * @module
 */
import { MESSAGE_TYPE_COUNT } from "./protocol.ts";

/** Slots per line in {@linkcode GpioCounters.requests}. */
export const REQUEST_STRIDE = 16;

/** Outcomes of one line's interrupt; indices into its event counts. */
export const EventCount = {
  /** An interrupt was given to the guest. */
  Delivered: 0,
  /** An edge was kept while the interrupt was masked. */
  Latched: 1,
  /** An edge came while one was kept already: the two became one. */
  Coalesced: 2,
  /** A change came that the interrupt type does not ask for, or none is set. */
  Dropped: 3,
  /** A kept edge was thrown away, since the interrupt was disabled or changed. */
  Discarded: 4,
  /** A buffer was given back without an interrupt. */
  Returned: 5,
} as const;
/** One of the {@linkcode EventCount} numbers. */
export type EventCount = typeof EventCount[keyof typeof EventCount];

/** Slots per line in {@linkcode GpioCounters.events}. */
export const EVENT_STRIDE = 8;

/**
 * The requests of some lines, as a typed array of doubles: exact up to 2^53,
 * never reset, cheap to copy.
 */
export class RequestCounters {
  /**
   * Per line `REQUEST_STRIDE` slots: slot `2 * type` counts the requests of a
   * `MessageType` that were answered OK, the next slot those answered ERR.
   * Type 0 stands for all unknown types.
   */
  readonly requests: Float64Array;

  /** Makes counters for a number of lines, all 0. */
  constructor(lineCount: number) {
    this.requests = new Float64Array(lineCount * REQUEST_STRIDE);
  }

  /** Counts one answered request of a line. */
  countRequest(lineNumber: number, type: number, isOk: boolean): void {
    const slot = type < MESSAGE_TYPE_COUNT ? type * 2 : 0;
    const at = lineNumber * REQUEST_STRIDE + slot + (isOk ? 0 : 1);
    this.requests[at] = this.requests[at]! + 1;
  }

  /** Requests of a line by type and outcome, as counted so far. */
  requestCount(lineNumber: number, type: number, isOk: boolean): number {
    return this
      .requests[lineNumber * REQUEST_STRIDE + type * 2 + (isOk ? 0 : 1)]!;
  }
}

/** All counters of one device. */
export class GpioCounters extends RequestCounters {
  /** The same slots for requests of no line: names, and lines out of range. */
  readonly unattributed: Float64Array = new Float64Array(REQUEST_STRIDE);
  /** Per line `EVENT_STRIDE` slots, by {@linkcode EventCount}. */
  readonly events: Float64Array;
  /**
   * Per queue: chains given back unserved, because they were malformed, or had
   * no room for an answer.
   */
  readonly refusedChains: Float64Array = new Float64Array(2);
  /** Completions that no operation waited for: a port broke its contract. */
  readonly strayCompletions: Float64Array = new Float64Array(1);

  /** Makes counters for a number of lines, all 0. */
  constructor(lineCount: number) {
    super(lineCount);
    this.events = new Float64Array(lineCount * EVENT_STRIDE);
  }

  /** Counts a chain that is given back unserved. */
  countRefusedChain(queueIndex: number): void {
    this.refusedChains[queueIndex] = this.refusedChains[queueIndex]! + 1;
  }

  /** Counts a completion that no operation waited for. */
  countStrayCompletion(): void {
    this.strayCompletions[0] = this.strayCompletions[0]! + 1;
  }

  /** Counts one answered request of no line. */
  countUnattributed(type: number, isOk: boolean): void {
    const slot = type < MESSAGE_TYPE_COUNT ? type * 2 : 0;
    const at = slot + (isOk ? 0 : 1);
    this.unattributed[at] = this.unattributed[at]! + 1;
  }

  /** Counts something about a line's interrupt. */
  countEvent(lineNumber: number, what: EventCount): void {
    const at = lineNumber * EVENT_STRIDE + what;
    this.events[at] = this.events[at]! + 1;
  }

  /** Requests of no line by type and outcome, as counted so far. */
  unattributedCount(type: number, isOk: boolean): number {
    return this.unattributed[type * 2 + (isOk ? 0 : 1)]!;
  }

  /** Returns the count of an outcome of a line's interrupt. */
  eventCount(lineNumber: number, what: EventCount): number {
    return this.events[lineNumber * EVENT_STRIDE + what]!;
  }
}
