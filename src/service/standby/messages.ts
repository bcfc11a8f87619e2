/**
 * Messages between a keeper and the processes that it starts: a newer program
 * may be started by an older keeper, so that changes must be compatible.
 *
 * @module
 */

/** The hidden command of these processes. */
export const STANDBY_COMMAND = "serve-standby";

/** Fds of one message; the kernel takes 253. */
export const FDS_AT_ONCE = 200;

/** Messages of the keeper. */
export type FromKeeper =
  /** Descriptors come with it, of these names. */
  | { readonly kind: "fds"; readonly names: readonly string[] }
  /** The process shall serve now, with the descriptors that came. */
  | {
    readonly kind: "serve";
    readonly notifySocket: string;
    readonly watchdogUs?: number;
    readonly storeLimit: number;
  }
  /** The process shall end as after SIGTERM. */
  | { readonly kind: "end" };

/** Messages to the keeper. */
export type ToKeeper =
  /** The process can serve at once. */
  | { readonly kind: "warm" }
  /**
   * The process serves nothing, has sent all messages, and is about to end: for
   * a restart the next one need not wait for that.
   */
  | { readonly kind: "handed-over" };
