/**
 * Reports of a backend to its owner.
 *
 * @module
 */
import type { ProtocolError } from "../peer/protocol_error.ts";

/** Callbacks for the events of a backend. None of these may throw. */
export interface BackendEvents {
  /** A frontend is connected. */
  connected(): void;
  /** It is gone: its rings are stopped, its memory unmapped, its fds closed. */
  disconnected(reason: string): void;
  /** The first ring runs: a driver uses the device; `detail` if it is unusual. */
  started(detail?: string): void;
  /** No ring runs any more: the guest is paused, or gone. */
  stopped(): void;
  /** Another frontend has been waiting for its turn; `who` it is, and for whom. */
  waiting(who: string): void;
  /** The guest is gone while its VMM is still connected. */
  gone(reason: string): void;
  /**
   * A frontend or its guest broke a rule (reported once for each session that
   * SET_OWNER begins), or the guest cannot be served as its VMM set it up (each
   * kind of reason once). A frontend decides how often it begins a session, so
   * the receiver bounds the rate.
   */
  fault(error: ProtocolError): void;
}
