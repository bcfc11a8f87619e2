/**
 * A vhost-user backend: presents one device to one frontend after another.
 *
 * While a frontend is served, others that connect wait in the listener's
 * backlog. A VM that is respawned connects, often enough, before the old one's
 * socket is seen to be closed: it is served a moment later, where a refusal would
 * make its VMM give up.
 *
 * @module
 */
import { EPOLLIN } from "../../ffi/epoll.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { acceptUnix } from "../../ffi/unix_socket.ts";
import type { EventLoop, Timer, Watch } from "../reactor/event_loop.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import { ProtocolError } from "./errors.ts";
import type { BackendEvents } from "./events.ts";
import { Session } from "./session.ts";

export type { BackendEvents } from "./events.ts";

/** How long a listener rests when the process has no fd left. **Units**: ms. */
const ACCEPT_RETRY_MS = 1000;

/** Where frontends come from. **Ownership**: the backend takes the fd over. */
export type BackendEndpoint =
  /** A listening, nonblocking socket: one frontend after another. */
  | { readonly listener: OwnedFd }
  /** A connected, nonblocking socket: this frontend, and no other. */
  | { readonly connection: OwnedFd };

/** What a {@linkcode VhostUserBackend} is made from. */
export interface VhostUserBackendOptions {
  /** The loop that everything runs in. */
  readonly loop: EventLoop;
  /** The device to present. */
  readonly device: VirtioDevice;
  /** Where frontends come from. */
  readonly endpoint: BackendEndpoint;
  /** What the device is called, for people. */
  readonly name: string;
  /** Told what happens. */
  readonly events: BackendEvents;
}

/**
 * One device behind one socket. **Ownership**: owns the endpoint's fd; the
 * device is lent.
 */
export class VhostUserBackend implements Disposable {
  readonly #options: VhostUserBackendOptions;
  readonly #listener: OwnedFd | undefined;
  #watch: Watch | undefined;
  #retry: Timer | undefined;
  #session: Session | undefined;
  #isDisposed = false;

  /**
   * Begins to serve.
   *
   * @throws {OsError} If the endpoint cannot be watched; it is closed then.
   */
  constructor(options: VhostUserBackendOptions) {
    this.#options = options;
    const { endpoint } = options;
    if ("connection" in endpoint) {
      this.#begin(endpoint.connection);
      return;
    }
    this.#listener = endpoint.listener;
    try {
      this.#listen();
    } catch (error) {
      endpoint.listener.close();
      throw error;
    }
  }

  /** What the device is called, for people. */
  get name(): string {
    return this.#options.name;
  }

  /** Whether a frontend is connected. */
  get isConnected(): boolean {
    return this.#session !== undefined;
  }

  /**
   * Tells the driver that the configuration space has changed.
   *
   * @returns Whether there is a driver that could be told.
   */
  configChanged(): boolean {
    return this.#session?.configChanged() ?? false;
  }

  /** Ends the session, if there is one, and listens no more. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#rest();
    this.#retry?.[Symbol.dispose]();
    this.#session?.[Symbol.dispose]();
    this.#listener?.close();
  }

  #listen(): void {
    this.#watch = this.#options.loop.watch(
      this.#listener!.fd,
      EPOLLIN,
      this.#accept,
    );
  }

  #rest(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  readonly #accept = (): void => {
    let connection: OwnedFd | undefined;
    try {
      connection = acceptUnix(this.#listener!.fd);
      if (connection === undefined) return;
      // Nobody else is accepted until this one is gone.
      this.#rest();
      this.#begin(connection);
    } catch (cause) {
      if (!isOsError(cause)) throw cause;
      this.#pauseListening(cause);
    }
  };

  /** The process has no fd left, most likely: looked at again a little later. */
  #pauseListening(cause: Error): void {
    this.#rest();
    this.#options.events.fault(
      new ProtocolError(
        "a new connection",
        `${cause.message}; it is tried again every second`,
        { cause },
      ),
    );
    this.#retry = this.#options.loop.after(ACCEPT_RETRY_MS, () => {
      this.#retry = undefined;
      this.#listen();
    });
  }

  #begin(connection: OwnedFd): void {
    const { device, events, loop } = this.#options;
    this.#session = new Session({
      device,
      loop,
      connection,
      events,
      onEnd: (reason) => {
        this.#session = undefined;
        events.disconnected(reason);
        if (this.#listener !== undefined && !this.#isDisposed) this.#listen();
      },
    });
    events.connected();
  }
}
