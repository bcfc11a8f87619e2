/**
 * A vfio-user server: presents one PCI card to one VMM after another.
 *
 * @module
 */
import { hangUpElsewhere } from "../../ffi/helper_thread.ts";
import type { PciCard } from "../pci/pci_card.ts";
import type { PeerTimes } from "../peer/peer_process.ts";
import { type PeerEndpoint, PeerServer } from "../peer/peer_server.ts";
import type { ProtocolError } from "../peer/protocol_error.ts";
import {
  CARD_PARTS,
  SessionPart,
  type SessionStore,
} from "../peer/session_store.ts";
import type { EventLoop, TimeShare } from "../reactor/event_loop.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { type ResumedSession, Session } from "./session.ts";
import { SessionMemory } from "./session_memory.ts";

/** Options of a {@linkcode VfioUserBackend}. */
interface VfioUserBackendOptions {
  readonly loop: EventLoop;
  /** The VMMs' time in the loop; absent: a share of their own. */
  readonly share?: TimeShare;
  readonly card: PciCard;
  readonly endpoint: PeerEndpoint;
  readonly events: {
    connected(): void;
    disconnected(reason: string): void;
    waiting(who: string): void;
    fault(error: ProtocolError): void;
  };
  /** Reads the times of a VMM's process; tests bring their own. */
  readonly peerTimes?: () => PeerTimes | undefined;
  /**
   * Keeps the session across a restart of this process: QEMU never connects
   * again.
   */
  readonly store?: SessionStore | undefined;
  /** Called if the session of an earlier process cannot go on. */
  readonly onLost?: () => void;
  /** Monotonic milliseconds; tests bring their own clock. */
  readonly now?: () => number;
}

/**
 * One card behind one socket. **Ownership**: owns the endpoint's fd; the card is
 * lent.
 */
export class VfioUserBackend implements Disposable {
  readonly #server: PeerServer<Session>;

  /**
   * Begins to serve.
   *
   * @throws {OsError} If the endpoint cannot be watched; it is closed then.
   */
  constructor(options: VfioUserBackendOptions) {
    const { card, endpoint, events, store, loop } = options;
    const found = store && takeSession(store, card.stateWords);
    if (found === "lost") options.onLost?.();
    let left = found === "lost" ? undefined : found;
    this.#server = new PeerServer({
      loop,
      endpoint,
      events,
      ...options.share === undefined ? {} : { share: options.share },
      ...options.now === undefined ? {} : { now: options.now },
      resumed: left?.connection,
      begin: ({ connection, peer, share, onEnd }) => {
        const resumed = connection === left?.connection ? left : undefined;
        left = undefined;
        return new Session({
          loop,
          share,
          card,
          connection,
          fault: (error) => events.fault(error),
          peerTimes: options.peerTimes ?? (() => peer.times()),
          onEnd,
          now: options.now ?? (() => performance.now()),
          store,
          resumed,
        });
      },
    });
  }

  /** True if a VMM is connected. */
  get isConnected(): boolean {
    return this.#server.session !== undefined;
  }

  /** Ends the session, if there is one; the next VMM is accepted. */
  endSession(reason: string): void {
    this.#server.endSession(reason);
  }

  /** Ends the session, if there is one, and stops listening. Idempotent. */
  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]();
  }
}

/**
 * Takes what an earlier process left of its session; undefined if there is
 * nothing, "lost" if it cannot be used: its VMM is hung up then. **Ownership**:
 * the caller's.
 */
function takeSession(
  store: SessionStore,
  cardWords: number,
): ResumedSession & { connection: OwnedFd } | "lost" | undefined {
  const connection = takeLast(store, SessionPart.Connection);
  const file = takeLast(store, SessionPart.Memory);
  const trigger = takeLast(store, SessionPart.Trigger);
  const all = [connection, file, trigger];
  if (all.every((fd) => fd === undefined)) return undefined;
  let fault = "its connection or its state is missing";
  if (connection !== undefined && file !== undefined) {
    const memory = SessionMemory.resume(file, cardWords);
    if (typeof memory !== "string") return { connection, memory, trigger };
    fault = memory;
  }
  store.report(`a VMM's session ends with the restart: ${fault}`);
  // The manager has copies: the VMM would wait for ever.
  if (connection !== undefined) hangUpElsewhere(connection);
  for (const fd of all) fd?.close();
  for (const part of CARD_PARTS) store.drop(part);
  return "lost";
}

/** Takes the newest of the fds that were kept as this part. */
function takeLast(store: SessionStore, part: SessionPart): OwnedFd | undefined {
  const fds = store.take(part);
  const last = fds.pop();
  for (const fd of fds) fd.close();
  return last;
}
