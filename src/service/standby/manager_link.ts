/**
 * A keeper's link to its own service manager: passes on what the service says.
 *
 * @module
 */
import { connectDatagram } from "../../../ffi/datagram.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { pollFd, POLLOUT } from "../../../ffi/poll.ts";
import { send } from "../../../ffi/socket_message.ts";
import { encodeNotification } from "../restart/notification.ts";
import { ManagerFdStore } from "../restart/manager_fd_store.ts";
import type { ManagerMessage } from "./manager_message.ts";

/** Time for a manager whose queue is full. **Units**: ms. */
const FULL_MS = 50;

/** The link; without a manager it does nothing. */
export class ManagerLink implements Disposable {
  readonly #notify: OwnedFd | undefined;
  readonly #store: ManagerFdStore | undefined;
  #wasReady = false;
  /** Set while the manager waits for the end of a reload. */
  #isReloading = false;

  /** Connects; an unreachable manager counts as none, and is reported. */
  constructor(
    notifySocket: string | undefined,
    tell: (problem: string) => void,
  ) {
    if (notifySocket === undefined) return;
    try {
      this.#notify = connectDatagram(notifySocket);
      this.#store = new ManagerFdStore(notifySocket, tell);
    } catch (error) {
      if (!isOsError(error) && !(error instanceof RangeError)) throw error;
      tell(`the service manager cannot be notified: ${error.message}`);
    }
  }

  /** True once a service was ready. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** Has the manager keep a copy. **Ownership**: stays the caller's. */
  keep(name: string, fd: number): void {
    this.#store?.keep(name, fd);
  }

  /** Has the manager keep what has this name no longer. */
  drop(name: string): void {
    this.#store?.drop(name);
  }

  /**
   * Passes on what a service says of itself. The end of one that another
   * follows is not the end of the unit; a reload that is under way ends with it,
   * once the next one is ready.
   */
  say(message: ManagerMessage, isFollowed: boolean): void {
    const { isReady, isStopping, passedOn } = message;
    if (isReady && (!this.#wasReady || this.#isReloading)) {
      this.#wasReady = true;
      this.#isReloading = false;
      this.#say("READY=1");
    }
    if (isStopping && !isFollowed) this.#say("STOPPING=1");
    if (passedOn.length > 0) this.#say(...passedOn);
    this.#isReloading ||= passedOn.includes("RELOADING=1");
  }

  /** Says that the unit is alive, while no service can. */
  ping(): void {
    this.#say("WATCHDOG=1");
  }

  [Symbol.dispose](): void {
    this.#notify?.close();
    this.#store?.[Symbol.dispose]();
  }

  #say(...assignments: string[]): void {
    if (this.#notify === undefined) return;
    try {
      const bytes = encodeNotification(...assignments);
      if (send(this.#notify.fd, bytes) >= 0) return;
      pollFd(this.#notify.fd, POLLOUT, FULL_MS);
      send(this.#notify.fd, bytes);
    } catch (error) {
      // A manager that was replaced misses it; a control character is not sent.
      if (!isOsError(error) && !(error instanceof RangeError)) throw error;
    }
  }
}
