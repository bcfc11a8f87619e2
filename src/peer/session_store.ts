/**
 * Descriptors of a session that outlive this process.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";

/** Parts of a session that are kept, as they are named in the store. */
export const SessionPart = {
  Connection: "socket",
  Memory: "state",
  /** The eventfd that interrupts the guest. */
  Trigger: "irq",
  /** The ends of the pair of a {@linkcode ../peer/session_keeper.ts}. */
  Sender: "in",
  Receiver: "out",
} as const;
/** One of the {@linkcode SessionPart} names. */
export type SessionPart = typeof SessionPart[keyof typeof SessionPart];

/** Parts of a session with a PCI card. */
export const CARD_PARTS = [
  SessionPart.Connection,
  SessionPart.Memory,
  SessionPart.Trigger,
] as const;

/** Keeps copies of a session's fds outside this process, by their part in it. */
export interface SessionStore {
  /**
   * Returns what an earlier process kept as this part; once only. Several if
   * its last message was not received.
   *
   * **Ownership**: the caller's.
   */
  take(part: SessionPart): OwnedFd[];
  /** Keeps a copy of an fd from now on. **Ownership**: stays the caller's. */
  keep(part: SessionPart, fd: number): void;
  /** Keeps this part no longer. */
  drop(part: SessionPart): void;
  /** Reports why a stored item cannot be used. */
  report(problem: string): void;
}
