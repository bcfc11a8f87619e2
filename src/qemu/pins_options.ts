/**
 * Parts of an exposure as pins: its lines, its sockets, and its reports.
 *
 * @module
 */
import type { QemuPin } from "../config/specification.ts";
import type { PinRequest } from "../line/pin_line.ts";
import type { LinePort } from "../line/port.ts";
import type { SessionStore } from "../peer/session_store.ts";
import type { EventLoop, TimeShare } from "../reactor/event_loop.ts";
import type { QemuError } from "./errors.ts";
import type { PinRule } from "./session_pin.ts";

/** One line of the exposure. */
interface QemuLine {
  readonly port: LinePort;
  /** Directions that the guest may give the line; read each time. */
  readonly rule: PinRule;
  /**
   * Returns the delay before a `level` of the guest that the line did not take
   * is retried; undefined: not at all. Absent: always one second.
   * **Units**: milliseconds.
   */
  retryMs?(level: number): number | undefined;
}

/** Events of an exposure. */
interface QemuPinsEvents {
  /** QEMU was reached, and has the controller. */
  connected(): void;
  /** QEMU has ended; the next one is waited for. */
  disconnected(reason: string): void;
  /**
   * Lines and pins are tied together; `isResumed` if an earlier process served
   * this guest.
   */
  started(isResumed: boolean): void;
  /** The guest was reset or has shut down: lines go to their declared state. */
  stopped(): void;
  /** A problem; reported once until it is resolved. */
  fault(error: QemuError): void;
  /** An unexpected, but valid state; reported once. */
  notice(text: string): void;
  /**
   * A request of the guest was executed, or failed.
   *
   * @param since Time at which the request was seen, if there is a clock.
   */
  answered(
    lineNumber: number,
    request: PinRequest,
    isOk: boolean,
    since: number,
  ): void;
  /** The guest made a pin an output whose line is an input by rule. */
  refused(lineNumber: number): void;
}

/** Parts of an exposure. */
export interface QemuPinsOptions {
  readonly loop: EventLoop;
  /** QEMU's time in the loop; absent: a share of its own. */
  readonly share?: TimeShare;
  /** By lineNumber. */
  readonly lines: readonly QemuLine[];
  /** Path of QEMU's qtest socket. */
  readonly qtestPath: string;
  /** Path of a QMP socket that no other client uses. */
  readonly qmpPath: string;
  /**
   * Directories that both paths must be in, if an API client named them;
   * absent: an administrator did.
   */
  readonly allowed?: readonly string[];
  /** The controller: a type such as `pl061`, or an object's path. */
  readonly device: string;
  /** Which of several controllers of that type, by rising address. */
  readonly index?: number;
  /** The line of each pin; absent: pin n is line n. */
  readonly pins?: readonly QemuPin[];
  /**
   * The guest is gone, by a reset, a shutdown or the end of QEMU: called after
   * the lines were notified, for code that knows their rules.
   */
  readonly onGuestGone: () => void;
  /**
   * Returns true if the guest of an earlier process may return, and the lines
   * are as it left them. Absent: there was none.
   */
  readonly awaitsGuest?: () => boolean;
  /**
   * The awaited guest no longer drives a line that it did: called like
   * `onGuestGone`, for this line only.
   */
  readonly onLineLeft?: (lineNumber: number) => void;
  /**
   * Keeps the connections for the next process, and has those of the last one.
   */
  readonly store?: SessionStore | undefined;
  /** Lines as they are to be found by the next process, as a text. */
  readonly identity?: string;
  readonly events: QemuPinsEvents;
  /** Clock for the duration of requests; absent: they are not measured. */
  readonly now?: () => number;
}
