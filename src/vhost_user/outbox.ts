/**
 * Replies to the message that is served: they go once the session is kept as the
 * message leaves it, so that a frontend which has its reply finds the next
 * process to know it as well.
 *
 * @module
 */
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { encodeReply } from "./messages/codec.ts";
import type { KeptSession } from "./kept_session.ts";
import type { MessageStream } from "./messages/message_stream.ts";

/** Replies that wait. **Ownership**: of their fds. */
export class Outbox {
  readonly #stream: MessageStream;
  readonly #kept: KeptSession | undefined;
  readonly #lost: () => void;
  #replies: { bytes: Uint8Array; fds: OwnedFd[] }[] = [];

  /**
   * Begins without any; `lost` is called when the frontend turns out to be gone.
   */
  constructor(
    stream: MessageStream,
    kept: KeptSession | undefined,
    lost: () => void,
  ) {
    this.#stream = stream;
    this.#kept = kept;
    this.#lost = lost;
    if (kept !== undefined) stream.onTake = () => kept.setServing(true);
  }

  /** Adds a reply. **Ownership**: takes the fds over. */
  add(request: number, payload: Uint8Array, fds: OwnedFd[] = []): void {
    this.#replies.push({ bytes: encodeReply(request, payload), fds });
  }

  /** Sends what there is. */
  send(): void {
    for (;;) {
      const next = this.#replies.shift();
      if (next === undefined) break;
      if (!this.#guarded(() => this.#stream.send(next.bytes, next.fds))) {
        this.drop();
        return;
      }
    }
    this.#settled();
  }

  /** Drops what there is: the session is over. */
  drop(): void {
    for (const { fds } of this.#replies) for (const fd of fds) fd.close();
    this.#replies = [];
  }

  /** Sends what had no room; false while there is still something left. */
  flush(): boolean {
    const isFlushed = this.#guarded(() => this.#stream.flush());
    if (isFlushed) this.#settled();
    return isFlushed;
  }

  /** Nothing of a message is in this process only, unless a reply waits. */
  #settled(): void {
    const kept = this.#kept;
    if (kept !== undefined) kept.setServing(this.#stream.isBlocked);
  }

  #guarded(action: () => boolean | void): boolean {
    try {
      return action() !== false;
    } catch (error) {
      if (!isOsError(error)) throw error;
      this.#lost();
      return false;
    }
  }
}
