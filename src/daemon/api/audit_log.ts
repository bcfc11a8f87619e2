/**
 * Who changed what through the control API: one JSON object a line.
 *
 * @module
 */
import type { Peer } from "./listener.ts";

/** One entry, before it is written. */
export interface AuditEntry {
  action: "create" | "remove" | "pull" | "lease-end" | "reload";
  aggregator: string;
  /** `failed` is what was let do, and did not work. */
  outcome: "done" | "refused" | "failed";
  /** Why it was refused or failed, or what ended a lease. */
  reason?: string;
  /** Pulled lines, or the SPECs of a created aggregator's lines. */
  lines?: readonly string[];
  /** How a created aggregator is presented, in words. */
  presentation?: string;
}

/**
 * Refusals and failures of one user that are written in a second: nobody fills
 * the disk.
 */
const REFUSALS_PER_SECOND = 20;
/** Users who are counted apart; whoever comes when there are more shares. */
const MAX_USERS = 32;

/** Refusals of one user, or of those who share. */
interface Refusals {
  /** When `count` began. **Units**: seconds on the monotonic clock. */
  second: number;
  count: number;
  /** Not written since the last entry. */
  leftOut: number;
}

/** Writes entries, each as it comes. */
export class AuditLog {
  readonly #write: (line: string) => void;
  readonly #now: () => number;
  /** Nobody's flood hides what another one was refused. */
  readonly #byUser = new Map<number, Refusals>();
  readonly #others: Refusals = { second: 0, count: 0, leftOut: 0 };

  /**
   * Writes lines, without their line feed, through `write`.
   *
   * @param now A monotonic clock. **Units**: milliseconds.
   */
  constructor(
    write: (line: string) => void,
    now: () => number = () => performance.now(),
  ) {
    this.#write = write;
    this.#now = now;
  }

  /** Writes what `peer` did, or was not let do. */
  record(peer: Peer, entry: AuditEntry): void {
    const { pid, uid, gid } = peer;
    const isDone = entry.outcome === "done";
    const refusals = isDone ? this.#byUser.get(uid) : this.#refusalsOf(uid);
    if (!isDone && this.#isTooMany(refusals!)) return;
    const refusalsLeftOut = refusals?.leftOut ?? 0;
    this.#write(JSON.stringify({
      time: new Date().toISOString(),
      pid,
      uid,
      gid,
      ...entry,
      ...(refusalsLeftOut === 0 ? {} : { refusalsLeftOut }),
    }));
    if (refusals !== undefined) refusals.leftOut = 0;
  }

  #isTooMany(refusals: Refusals): boolean {
    const second = this.#second();
    if (second !== refusals.second) {
      refusals.second = second;
      refusals.count = 0;
    }
    if (++refusals.count <= REFUSALS_PER_SECOND) return false;
    refusals.leftOut++;
    return true;
  }

  #refusalsOf(uid: number): Refusals {
    const known = this.#byUser.get(uid);
    if (known !== undefined) return known;
    if (this.#byUser.size >= MAX_USERS) this.#forgetQuiet();
    if (this.#byUser.size >= MAX_USERS) return this.#others;
    const refusals = { second: this.#second(), count: 0, leftOut: 0 };
    this.#byUser.set(uid, refusals);
    return refusals;
  }

  /** Those who are refused nothing in this second. */
  #forgetQuiet(): void {
    const second = this.#second();
    for (const [uid, refusals] of this.#byUser) {
      if (refusals.second === second) continue;
      // What was not written of him is told with the next of all the others.
      this.#others.leftOut += refusals.leftOut;
      this.#byUser.delete(uid);
    }
  }

  #second(): number {
    return Math.floor(this.#now() / 1000);
  }
}
