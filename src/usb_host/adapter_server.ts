/**
 * One adapter at a socket of ours, for one USB host after another.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { PeerProcess } from "../peer/peer_process.ts";
import { PeerServer } from "../peer/peer_server.ts";
import type { EventLoop, TimeShare } from "../reactor/event_loop.ts";
import type { UsbDevice } from "../usb/core/transfers.ts";
import { type AdapterJournal, type MakeWire, UsbSession } from "./session.ts";

/** Protocol of a host's connection. */
export interface UsbProtocol {
  /** Its name in messages. */
  readonly name: string;
  readonly makeWire: MakeWire;
  /** Returns true if the end of a connection for this reason is to be reported. */
  isFault(reason: string): boolean;
}

/** Receiver of what happens at one adapter's socket. */
export interface AdapterSocketEvents {
  connected(detail: string): void;
  disconnected(reason: string): void;
  /** A peer waits; `who` names it and the peer that is served. */
  waiting(who: string): void;
  /** A fault, reported once until it is gone. */
  fault(message: string): void;
}

/** Parts of one adapter's socket. */
export interface AdapterOptions {
  readonly loop: EventLoop;
  /** Time of all hosts in the loop; absent: a share of their own. */
  readonly share?: TimeShare;
  /** **Ownership**: borrowed. */
  readonly device: UsbDevice;
  readonly events: AdapterSocketEvents;
  /** Host that an earlier process has served: the first to be served. */
  readonly resumed?: ResumedHost | undefined;
  /** Keeps the sessions for the next process. */
  readonly journal?: AdapterJournal | undefined;
}

/** One adapter's place, for one host after another. */
export interface AdapterSocket extends Disposable {
  /** Ends what a host has begun; the next one is served. */
  endSession(reason: string): void;
  /** Keeps the session as it is now, for the next process. */
  keep(): void;
}

/** Session of an earlier process. */
export interface ResumedHost {
  /** **Ownership**: taken over. */
  readonly connection: OwnedFd;
  readonly state: unknown;
}

/** Returns the words for a peer that broke the protocol. */
export function describeViolation(
  peer: PeerProcess,
  { name }: UsbProtocol,
  reason: string,
): string {
  return `${peer.title} does not speak ${name}: ${reason}`;
}

/**
 * Serves one host after another that connects to a socket of ours.
 *
 * **Ownership**: owns the listener.
 *
 * @throws {OsError} If the listener cannot be watched; it is closed then.
 */
export function serveAdapter(
  options: AdapterOptions & {
    readonly listener: OwnedFd;
    readonly protocol: UsbProtocol;
  },
): AdapterSocket {
  const { loop, device, events, listener, protocol } = options;
  const { resumed, journal } = options;
  const server = new PeerServer({
    loop,
    ...options.share === undefined ? {} : { share: options.share },
    endpoint: { listener },
    resumed: resumed?.connection,
    events: {
      connected: () => events.connected(""),
      disconnected: (reason) => events.disconnected(reason),
      waiting: (who) => events.waiting(who),
      fault: (error) => events.fault(error.message),
    },
    begin: ({ connection, peer, share, onEnd }) =>
      new UsbSession({
        loop,
        share,
        connection,
        device,
        makeWire: protocol.makeWire,
        journal,
        ...(connection === resumed?.connection
          ? { resumed: resumed.state }
          : {}),
        onEnd: (reason, isFault) => {
          if (isFault && protocol.isFault(reason)) {
            events.fault(describeViolation(peer, protocol, reason));
          }
          onEnd(reason, false);
        },
      }),
  });
  return {
    endSession: (reason) => server.endSession(reason),
    keep: () => server.session?.keep(),
    [Symbol.dispose]: () => server[Symbol.dispose](),
  };
}
