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
  outcome: "done" | "refused";
  /** Why it was refused, or what ended a lease. */
  reason?: string;
  /** Pulled lines, or the SPECs of a created aggregator's lines. */
  lines?: readonly string[];
  /** How a created aggregator is presented, in words. */
  presentation?: string;
}

/** Refusals that are written in a second, so that nobody fills the disk. */
const REFUSALS_PER_SECOND = 20;

/** Writes entries, each as it comes. */
export class AuditLog {
  readonly #write: (line: string) => void;
  #second = 0;
  #refusals = 0;
  #leftOut = 0;

  /** Writes lines, without their line feed, through `write`. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Writes what `peer` did, or was not let do. */
  record(peer: Peer, entry: AuditEntry): void {
    if (entry.outcome === "refused" && this.#isTooMany()) return;
    const { pid, uid, gid } = peer;
    this.#write(JSON.stringify({
      time: new Date().toISOString(),
      pid,
      uid,
      gid,
      ...entry,
      ...(this.#leftOut === 0 ? {} : { refusalsLeftOut: this.#leftOut }),
    }));
    this.#leftOut = 0;
  }

  #isTooMany(): boolean {
    const second = Math.floor(Date.now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#refusals = 0;
    }
    if (++this.#refusals <= REFUSALS_PER_SECOND) return false;
    this.#leftOut++;
    return true;
  }
}
