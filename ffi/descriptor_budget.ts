/**
 * Division of the process's file descriptors among those who use them.
 *
 * The runtime ends the process when it finds no descriptor for itself, so the
 * shares of all peers together stay below the limit, with a reserve beside.
 *
 * @module
 */
import { readSmallFile } from "./files.ts";

/** Descriptors of the runtime and of lines, of which no peer gets any. */
const MAX_RESERVE = 64;
/**
 * Descriptors of one aggregator's peer, at most: its connection, kick, call and
 * error of two rings, a channel, and those of one message.
 */
const MAX_PER_SESSION = 16;
/** The same, at least: one descriptor a message. */
const MIN_PER_SESSION = 9;
/** Limit below which descriptors are scarce. */
export const SCARCE = 1024;
/** The kernel's largest limit of a process (fs.nr_open). */
const LARGEST_LIMIT = 2 ** 30;
/** Descriptors of one peer that may wait to be closed, at most. */
const MAX_CLOSING_PER_PEER = 64;
/** The same, at least: one message brings 8. */
const MIN_CLOSING_PER_PEER = 8;

/**
 * Shares of a limit. **Units**: descriptors.
 *
 * **Safety**: plain numbers.
 */
export interface DescriptorShares {
  /** Kept for the runtime and for lines. */
  readonly reserve: number;
  /** Connections of each of the two API listeners. */
  readonly perApiListener: number;
  /** Connections of all control sockets. */
  readonly control: number;
  /** Descriptors of all peers that wait to be closed by helper threads. */
  readonly closing: number;
  /** Part of `closing` that one peer may use. */
  readonly closingPerPeer: number;
  /** Connections of VMMs and what they hand over. */
  readonly sessions: number;
  /** Part of `sessions` that one aggregator's VMM may use. */
  readonly perSession: number;
}

/**
 * Returns the shares of a limit; their sum is not above it.
 *
 * **Safety**: computes only.
 */
export function descriptorShares(ofLimit: number): DescriptorShares {
  const limit = Math.min(ofLimit, LARGEST_LIMIT);
  const reserve = Math.min(MAX_RESERVE, Math.floor(limit / 4));
  const closing = Math.floor(limit / 8);
  const closingPerPeer = Math.min(
    closing,
    MAX_CLOSING_PER_PEER,
    Math.max(MIN_CLOSING_PER_PEER, Math.floor(limit / 64)),
  );
  // A small limit must do for two VMMs.
  const perApiListener = Math.floor(
    limit < SCARCE ? limit * 3 / 32 : limit / 8,
  );
  const control = Math.floor(limit / 8);
  const sessions = limit - reserve - closing - 2 * perApiListener - control;
  const perSession = Math.min(
    MAX_PER_SESSION,
    Math.max(MIN_PER_SESSION, Math.floor(sessions / 8)),
  );
  return {
    reserve,
    perApiListener,
    control,
    closing,
    closingPerPeer,
    sessions,
    perSession,
  };
}

/**
 * The descriptors of all VMMs of a process.
 *
 * **Safety**: plain numbers.
 */
export class SessionDescriptors {
  /** Soft limit of the process. */
  readonly limit: number;
  /** Part of one aggregator. */
  readonly perSession: number;
  #left: number;

  /** Divides the share of VMMs in a limit of open files. */
  constructor(limit: number) {
    const { sessions, perSession } = descriptorShares(limit);
    this.limit = limit;
    this.perSession = perSession;
    this.#left = sessions;
  }

  /**
   * Reserves descriptors until the result is disposed; undefined if there are
   * not so many left.
   */
  reserve(count: number): Disposable | undefined {
    if (count > this.#left) return undefined;
    this.#left -= count;
    let isReserved = true;
    return {
      [Symbol.dispose]: () => {
        if (isReserved) this.#left += count;
        isReserved = false;
      },
    };
  }
}

let known: number | undefined;

/**
 * Returns the process's soft limit of open files, as it was at the first call;
 * Infinity where it is unknown. Deno raises it to the hard limit at its start.
 *
 * **Safety**: looks only.
 */
export function descriptorLimit(): number {
  if (known === undefined) {
    const limits = readSmallFile("/proc/self/limits") ?? "";
    const soft = /^Max open files +(\d+)/m.exec(limits)?.[1];
    known = soft === undefined ? Infinity : Number(soft);
  }
  return known;
}

let ofProcess: SessionDescriptors | undefined;

/**
 * Returns those of this process, the same at each call.
 *
 * **Safety**: plain numbers.
 */
export function sessionDescriptors(): SessionDescriptors {
  return ofProcess ??= new SessionDescriptors(descriptorLimit());
}

/**
 * Returns the number below which descriptors are for peers: those from it on are
 * the reserve.
 *
 * **Safety**: computes only.
 */
export function firstReserved(): number {
  const limit = descriptorLimit();
  return limit === Infinity
    ? Infinity
    : limit - descriptorShares(limit).reserve;
}
