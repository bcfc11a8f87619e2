/**
 * A vhost-user backend: presents one device to one frontend after another.
 *
 * @module
 */
import type { SessionDescriptors } from "../../ffi/descriptor_budget.ts";
import { type PeerEndpoint, PeerServer } from "../peer/peer_server.ts";
import type { PeerTimes } from "../peer/peer_process.ts";
import type {
  EventLoop,
  PollSettings,
  TimeShare,
} from "../reactor/event_loop.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import type { BackendEvents } from "./events.ts";
import { DEFAULT_PAUSED_FOR_MS, type PausedFor } from "./pause_watch.ts";
import { PageBudget } from "./memory/page_budget.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";
import type { SessionStore } from "../peer/session_store.ts";
import { resumeSession } from "./kept_session.ts";
import { Session } from "./session.ts";

/** Options of a {@linkcode VhostUserBackend}. */
interface VhostUserBackendOptions {
  /** The loop that everything runs in. */
  readonly loop: EventLoop;
  /** The frontends' time in the loop; absent: a share of their own. */
  readonly share?: TimeShare;
  /** The device to present. */
  readonly device: VirtioDevice;
  /** Source of frontends. */
  readonly endpoint: PeerEndpoint;
  /** Name of the device, for people. */
  readonly name: string;
  /** Callbacks for events. */
  readonly events: BackendEvents;
  /** Time for which a stopped driver counts as paused. Default: 3 s. */
  readonly pausedFor?: PausedFor | undefined;
  /** Time for which rings are looked at after a request; absent: never. */
  readonly polling?: PollSettings | undefined;
  /**
   * Keeps the session across a restart of this process; absent: it ends with
   * this process.
   */
  readonly store?: SessionStore | undefined;
  /** Descriptors of all VMMs; tests bring their own. */
  readonly descriptors?: SessionDescriptors;
  /** Reads the times of a VMM's process; tests bring their own. */
  readonly peerTimes?: () => PeerTimes | undefined;
  /** Monotonic milliseconds; tests bring their own clock. */
  readonly now?: () => number;
}

/**
 * One device behind one socket. **Ownership**: owns the endpoint's fd; the
 * device is lent.
 */
export class VhostUserBackend implements Disposable {
  readonly #options: VhostUserBackendOptions;
  readonly #server: PeerServer<Session>;
  readonly #keeper: SessionKeeper | undefined;
  /** Time for which a stopped driver counts as paused; of the next stop. */
  pausedFor: PausedFor;

  /**
   * Begins to serve.
   *
   * @throws {OsError} If the endpoint cannot be watched; it is closed then.
   */
  constructor(options: VhostUserBackendOptions) {
    this.#options = options;
    this.pausedFor = options.pausedFor ?? DEFAULT_PAUSED_FOR_MS;
    const { device, endpoint, events, loop } = options;
    const now = options.now ?? (() => performance.now());
    const pages = new PageBudget(now);
    const keeper = options.store && SessionKeeper.open(options.store);
    this.#keeper = keeper;
    const found = keeper && resumeSession(keeper, device);
    let left = found === "lost" ? undefined : found;
    // Its VMM is hung up: no guest drives the lines any more.
    if (found === "lost") device.reset();
    this.#server = new PeerServer({
      loop,
      endpoint,
      events,
      now,
      ...(options.share === undefined ? {} : { share: options.share }),
      ...options.descriptors === undefined
        ? {}
        : { descriptors: options.descriptors },
      resumed: left?.connection,
      begin: ({ connection, peer, share, descriptors, onEnd }) => {
        const { peerTimes = () => peer.times() } = options;
        pages.beginSession();
        const resumed = connection === left?.connection ? left : undefined;
        left = undefined;
        return new Session({
          device,
          keeper,
          resumed,
          loop,
          share,
          connection,
          descriptors,
          pages,
          events,
          pausedFor: () => this.pausedFor,
          polling: options.polling,
          peerTimes,
          now,
          onEnd,
        });
      },
    });
  }

  /** Name of the device, for people. */
  get name(): string {
    return this.#options.name;
  }

  /** True if a frontend is connected. */
  get isConnected(): boolean {
    return this.#server.session !== undefined;
  }

  /**
   * Notifies the driver that the configuration space has changed.
   *
   * @returns True if there is a driver that could be notified.
   */
  configChanged(): boolean {
    return this.#server.session?.configChanged() ?? false;
  }

  /** Ends the session, if there is one; the next frontend is accepted. */
  endSession(reason: string): void {
    this.#server.endSession(reason);
  }

  /** Ends the session, if there is one, and stops listening. Idempotent. */
  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]();
    this.#keeper?.[Symbol.dispose]();
  }
}
