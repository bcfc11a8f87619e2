/**
 * A GPIO chip: who it is, what its lines are, and requesting them.
 *
 * @module
 */
import { EAGAIN, EBUSY, EIO, ENOTTY } from "../../ffi/errno.ts";
import {
  getChipInfo,
  getLine,
  getLineInfo,
  readEvents,
  unwatchLineInfo,
  watchLineInfo,
} from "../../ffi/gpio_ioctl.ts";
import {
  GPIOCHIP_INFO,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LINE_REQUEST,
  nameBytes,
} from "../../ffi/gpio_v2.ts";
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollReadable } from "../../ffi/poll.ts";
import { requireNumber, requireTimeout } from "../text/arguments.ts";
import { nameOfBytes, nameText } from "../text/names.ts";
import { chipPath, namedChipPath } from "./chip_nodes.ts";
import { openChipFile } from "./device_file.ts";
import { kernelError, LineError } from "./errors.ts";
import { EventStream, readSignal, type StreamOptions } from "./event_stream.ts";
import {
  decodeInfoEvent,
  decodeLineInfo,
  type LineInfo,
  type LineInfoEvent,
} from "./line_info.ts";
import { LineRequest } from "./line_request.ts";
import {
  packRequest,
  readRequest,
  refusalHint,
  type RequestOptions,
} from "./request_options.ts";
import { findProblem, type LineWithSettings } from "./line_settings.ts";

/**
 * The kernel's name for the user of a line of which a driver has the interrupt.
 */
const INTERRUPT = "interrupt";

/** Info events that one read takes at most. */
const INFO_EVENTS = 32;

/**
 * An open GPIO chip.
 *
 * **Ownership**: `using`, or {@linkcode Chip.close}. Requests made from it live
 * on without it; watches for info events end with it. **Blocking**: every
 * method asks the kernel, which answers at once.
 *
 * @example Show all lines that have a name
 * ```ts
 * import { Chip, listChips } from "@gpioagg/gpioagg";
 *
 * for (const path of listChips()) {
 *   using chip = Chip.open(path);
 *   console.log(`${chip.name} [${chip.label}]`);
 *   for (const line of chip.lines()) {
 *     if (line.name !== "") console.log(line.offset, line.name,
 *   line.direction); }
 * }
 * ```
 */
export class Chip implements Disposable {
  /** The path of the device file, links followed. */
  readonly path: string;
  /** The kernel's name for the chip: `gpiochip0`. */
  readonly name: string;
  /** Label that the driver gives the chip; need not be unique. */
  readonly label: string;
  /** Number of lines: offsets run from 0 to one less. */
  readonly lineCount: number;

  readonly #file: OwnedFd;
  readonly #infoBuffer = new Uint8Array(LINE_INFO.size);
  readonly #eventBuffer = new Uint8Array(INFO_EVENTS * LINE_INFO_CHANGED.size);
  readonly #streams = new Set<EventStream<LineInfoEvent>>();
  #infoEvents = 0;

  private constructor(path: string, file: OwnedFd, info: Uint8Array) {
    this.path = path;
    this.#file = file;
    this.name = nameOfBytes(nameBytes(info, GPIOCHIP_INFO.at.name));
    this.label = nameOfBytes(nameBytes(info, GPIOCHIP_INFO.at.label));
    this.lineCount = new DataView(info.buffer).getUint32(
      GPIOCHIP_INFO.at.lines,
      LITTLE_ENDIAN,
    );
  }

  /**
   * Opens a chip.
   *
   * @param chip Its number (`0` or `"0"`), name (`"gpiochip0"`), or the path of
   * its device file or of a link to it. {@linkcode openChip} takes labels too.
   * @throws {LineError} If there is no such file, it is no GPIO chip (the
   * message says what it is), or it may not be opened; {@linkcode
   * AmbiguousError} if a name is that of one chip's device file and the
   * kernel's name for another.
   */
  static open(chip: string | number): Chip {
    const given = chipPath(chip);
    const isPath = typeof chip === "string" && chip.includes("/");
    const { path, file } = openChipFile(
      isPath ? given : namedChipPath(given) ?? given,
    );
    const info = new Uint8Array(GPIOCHIP_INFO.size);
    const result = getChipInfo(file.fd, info);
    if (result < 0) {
      file.close();
      throw kernelError({
        chip: path,
        operation: "open",
        syscall: "GPIO_GET_CHIPINFO_IOCTL",
        errno: -result,
        detail: result === -ENOTTY ? "it is not a GPIO chip" : undefined,
      });
    }
    return new Chip(path, file, info);
  }

  /**
   * The fd, readable when there are info events; nonblocking.
   *
   * @throws {LineError} If the chip was closed.
   */
  get fd(): number {
    if (this.#file.closed) {
      throw new LineError({
        chip: this.name,
        operation: "use",
        reason: "it was closed",
      });
    }
    return this.#file.fd;
  }

  #checkOffset(offset: number, operation: string): void {
    if (Number.isInteger(offset) && offset >= 0 && offset < this.lineCount) {
      return;
    }
    requireNumber("offset", offset);
    throw new LineError({
      chip: this.name,
      offsets: [offset],
      operation,
      reason: this.lineCount === 0
        ? "the chip has no lines"
        : `its lines are 0 to ${this.lineCount - 1}`,
    });
  }

  #info(
    offset: number,
    operation: string,
    syscall: string,
    ask: (fd: number, info: Uint8Array<ArrayBuffer>) => number,
  ): LineInfo {
    this.#checkOffset(offset, operation);
    const info = this.#infoBuffer.fill(0);
    new DataView(info.buffer).setUint32(
      LINE_INFO.at.offset,
      offset,
      LITTLE_ENDIAN,
    );
    const result = ask(this.fd, info);
    if (result < 0) {
      throw kernelError({
        chip: this.name,
        offsets: [offset],
        operation,
        syscall,
        errno: -result,
        detail: operation === "watch" && result === -EBUSY
          ? "this chip object watches it already"
          : undefined,
      });
    }
    return decodeLineInfo(info, 0);
  }

  /**
   * Returns information about a line.
   *
   * @throws {LineError} If there is no such line, or the chip is gone.
   */
  lineInfo(offset: number): LineInfo {
    return this.#info(
      offset,
      "look up",
      "GPIO_V2_GET_LINEINFO_IOCTL",
      getLineInfo,
    );
  }

  /**
   * Returns information about all lines, in the order of their offsets.
   *
   * @throws {LineError} If the chip is gone.
   */
  lines(): LineInfo[] {
    return Array.from(
      { length: this.lineCount },
      (_, offset) => this.lineInfo(offset),
    );
  }

  /**
   * Returns a line's information; from here on each change of its user or settings is
   * an info event of this chip object.
   *
   * @throws {LineError} If there is no such line, it is under watch already, or
   * the chip is gone.
   */
  watchLineInfo(offset: number): LineInfo {
    return this.#info(
      offset,
      "watch",
      "GPIO_V2_GET_LINEINFO_WATCH_IOCTL",
      watchLineInfo,
    );
  }

  /**
   * Ends a watch; info events that are there already stay.
   *
   * @throws {LineError} If the line is not under watch, or the chip is gone.
   */
  unwatchLineInfo(offset: number): void {
    this.#checkOffset(offset, "unwatch");
    const word = new Uint8Array(4);
    new DataView(word.buffer).setUint32(0, offset, LITTLE_ENDIAN);
    const result = unwatchLineInfo(this.fd, word);
    if (result < 0) {
      throw kernelError({
        chip: this.name,
        offsets: [offset],
        operation: "unwatch",
        syscall: "GPIO_GET_LINEINFO_UNWATCH_IOCTL",
        errno: -result,
        detail: result === -EBUSY ? "it is not under watch" : undefined,
      });
    }
  }

  /**
   * Reads the info events that are there, without waiting.
   *
   * @param max The most to read; 32 by default, and never more.
   * @returns The events, oldest first; none if there are none.
   * @throws {LineError} If the chip is gone.
   */
  readInfoEvents(max: number = INFO_EVENTS): LineInfoEvent[] {
    requireNumber("max", max);
    const room = Math.min(Math.max(1, Math.floor(max)), INFO_EVENTS);
    const length = readEvents(
      this.fd,
      this.#eventBuffer,
      room * LINE_INFO_CHANGED.size,
    );
    if (length === -EAGAIN) return [];
    if (length < 0) {
      throw kernelError({
        chip: this.name,
        operation: "read info events of",
        syscall: "read",
        errno: -length,
      });
    }
    const count = Math.floor(length / LINE_INFO_CHANGED.size);
    return Array.from({ length: count }, (_, i) => this.#infoEvent(i));
  }

  #infoEvent(i: number): LineInfoEvent {
    const event = decodeInfoEvent(
      this.#eventBuffer,
      i * LINE_INFO_CHANGED.size,
      ++this.#infoEvents,
    );
    if (typeof event === "number") {
      throw new LineError({
        chip: this.name,
        operation: "read info events of",
        reason: `the kernel sent an event of the unknown kind ${event}`,
      });
    }
    return event;
  }

  /**
   * Waits until there are info events, or the chip is gone (a read shows which).
   *
   * @param timeoutMs Milliseconds; -1 waits without a limit, 0 only looks.
   * @returns Whether there are; false when the time is over.
   * @throws {LineError} If the chip was closed.
   *
   * **Blocking**: the whole isolate; {@linkcode waitForEvents} waits for
   * several chips at once, {@linkcode Chip.infoEvents} lets others go on.
   */
  waitInfoEvents(timeoutMs = -1): boolean {
    requireTimeout("timeoutMs", timeoutMs);
    return pollReadable([this.fd], timeoutMs)[0] !== 0;
  }

  /**
   * The info events as they come, for `for await`; until the loop is left, the
   * chip is closed or `signal` is aborted. Watch lines first.
   *
   * @throws {LineError} If the chip was closed; as a rejection, if it is gone.
   * @throws {unknown} As a rejection, the reason of `signal` when it is
   * aborted.
   */
  infoEvents(options: StreamOptions = {}): EventStream<LineInfoEvent> {
    const signal = readSignal(options);
    const stream = new EventStream<LineInfoEvent>(
      { fd: this.fd, read: () => this.readInfoEvents(1)[0] },
      (ended) => this.#streams.delete(ended),
      signal,
    );
    this.#streams.add(stream);
    return stream;
  }

  /**
   * Takes lines: no other program can, until the request is closed.
   *
   * @throws {LineError} If a line is absent, named twice, in use
   * (the message says by whom), or its settings contradict each other; if the
   * kernel refuses for another reason, or the chip is gone. Then none is taken.
   * @throws {RangeError} For no line or more than 64, or when their settings
   * differ so much that they do not fit one request.
   * @throws {TypeError} For an unknown setting, or a value of another type; the
   * message names it.
   *
   * **Ownership**: the request is the caller's, and independent of this object.
   */
  requestLines(options: RequestOptions): LineRequest {
    const lines = readRequest(this.name, options);
    this.#checkLines(lines);
    const request = packRequest(lines, options);
    const result = getLine(this.fd, request);
    if (result < 0) throw this.#requestError(lines, -result);
    return new LineRequest(
      new DataView(request.buffer).getInt32(LINE_REQUEST.at.fd, LITTLE_ENDIAN),
      this.name,
      lines,
    );
  }

  #checkLines(lines: readonly LineWithSettings[]): void {
    const named = new Set<number>();
    for (const { offset, settings } of lines) {
      this.#checkOffset(offset, "request");
      const problem = named.has(offset)
        ? "it is named twice"
        : findProblem(settings);
      if (problem !== undefined) {
        throw new LineError({
          chip: this.name,
          offsets: [offset],
          operation: "request",
          reason: problem,
        });
      }
      named.add(offset);
    }
  }

  #requestError(
    lines: readonly LineWithSettings[],
    errno: number,
  ): LineError {
    const failure = {
      chip: this.name,
      offsets: lines.map(({ offset }) => offset),
      operation: "request",
      syscall: "GPIO_V2_GET_LINE_IOCTL",
      errno,
    };
    // EIO: an output is refused while a driver has the line's interrupt.
    if (errno === EBUSY || errno === EIO) {
      const held = this.#firstUsed(lines);
      if (held !== undefined) return kernelError({ ...failure, ...held });
    }
    return kernelError({ ...failure, detail: refusalHint(lines, errno) });
  }

  /** Which of the lines is taken, and by whom, as far as known now. */
  #firstUsed(
    lines: readonly LineWithSettings[],
  ): { offsets: [number]; detail: string; holder: string } | undefined {
    for (const { offset } of lines) {
      const { used, consumer } = this.lineInfo(offset);
      if (used) {
        return {
          offsets: [offset],
          detail: consumer === ""
            ? "held by a user that gives no name"
            : `held by "${nameText(consumer)}"` +
              (consumer === INTERRUPT ? ", a driver's use of it" : ""),
          holder: consumer,
        };
      }
    }
    return undefined;
  }

  /** Closes the chip; requests made from it live on. Idempotent. */
  close(): void {
    for (const stream of this.#streams) stream.end();
    this.#file.close();
  }

  /** The same as {@linkcode Chip.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
