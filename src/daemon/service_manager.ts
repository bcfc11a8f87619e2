/**
 * The service manager that started this process, if one did: readiness,
 * watchdog, sockets that it listens at for us, and fds that it kept.
 *
 * **Source**: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3).
 *
 * @module
 */
import { connectDatagram } from "../../ffi/datagram.ts";
import {
  duplicate,
  fdStatus,
  makeNonblocking,
  readSmallFile,
} from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/unix_socket.ts";
import { isKeptName } from "../aggregator/fd_keeper.ts";
import { FdStore } from "./fd_store.ts";

/** The first fd that a manager hands over. */
const FIRST_FD = 3;
/** How soon a manager with a full queue is told once more. **Units**: ms. */
const AGAIN_MS = 50;

/** The environment that a manager speaks through. */
export interface ManagerEnvironment {
  notifySocket: string | undefined;
  /** How often it wants to hear that all is well. **Units**: microseconds. */
  watchdogUs: number | undefined;
  /** Names of the fds from 3 on. */
  fdNames: string[];
}

/**
 * Reads what a manager told the process `pid` in its environment: from the
 * kernel, which gives it as it was at the start, so that no permission for
 * environment variables is needed.
 */
export function readManagerEnvironment(
  environment: string,
  pid: number,
): ManagerEnvironment {
  const variables = new Map(
    environment.split("\0").map((text) => {
      const equals = text.indexOf("=");
      return [text.slice(0, equals), text.slice(equals + 1)];
    }),
  );
  // What is meant for another process was merely inherited.
  const isOurs = (name: string) =>
    (variables.get(name) ?? String(pid)) === String(pid);
  const count = variables.has("LISTEN_PID") && isOurs("LISTEN_PID")
    ? Number(variables.get("LISTEN_FDS") ?? 0)
    : 0;
  const names = (variables.get("LISTEN_FDNAMES") ?? "").split(":");
  const watchdog = Number(variables.get("WATCHDOG_USEC") ?? 0);
  return {
    notifySocket: variables.get("NOTIFY_SOCKET") || undefined,
    watchdogUs: watchdog > 0 && isOurs("WATCHDOG_PID") ? watchdog : undefined,
    fdNames: Array.from({ length: count }, (_, i) => names[i] ?? "unknown"),
  };
}

/** The manager of this process. **Ownership**: of what it handed over. */
export class ServiceManager implements Disposable {
  /** What it keeps for this process; undefined where there is no manager. */
  readonly store: FdStore | undefined;
  readonly #notify: OwnedFd | undefined;
  readonly #watchdogUs: number | undefined;
  readonly #listeners = new Map<string, OwnedFd>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Tells the manager once more what it must hear. */
  #again: ReturnType<typeof setTimeout> | undefined;

  /**
   * Takes over what the manager handed over, if there is one; `onProblem` hears
   * of what is of no use. A manager that cannot be reached is none.
   */
  constructor(onProblem: (problem: string) => void) {
    const { notifySocket, watchdogUs, fdNames } = readManagerEnvironment(
      readSmallFile("/proc/self/environ") ?? "",
      Deno.pid,
    );
    this.#watchdogUs = watchdogUs;
    try {
      if (notifySocket !== undefined) {
        this.store = new FdStore(notifySocket, onProblem);
        this.#notify = connectDatagram(notifySocket);
      }
    } catch (error) {
      if (!isOsError(error)) throw error;
      onProblem(`no service manager hears of this: ${error.message}`);
    }
    for (const [i, name] of fdNames.entries()) {
      using given = new OwnedFd(FIRST_FD + i, `${name}, from the manager`);
      // A copy that no VM inherits; the manager's own stays with the manager.
      const fd = duplicate(given.fd);
      // A socket is one that is listened at, whatever somebody called it.
      const isSocket = fdStatus(fd.fd).kind === "socket";
      if (isKeptName(name) && !isSocket && this.store !== undefined) {
        this.store.offer([[name, fd.release()]]);
      } else {
        makeNonblocking(fd);
        if (this.#listeners.has(name)) {
          onProblem(
            `the service manager listens at two sockets by the name ${name}: ` +
              "only the first is served",
          );
          fd.close();
        } else this.#listeners.set(name, fd);
      }
    }
  }

  /** The sockets that the manager listens at, by name; once only. */
  takeListeners(): Map<string, OwnedFd> {
    const listeners = new Map(this.#listeners);
    this.#listeners.clear();
    return listeners;
  }

  /**
   * Everything is served; `status` says what, in words. From now on the manager
   * hears that all is well as often as it wants to, each time after `isWell` has
   * answered.
   */
  ready(status: string, isWell: () => Promise<unknown>): void {
    this.#insist("READY=1");
    this.#say(`STATUS=${status}`);
    if (this.#watchdogUs === undefined) return;
    this.#timer = setInterval(() => {
      isWell().then(() => {
        // The end may have begun while the reactor was asked.
        if (this.#timer !== undefined) this.#say("WATCHDOG=1");
      }, () => {});
    }, this.#watchdogUs / 2000);
  }

  /** The end has begun. */
  stopping(): void {
    this.#endPings();
    this.#insist("STOPPING=1");
  }

  [Symbol.dispose](): void {
    this.#endPings();
    clearTimeout(this.#again);
    this.#notify?.close();
    this.store?.[Symbol.dispose]();
    for (const fd of this.#listeners.values()) fd.close();
  }

  #endPings(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Says it until the manager has heard it, or something else is as urgent. */
  #insist(text: string): void {
    clearTimeout(this.#again);
    if (this.#say(text)) return;
    this.#again = setTimeout(() => this.#insist(text), AGAIN_MS);
  }

  /** False if the manager's queue is full just now. */
  #say(text: string): boolean {
    if (this.#notify === undefined) return true;
    try {
      return send(this.#notify.fd, new TextEncoder().encode(text)) >= 0;
    } catch (error) {
      // A manager that is gone or new hears nothing: guests are served all the same.
      if (!isOsError(error)) throw error;
      return true;
    }
  }
}
