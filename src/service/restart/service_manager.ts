/**
 * The service manager that started this process, if any: readiness, watchdog,
 * listening sockets and kept fds.
 *
 * **Source**: sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3); FDSTORE in
 * systemd.exec(5), systemd 254 or newer.
 *
 * @module
 */
import { connectDatagram } from "../../../ffi/datagram.ts";
import {
  duplicate,
  isInherited,
  makeNonblocking,
  readSmallFile,
} from "../../../ffi/files.ts";
import { fdStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { printable } from "../../text/printable.ts";
import { send } from "../../../ffi/socket_message.ts";
import {
  isKeptName,
  isSessionSocketName,
} from "../../aggregator/restart/fd_store.ts";
import { type KeptFd, ManagerFdStore } from "./manager_fd_store.ts";
import { encodeNotification } from "./notification.ts";

/** The first fd that a manager passes. */
const FIRST_FD = 3;
/** The most fds that a manager passes: more than systemd's store takes. */
const MAX_FDS = 65_536;
/** Limits of the ping interval; the longest is a timer's. **Units**: ms. */
const SHORTEST_PING_MS = 1;
const LONGEST_PING_MS = 2 ** 31 - 1;
/** Longest status that is shown. **Units**: UTF-16 code units. */
const MAX_STATUS_LENGTH = 1024;
/**
 * Delay before a message to a manager with a full queue is sent again.
 * **Units**: ms.
 */
const AGAIN_MS = 50;

/** Environment variables of a manager. */
interface ManagerEnvironment {
  notifySocket: string | undefined;
  /** Interval in which it expects a ping. **Units**: microseconds. */
  watchdogUs: number | undefined;
  /** Names of the fds from 3 on. */
  fdNames: string[];
  /** Descriptors that it keeps at most, where it says so. */
  storeLimit: number | undefined;
}

/**
 * Reads the manager's variables for process `pid` from the kernel, which has
 * the environment of the start. So no permission for environment variables is
 * needed.
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
  // Variables for another process were merely inherited.
  const isOurs = (name: string) =>
    (variables.get(name) ?? String(pid)) === String(pid);
  const count = variables.has("LISTEN_PID") && isOurs("LISTEN_PID")
    ? wholeNumber(variables.get("LISTEN_FDS"))
    : 0;
  const names = (variables.get("LISTEN_FDNAMES") ?? "").split(":");
  const watchdog = wholeNumber(variables.get("WATCHDOG_USEC"));
  const limit = wholeNumber(variables.get("FDSTORE"));
  return {
    notifySocket: variables.get("NOTIFY_SOCKET") || undefined,
    watchdogUs: watchdog > 0 && isOurs("WATCHDOG_PID") ? watchdog : undefined,
    fdNames: Array.from(
      { length: count <= MAX_FDS ? count : 0 },
      (_, i) => names[i] ?? "unknown",
    ),
    storeLimit: limit > 0 ? limit : undefined,
  };
}

/** Parses a manager's number; 0 for anything else. */
function wholeNumber(text = ""): number {
  return /^\d{1,20}$/.test(text) ? Number(text) : 0;
}

/** Settings and descriptors of a manager. */
export interface GivenManager {
  readonly notifySocket: string | undefined;
  /** Interval in which it expects a ping. **Units**: microseconds. */
  readonly watchdogUs: number | undefined;
  /** Descriptors that it keeps at most, where it says so. */
  readonly storeLimit: number | undefined;
  /** Fds that it passes: kept ones and listening sockets. */
  readonly fds: readonly KeptFd[];
  /** See {@linkcode ManagerFdStore.lifeFd}. */
  readonly lifeFd?: number;
}

/**
 * Returns the manager that started this process, as its environment and its
 * descriptors from 3 on tell; `onProblem` receives the text of what cannot be
 * used. **Ownership**: of the fds, the caller's; once only.
 */
export function takeManager(
  onProblem: (problem: string) => void,
): GivenManager {
  const { fdNames, ...environment } = readManagerEnvironment(
    readSmallFile("/proc/self/environ") ?? "",
    Deno.pid,
  );
  const fds: KeptFd[] = [];
  for (const [i, name] of fdNames.entries()) {
    if (!isInherited(FIRST_FD + i)) {
      onProblem(
        `the service manager passes ${fdNames.length} ` +
          `descriptors, but ${FIRST_FD + i} is not one of them`,
      );
      break;
    }
    using given = new OwnedFd(FIRST_FD + i, `${name}, from the manager`);
    // A copy that no VM inherits; the manager's own stays with the manager.
    fds.push([name, duplicate(given.fd).release()]);
  }
  return { ...environment, fds };
}

/** Returns true for a descriptor that a process kept, by its name and kind. */
export function isStoredFd([name, fd]: KeptFd): boolean {
  // A socket is one to listen at, whatever its name.
  return isKeptName(name) &&
    (fdStatus(fd).kind !== "socket" || isSessionSocketName(name));
}

/** The manager of this process. **Ownership**: of the fds that it passed. */
export class ServiceManager implements Disposable {
  /** Its fd store for this process; undefined without a manager. */
  readonly store: ManagerFdStore | undefined;
  readonly #notify: OwnedFd | undefined;
  readonly #watchdogUs: number | undefined;
  readonly #listeners = new Map<string, OwnedFd>();
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Repeats the message that the manager must receive. */
  #again: ReturnType<typeof setTimeout> | undefined;

  /**
   * Takes over the fds that the manager passed, if there is one; `onProblem`
   * receives the text of each that cannot be used. An unreachable manager
   * counts as none.
   *
   * @param given The manager, if not that of the environment.
   */
  constructor(
    onProblem: (problem: string) => void,
    given: GivenManager = takeManager(onProblem),
  ) {
    const { notifySocket, watchdogUs, storeLimit, lifeFd } = given;
    this.#watchdogUs = watchdogUs;
    try {
      if (notifySocket !== undefined) {
        this.store = new ManagerFdStore(notifySocket, onProblem);
        this.store.limit = storeLimit;
        this.store.lifeFd = lifeFd;
        this.#notify = connectDatagram(notifySocket);
      }
    } catch (error) {
      // A path that no socket can have is a RangeError.
      if (!isOsError(error) && !(error instanceof RangeError)) throw error;
      onProblem(`the service manager cannot be notified: ${error.message}`);
    }
    for (const kept of given.fds) {
      if (this.store !== undefined && isStoredFd(kept)) {
        this.store.offer([kept]);
        continue;
      }
      const [name, number] = kept;
      const fd = new OwnedFd(number, `${name}, from the manager`);
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

  /** The manager's listening sockets, by name; once only. */
  takeListeners(): Map<string, OwnedFd> {
    const listeners = new Map(this.#listeners);
    this.#listeners.clear();
    return listeners;
  }

  /**
   * Reports readiness with `status` as text. From now on the manager gets a
   * ping in its interval, each after `isWell` has answered.
   */
  ready(status: string, isWell: () => Promise<unknown>): void {
    this.#insist("READY=1");
    this.status(status);
    if (this.#watchdogUs === undefined) return;
    this.#timer = setInterval(() => {
      isWell().then(() => {
        // The end may have begun during the reactor's answer.
        if (this.#timer !== undefined) this.#say("WATCHDOG=1");
      }, () => {});
    }, pingIntervalMs(this.#watchdogUs));
  }

  /** Shows `status` from now on; other texts may be part of it. */
  status(status: string): void {
    this.#say(`STATUS=${printable(status, MAX_STATUS_LENGTH)}`);
  }

  /** Reports that the end has begun. */
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

  /**
   * Repeats the message until the manager has it, or a newer one replaces it.
   */
  #insist(text: string): void {
    clearTimeout(this.#again);
    if (this.#say(text)) return;
    this.#again = setTimeout(() => this.#insist(text), AGAIN_MS);
  }

  /** False if the manager's queue is full now. */
  #say(text: string): boolean {
    if (this.#notify === undefined) return true;
    try {
      return send(this.#notify.fd, encodeNotification(text)) >= 0;
    } catch (error) {
      // A manager that has ended or was replaced misses it: guests are served
      // all the same.
      if (!isOsError(error)) throw error;
      return true;
    }
  }
}

/** Half of the time after which the manager takes silence for a failure. */
function pingIntervalMs(watchdogUs: number): number {
  const half = watchdogUs / 2000;
  return Math.min(Math.max(half, SHORTEST_PING_MS), LONGEST_PING_MS);
}
