/**
 * What keeps fds open across a restart of this process, and under which names.
 *
 * Kept are the requests of chip lines; what each user of a combined output
 * wants; that a guest was served; and what clients had made.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";

/** Keeps copies of fds outside this process, by name. */
export interface FdKeeper {
  /**
   * What an earlier process kept by this name; once only. More than one if what
   * it said last was not heard.
   *
   * **Ownership**: the caller's.
   */
  take(name: string): OwnedFd[];
  /** Keeps a copy of an fd from now on. **Ownership**: stays the caller's. */
  keep(name: string, fd: number): void;
  /** Keeps what has this name no longer. */
  drop(name: string): void;
  /** Says why something that was kept is of no use. */
  report(problem: string): void;
}

/** What there is to keep. */
const KINDS = ["line", "wish", "guest", "aggregator"] as const;

/** Whether an fd of this name is one that was kept. */
export function isKeptName(name: string): boolean {
  return KINDS.some((kind) => name.startsWith(`${kind}.`));
}

/** The request of one chip line. */
export function lineFdName(chipName: string, offset: number): string {
  return `line.${escaped(chipName)}.${offset}`;
}

/** What one aggregator wants of a combined output. */
export function wishFdName(place: string, aggregator: string): string {
  return `wish.${escaped(place)}.${escaped(aggregator)}`;
}

/** Is kept while a guest is served. */
export function guestFdName(aggregator: string): string {
  return `guest.${escaped(aggregator)}`;
}

/** What a client asked for when it made an aggregator. */
export function creationFdName(aggregator: string): string {
  return `aggregator.${escaped(aggregator)}`;
}

/** Whether a name is that of what a client asked for. */
export function isCreationName(name: string): boolean {
  return name.startsWith("aggregator.");
}

/**
 * A text in characters that every manager takes in a name (no colon, no control
 * characters), and without a dot; different texts stay different.
 */
function escaped(text: string): string {
  const bytes = new TextEncoder().encode(text);
  return Array.from(bytes, (byte) => {
    const character = String.fromCharCode(byte);
    return /[A-Za-z0-9-]/.test(character)
      ? character
      : `_${byte.toString(16).padStart(2, "0")}`;
  }).join("");
}
