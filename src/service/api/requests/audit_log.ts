/**
 * Changes through the control API with their authors: one JSON object a line.
 *
 * @module
 */
import { printableJson } from "../../../text/printable.ts";
import type { Peer } from "../connections/listener.ts";

/** One entry, before it is written. */
export interface AuditEntry {
  action:
    | "create"
    | "remove"
    | "rules"
    | "pull"
    | "play"
    | "force"
    | "force-end"
    | "lease-end"
    | "lease-resume"
    | "reload";
  aggregator: string;
  /** `failed` is what was let do, and did not work. */
  outcome: "done" | "refused" | "failed";
  /** Why it was refused or failed, or what ended a lease. */
  reason?: string;
  /** Pulled lines, or the SPECs of a created aggregator's lines. */
  lines?: readonly string[];
  /** Presentation of a created aggregator, in words. */
  presentation?: string;
  /** Reason of a force, as its operator gave it. */
  why?: string;
}

/**
 * Refusals and failures of one user that are written in a second, so that no
 * user fills the disk.
 */
const REFUSALS_PER_SECOND = 20;
/** Users that are counted apart; further users share one count. */
const MAX_USERS = 32;

/** Refusals of one user, or of those who share. */
interface Refusals {
  /** When `count` began. **Units**: seconds on the monotonic clock. */
  second: number;
  count: number;
  /** Not written since the last entry. */
  leftOut: number;
  readonly bytes: ByteAllowance;
}

/** Space on the disk for the refusals of one user: 44 MB a day. **Units**: bytes. */
const BYTES_PER_SECOND = 512;
const BURST_BYTES = 64 * 1024;
/** The same for those of all users together: 350 MB a day. **Units**: bytes. */
const ALL_BYTES_PER_SECOND = 4096;
const ALL_BURST_BYTES = 256 * 1024;

function newRefusals(second: number): Refusals {
  const bytes = new ByteAllowance(BYTES_PER_SECOND, BURST_BYTES);
  return { second, count: 0, leftOut: 0, bytes };
}

/** Bytes that may be written: a burst, and then so many a second. */
class ByteAllowance {
  readonly #perSecond: number;
  readonly #burst: number;
  #left: number;
  #at: number | undefined;

  constructor(perSecond: number, burst: number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#left = burst;
  }

  /** Returns true if so many may be written at `second` of a monotonic clock. */
  has(bytes: number, second: number): boolean {
    const elapsed = second - (this.#at ?? second);
    this.#at = second;
    this.#left = Math.min(
      this.#burst,
      this.#left + elapsed * this.#perSecond,
    );
    return bytes <= this.#left;
  }

  take(bytes: number): void {
    this.#left -= bytes;
  }
}

/**
 * Takes a line, without its line feed. Never throws; resolves once it is
 * written, or soon if it cannot be.
 */
export type AuditWriter = (line: string) => unknown;

/** Writes entries, each as it comes. */
export class AuditLog {
  readonly #write: AuditWriter;
  readonly #now: () => number;
  /** Refusals by user, so that a flood does not hide those of another. */
  readonly #byUser = new Map<number, Refusals>();
  readonly #others: Refusals = newRefusals(0);
  /** Space for all refusals together. */
  readonly #bytes = new ByteAllowance(ALL_BYTES_PER_SECOND, ALL_BURST_BYTES);

  /**
   * Writes lines, without their line feed, through `write`.
   *
   * @param now A monotonic clock. **Units**: milliseconds.
   */
  constructor(
    write: AuditWriter,
    now: () => number = () => performance.now(),
  ) {
    this.#write = write;
    this.#now = now;
  }

  /**
   * Writes what `peer` did, or was not let do. Resolves once it is written, or
   * the writer has given up on waiting.
   */
  async record(peer: Peer, entry: AuditEntry): Promise<void> {
    const { pid, uid, gid } = peer;
    const isDone = entry.outcome === "done";
    const refusals = isDone ? this.#byUser.get(uid) : this.#findRefusals(uid);
    if (!isDone && this.#isTooMany(refusals!)) return;
    const refusalsLeftOut = refusals?.leftOut ?? 0;
    const line = printableJson({
      time: new Date().toISOString(),
      pid,
      uid,
      gid,
      ...shortened(entry),
      ...(refusalsLeftOut === 0 ? {} : { refusalsLeftOut }),
    });
    if (!isDone && !this.#mayWrite(refusals!, line.length)) {
      refusals!.leftOut++;
      return;
    }
    const written = this.#write(line);
    if (refusals !== undefined) refusals.leftOut = 0;
    await written;
  }

  /** Returns true if refusals take no more of the disk than they may. */
  #mayWrite({ bytes }: Refusals, length: number): boolean {
    const second = this.#now() / 1000;
    if (!bytes.has(length, second) || !this.#bytes.has(length, second)) {
      return false;
    }
    bytes.take(length);
    this.#bytes.take(length);
    return true;
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

  #findRefusals(uid: number): Refusals {
    const known = this.#byUser.get(uid);
    if (known !== undefined) return known;
    if (this.#byUser.size >= MAX_USERS) this.#forgetQuiet();
    if (this.#byUser.size >= MAX_USERS) return this.#others;
    const refusals = newRefusals(this.#second());
    this.#byUser.set(uid, refusals);
    return refusals;
  }

  /** Those who are refused nothing in this second. */
  #forgetQuiet(): void {
    const second = this.#second();
    for (const [uid, refusals] of this.#byUser) {
      if (refusals.second === second) continue;
      // What was not written of this user is reported with the next of all others.
      this.#others.leftOut += refusals.leftOut;
      this.#byUser.delete(uid);
    }
  }

  #second(): number {
    return Math.floor(this.#now() / 1000);
  }
}

/** Longest text of an entry, as JSON. **Units**: UTF-16 code units. */
const TEXT_LIMIT = 256;
/** All lines of an entry together, as JSON. **Units**: UTF-16 code units. */
const LINES_LIMIT = 2048;

/** An entry whose length does not depend on what a client sent. */
function shortened(entry: AuditEntry): AuditEntry {
  const { aggregator, reason, presentation, lines, why } = entry;
  return {
    ...entry,
    aggregator: shortenedText(aggregator),
    ...(reason === undefined ? {} : { reason: shortenedText(reason) }),
    ...(lines === undefined ? {} : { lines: shortenedLines(lines) }),
    ...(why === undefined ? {} : { why: shortenedText(why) }),
    ...(presentation === undefined
      ? {}
      : { presentation: shortenedText(presentation) }),
  };
}

function shortenedText(text: string): string {
  const measureJson = (part: string) => printableJson(part).length - 2;
  if (text.length <= TEXT_LIMIT && measureJson(text) <= TEXT_LIMIT) return text;
  let kept = "";
  let length = 1;
  for (const character of text) {
    length += measureJson(character);
    if (length > TEXT_LIMIT) break;
    kept += character;
  }
  return `${kept}…`;
}

function shortenedLines(lines: readonly string[]): string[] {
  const shown: string[] = [];
  let length = 0;
  for (const line of lines) {
    const text = shortenedText(line);
    length += printableJson(text).length;
    if (length > LINES_LIMIT) break;
    shown.push(text);
  }
  const left = lines.length - shown.length;
  return left === 0 ? shown : [...shown, `… ${left} more`];
}
