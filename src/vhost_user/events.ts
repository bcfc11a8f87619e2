/**
 * What a backend tells its owner.
 *
 * @module
 */
import type { ProtocolError } from "./errors.ts";

/** Told of the turns in a backend's life. None of these may throw. */
export interface BackendEvents {
  /** A frontend is connected. */
  connected(): void;
  /** It is gone: its rings are stopped, its memory unmapped, its fds closed. */
  disconnected(reason: string): void;
  /** The first ring runs: a driver uses the device. */
  started(): void;
  /** No ring runs any more. */
  stopped(): void;
  /**
   * A frontend or its guest broke a rule. At most once per connection, so that
   * nobody can fill the host's logs.
   */
  fault(error: ProtocolError): void;
}
