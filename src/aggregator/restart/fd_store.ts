/**
 * Store that keeps fds open across a restart of this process, and their names.
 *
 * Kept are the requests of chip lines, the requested values of the users of
 * combined outputs, marks of guests that were served, the requests of clients,
 * and sessions with VMMs that cannot connect again.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { SessionPart } from "../../peer/session_store.ts";

/** Keeps copies of fds outside this process, by name. */
export interface FdStore {
  /**
   * True while lines whose user cannot be opened stay as they are for the next
   * process, which begins with the same that is kept.
   */
  readonly leaves?: boolean;
  /**
   * Returns what an earlier process kept by this name; once only. More than one
   * if its last message was not received.
   *
   * **Ownership**: the caller's.
   */
  take(name: string): OwnedFd[];
  /** Keeps a copy of an fd from now on. **Ownership**: stays the caller's. */
  keep(name: string, fd: number): void;
  /** Keeps what has this name no longer. */
  drop(name: string): void;
  /** Reports why a stored item cannot be used. */
  report(problem: string): void;
}

/**
 * Kinds of kept fds. A service manager keeps these names while the program is
 * updated: a vote stays a `wish` there.
 */
const KINDS = [
  "line",
  "wish",
  "guest",
  "aggregator",
  "rules",
  "session",
] as const;

/** Longest name that a manager keeps: systemd ignores a longer one. */
export const MAX_NAME_LENGTH = 255;

/** Returns true if an fd of this name is one that was kept. */
export function isKeptName(name: string): boolean {
  return KINDS.some((kind) => name.startsWith(`${kind}.`));
}

/** The request of one chip line. */
export function lineFdName(chipName: string, offset: number): string {
  return `line.${escaped(chipName)}.${offset}`;
}

/** Returns the name of one aggregator's vote on a combined output. */
export function voteFdName(hostLine: string, aggregator: string): string {
  return `wish.${escaped(hostLine)}.${escaped(aggregator)}`;
}

/**
 * Returns the names under which one aggregator's vote may be kept, the one to
 * keep it by first. The line is named as the configuration does: the device file
 * of its chip may be another after a replug, and there is none while it is away.
 *
 * @param hostLine The line by its device file, as older versions named it;
 * undefined while it is away.
 */
export function voteFdNames(
  writtenLine: string,
  hostLine: string | undefined,
  aggregator: string,
): readonly [name: string, ...older: string[]] {
  const older = hostLine === undefined
    ? []
    : [voteFdName(hostLine, aggregator)];
  const name = voteFdName(writtenLine, aggregator);
  const [first] = older;
  return name.length > MAX_NAME_LENGTH && first !== undefined
    ? [first]
    : [name, ...older.filter((one) => one !== name)];
}

/** Is kept while a guest is served. */
export function guestFdName(aggregator: string): string {
  return `guest.${escaped(aggregator)}`;
}

/** Is kept while the rules of a guest that is gone may not hold yet. */
export function goneFdName(aggregator: string): string {
  return `${guestFdName(aggregator)}.gone`;
}

/** Is kept while outputs are forced: what their guest asked for. */
export function forcedFdName(aggregator: string): string {
  return `${guestFdName(aggregator)}.forced`;
}

/** Is kept while a guest is served: what it has asked of outputs last. */
export function requestedFdName(aggregator: string): string {
  return `${guestFdName(aggregator)}.requested`;
}

/** Returns the name of a part of the session with an aggregator's VMM. */
export function sessionFdName(
  aggregator: string,
  part: SessionPart,
): string {
  return `session.${escaped(aggregator)}.${part}`;
}

/** Returns the names of all parts of a session. */
export function sessionFdNames(aggregator: string): string[] {
  return Object.values(SessionPart).map((part) =>
    sessionFdName(aggregator, part)
  );
}

/** Parts of a session that are sockets. */
const SOCKETS = [
  SessionPart.Connection,
  SessionPart.Sender,
  SessionPart.Receiver,
];

/** Returns true if a name is that of a socket of a session with a VMM. */
export function isSessionSocketName(name: string): boolean {
  return name.startsWith("session.") &&
    SOCKETS.some((part) => name.endsWith(`.${part}`));
}

/** Returns the name of a client's request for an aggregator. */
export function creationFdName(aggregator: string): string {
  return `aggregator.${escaped(aggregator)}`;
}

/** Returns the name of clients' changes of an aggregator's rules. */
export function rulesFdName(aggregator: string): string {
  return `rules.${escaped(aggregator)}`;
}

/** Returns the name of later changes, until they have the other name. */
export function nextRulesFdName(aggregator: string): string {
  return `${rulesFdName(aggregator)}.next`;
}

/** Returns the name of the changes for what is kept as `creation`. */
export function rulesFdNameFor(creation: string): string {
  return `rules.${creation.slice("aggregator.".length)}`;
}

/** Returns true if a name is that of a client's request. */
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
