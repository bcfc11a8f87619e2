/**
 * Lines that this program has: reading, setting, reconfiguring, edge events.
 *
 * @module
 */
import { EAGAIN, EINVAL, EPERM } from "../../ffi/errno.ts";
import { makeNonblocking } from "../../ffi/files.ts";
import {
  getLineValues,
  readEvents,
  setLineConfig,
  setLineValues,
} from "../../ffi/gpio_ioctl.ts";
import {
  GPIO_V2_LINES_MAX,
  LINE_CONFIG,
  LINE_EVENT,
} from "../../ffi/gpio_v2.ts";
import { packConfig, packLineConfig } from "../../ffi/gpio_v2_config.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollReadable } from "../../ffi/poll.ts";
import { requireArray, requireTimeout } from "../text/arguments.ts";
import { type EdgeEvent, EdgeEventBatch } from "./edge_event.ts";
import { LineError } from "./errors.ts";
import { EventStream, readSignal, type StreamOptions } from "./event_stream.ts";
import {
  areSettings,
  checkSelections,
  encodeFlags,
  findProblem,
  flattenSelections,
  type LineSelection,
  type LineSettings,
  packLine,
} from "./line_settings.ts";
import type { Value } from "../line/value.ts";
import { LineValues, valuesByOffset } from "./line_values.ts";
import { RequestLines } from "./request_lines.ts";

/** Stands in {@linkcode LineRequest}'s record of outputs for "never set". */
const UNKNOWN = 2;

/** A line that is requested, and how. */
export interface RequestedLine {
  /** The line's offset on its chip. */
  readonly offset: number;
  /** The settings that the kernel was given for it. */
  readonly settings: LineSettings;
}

/**
 * Lines of one chip that this program has, until it lets them go.
 *
 * Values are logical: 1 is active. What an output is set to lasts as long as the
 * request; what comes after is the driver's affair. Reading an output back gives
 * the wire's value on chips that can tell, and the one that was set on others.
 *
 * A request's lines are addressed by their offsets; in the methods for a
 * reactor's hot path (`readBit`, `writeBit`, `configure`, `readEvents`), which
 * never throw and never allocate, by their *bit*: the position in
 * {@linkcode LineRequest.offsets}.
 *
 * **Ownership**: `using`, or {@linkcode LineRequest.close}. The chip that it
 * came from may be closed before. **Blocking**: reading and setting take
 * microseconds, or milliseconds on chips behind a slow bus (I2C, USB).
 *
 * @example Set one line by what another says
 * ```ts
 * import { openChip } from "@gpioagg/gpioagg";
 *
 * function copyOnce(chipPath: string, from: number, to: number): void {
 *   using chip = openChip(chipPath);
 *   using request = chip.requestLines({
 *     consumer: "copy",
 *     lines: [
 *       { offset: from, settings: { direction: "input", bias: "pull-up" } },
 *       { offset: to, settings: { direction: "output" } },
 *     ],
 *   });
 *   request.setValue(to, request.getValue(from));
 * }
 * ```
 */
export class LineRequest implements Disposable {
  /** The offsets on the chip; a line's index here is its bit. */
  readonly offsets: readonly number[];
  /** The chip's name: `gpiochip0`. */
  readonly chipName: string;

  readonly #owned: OwnedFd;
  #fd: number;
  readonly #lines: RequestLines;
  #settings: readonly LineSettings[];
  /** Value that each output was last set to, or UNKNOWN. */
  readonly #outputs: Uint8Array;
  readonly #values = new LineValues();
  readonly #config = new Uint8Array(LINE_CONFIG.size);
  readonly #configView = new DataView(this.#config.buffer);
  readonly #streams = new Set<EventStream<EdgeEvent>>();
  readonly #one = new EdgeEventBatch(1);

  /**
   * Takes over the fd of a request; {@linkcode Chip.requestLines} is the usual
   * way to get one.
   *
   * @param fd The fd, from the kernel or from a process that kept it.
   * @param chipName The chip's name, for messages.
   * @param lines The lines in the order in which they were requested, with the
   * settings that the kernel was given.
   */
  constructor(fd: number, chipName: string, lines: readonly RequestedLine[]) {
    this.offsets = Object.freeze(lines.map(({ offset }) => offset));
    this.chipName = chipName;
    this.#owned = new OwnedFd(fd, `lines ${this.offsets} of ${chipName}`);
    this.#fd = fd;
    this.#lines = new RequestLines(chipName, this.offsets);
    this.#settings = lines.map(({ settings }) => settings);
    this.#outputs = Uint8Array.from(
      lines,
      ({ settings }) =>
        settings.direction === "output" ? settings.outputValue ?? 0 : UNKNOWN,
    );
    makeNonblocking(this.#owned);
  }

  /**
   * The fd, readable when there are edge events; nonblocking.
   *
   * @throws {LineError} If the lines were let go.
   */
  get fd(): number {
    if (this.#fd < 0) throw this.#lines.released("use");
    return this.#fd;
  }

  /** True once the lines are released. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /**
   * Reads a line.
   *
   * @throws {LineError} If it is not in the request, or the chip is gone.
   */
  getValue(offset: number): Value {
    const value = this.readBit(this.#lines.findBit(offset, "read"));
    if (value < 0) {
      throw this.#lines.failed(
        "read",
        "GPIO_V2_LINE_GET_VALUES_IOCTL",
        value,
        [offset],
      );
    }
    return value as Value;
  }

  /**
   * Reads several lines in one call; all of them if none are named.
   *
   * @returns The values, in the order of `offsets`.
   * @throws {LineError} If one is not in the request, or the chip is gone.
   */
  getValues(offsets: readonly number[] = this.offsets): Value[] {
    requireArray("offsets", offsets);
    if (offsets.length === 0) return [];
    const bits = offsets.map((offset) => this.#lines.findBit(offset, "read"));
    const values = this.#values;
    values.select(bits);
    const result = getLineValues(this.#fd, values.bytes);
    if (result < 0) {
      throw this.#lines.failed(
        "read",
        "GPIO_V2_LINE_GET_VALUES_IOCTL",
        result,
        offsets,
      );
    }
    return bits.map((bit) => values.valueAt(bit));
  }

  /**
   * Sets a line that is an output.
   *
   * @param value 0 or 1 and nothing else: of a boolean `on`, write
   * `on ? 1 : 0`.
   * @throws {LineError} If it is not in the request or no output, or the chip is
   * gone.
   * @throws {TypeError} If the value is neither 0 nor 1: the line keeps its own.
   */
  setValue(offset: number, value: Value): void {
    this.setValues(new Map([[offset, value]]));
  }

  /**
   * Sets several outputs in one call, at the same time where the chip can.
   *
   * @param values Offset to value, as a map or a plain object.
   * @throws {LineError} If one is not in the request or no output, or the chip
   * is gone.
   * @throws {TypeError} If a value is neither 0 nor 1: then none is set.
   */
  setValues(
    values: ReadonlyMap<number, Value> | Readonly<Record<number, Value>>,
  ): void {
    const entries = valuesByOffset(values);
    if (entries.length === 0) return;
    const bits = entries.map(([offset]) => this.#lines.findBit(offset, "set"));
    this.#values.select(bits);
    for (const [i, [, value]] of entries.entries()) {
      if (value !== 0) this.#values.activate(bits[i]!);
    }
    const result = setLineValues(this.#fd, this.#values.bytes);
    if (result < 0) {
      throw this.#lines.failed(
        "set",
        "GPIO_V2_LINE_SET_VALUES_IOCTL",
        result,
        entries.map(([offset]) => offset),
        result === -EPERM ? "only outputs can be set" : undefined,
      );
    }
    for (const [i, [, value]] of entries.entries()) {
      this.#outputs[bits[i]!] = value === 0 ? 0 : 1;
    }
  }

  /**
   * Changes lines' settings while they stay requested.
   *
   * The settings given replace the former ones of those lines as a whole; lines
   * that are not named keep theirs. An output without `outputValue` keeps its
   * value. A line of direction `"as-is"` is left as it is. What the kernel has
   * buffered of earlier edges stays in its buffer.
   *
   * @throws {LineError} If a line is not in the request, settings contradict each
   * other, or the kernel refuses; then the lines before the one refused may have
   * changed.
   * @throws {RangeError} If the settings differ so much that they do not fit one
   * request.
   * @throws {TypeError} For an unknown setting, or a value of another type.
   */
  reconfigure(lines: readonly LineSelection[]): void {
    checkSelections(lines);
    const settings = [...this.#settings];
    const named = new Set<number>();
    for (const line of flattenSelections(lines)) {
      const bit = this.#lines.findBit(line.offset, "reconfigure");
      const problem = named.has(bit)
        ? "it is named twice"
        : findProblem(line.settings);
      if (problem !== undefined) {
        throw new LineError({
          chip: this.chipName,
          offsets: [line.offset],
          operation: "reconfigure",
          reason: problem,
        });
      }
      named.add(bit);
      settings[bit] = line.settings;
    }
    const packed = settings.map((one, bit) => {
      // What a line not named was requested with is not what it is set to now.
      const fresh = named.has(bit) ? one : { ...one, outputValue: undefined };
      if (fresh.direction !== "output" || fresh.outputValue !== undefined) {
        return packLine(fresh, 0);
      }
      const value = this.#presentOutput(bit);
      if (value < 0) {
        throw this.#lines.failed(
          "reconfigure",
          "GPIO_V2_LINE_GET_VALUES_IOCTL",
          value,
          [this.offsets[bit]!],
        );
      }
      return packLine(fresh, value as Value);
    });
    packConfig(this.#configView, 0, packed);
    const result = setLineConfig(this.#fd, this.#config);
    if (result < 0) {
      throw this.#lines.failed(
        "reconfigure",
        "GPIO_V2_LINE_SET_CONFIG_IOCTL",
        result,
        [...named].map((bit) => this.offsets[bit]!),
      );
    }
    this.#settings = settings;
    for (const [bit, one] of settings.entries()) {
      if (one.direction === "output") this.#outputs[bit] = packed[bit]!.value;
      else if (one.direction === "input") this.#outputs[bit] = UNKNOWN;
    }
  }

  /**
   * Returns the value of an output, or its reading if it was never set; or
   * -errno.
   */
  #presentOutput(bit: number): number {
    const set = this.#outputs[bit]!;
    return set === UNKNOWN ? this.readBit(bit) : set;
  }

  /** False for null, "0" and NaN too, which compare like numbers. */
  #hasBit(bit: number): boolean {
    return (bit | 0) === bit && bit >= 0 && bit < this.offsets.length;
  }

  /**
   * Reads one line, for hot paths: never throws and never allocates.
   *
   * @param bit The line's position in {@linkcode LineRequest.offsets}.
   * @returns The value, or -errno (-EBADF: the lines were let go).
   */
  readBit(bit: number): number {
    if (!this.#hasBit(bit)) return -EINVAL;
    const values = this.#values;
    values.selectOne(bit, 0);
    const result = getLineValues(this.#fd, values.bytes);
    return result < 0 ? result : values.valueAt(bit);
  }

  /**
   * Sets one output, for hot paths: never throws and never allocates.
   *
   * @param bit The line's position in {@linkcode LineRequest.offsets}.
   * @returns 0, or -errno (-EPERM: no output; -EBADF: the lines were let go).
   */
  writeBit(bit: number, value: Value): number {
    if (!this.#hasBit(bit)) return -EINVAL;
    if (value !== 0 && value !== 1) return -EINVAL;
    this.#values.selectOne(bit, value);
    const result = setLineValues(this.#fd, this.#values.bytes);
    if (result === 0) this.#outputs[bit] = value;
    return result;
  }

  /**
   * Changes the settings of a request's only line, for hot paths: never throws.
   * See {@linkcode LineRequest.reconfigure}.
   *
   * @returns 0, or -errno (-EINVAL: the settings contradict each other, or the
   * request has several lines).
   */
  configure(settings: LineSettings): number {
    if (
      this.offsets.length !== 1 || !areSettings(settings) ||
      findProblem(settings) !== undefined
    ) return -EINVAL;
    const { direction } = settings;
    let value = 0;
    if (direction === "output") {
      value = settings.outputValue ?? this.#presentOutput(0);
      if (value < 0) return value;
    }
    packLineConfig(
      this.#configView,
      0,
      encodeFlags(settings),
      settings.debouncePeriodUs ?? 0,
      value,
    );
    const result = setLineConfig(this.#fd, this.#config);
    if (result < 0) return result;
    this.#settings = [settings];
    if (direction === "output") this.#outputs[0] = value;
    else if (direction === "input") this.#outputs[0] = UNKNOWN;
    return 0;
  }

  /**
   * Reads edge events into a batch, for hot paths: never waits, never throws and
   * never allocates.
   *
   * @returns How many were read, 0 if there are none, or -errno (-ENODEV: the
   * chip is gone, and the fd stays readable: watch it no more; -EINVAL: this is
   * no batch).
   */
  readEvents(batch: EdgeEventBatch): number {
    if (!(batch instanceof EdgeEventBatch)) return -EINVAL;
    const length = readEvents(this.#fd, batch.bytes, batch.bytes.length);
    if (length >= 0) return Math.floor(length / LINE_EVENT.size);
    return length === -EAGAIN ? 0 : length;
  }

  #readBatch(batch: EdgeEventBatch): number {
    const count = this.readEvents(batch);
    if (count < 0) {
      throw this.#lines.failed("read events of", "read", count, this.offsets);
    }
    return count;
  }

  /**
   * Reads the edge events that are there, without waiting.
   *
   * @param max The most to read; 64 by default.
   * @returns The events, oldest first; none if there are none.
   * @throws {LineError} If the chip is gone.
   */
  readEdgeEvents(max: number = GPIO_V2_LINES_MAX): EdgeEvent[] {
    const batch = new EdgeEventBatch(max);
    const count = this.#readBatch(batch);
    return Array.from(
      { length: count },
      (_, i) => this.#lines.eventAt(batch, i),
    );
  }

  /**
   * Waits until there are edge events, or the chip is gone (a read shows which).
   *
   * @param timeoutMs Milliseconds; -1 waits without a limit, 0 only looks.
   * @returns Whether there are; false when the time is over.
   * @throws {LineError} If the lines were let go.
   *
   * **Blocking**: the whole isolate; {@linkcode waitForEvents} waits for several
   * requests at once, {@linkcode LineRequest.edgeEvents} lets others go on.
   */
  waitEdgeEvents(timeoutMs = -1): boolean {
    requireTimeout("timeoutMs", timeoutMs);
    return pollReadable([this.fd], timeoutMs)[0] !== 0;
  }

  /**
   * The edge events as they come, for `for await`; until the loop is left, the
   * lines are let go or `signal` is aborted. Timers, signals and other input have
   * their turn also while edges come without a pause.
   *
   * @throws {LineError} If the lines were let go; as a rejection, if the chip is
   * gone.
   * @throws {unknown} As a rejection, the reason of `signal` when it is aborted.
   *
   * @example Count rising edges for a while
   * ```ts
   * import { openChip } from "@gpioagg/gpioagg";
   *
   * async function countEdges(chipPath: string, offset: number, ms: number) {
   *   using chip = openChip(chipPath);
   *   using request = chip.requestLines({
   *     lines: [{ offset, settings: { direction: "input", edge: "rising" } }],
   *   });
   *   const signal = AbortSignal.timeout(ms);
   *   let count = 0;
   *   try {
   *     for await (const event of request.edgeEvents({ signal })) {
   *       count = event.seqno;
   *     }
   *   } catch (error) {
   *     if (error !== signal.reason) throw error;
   *   }
   *   return count;
   * }
   * ```
   */
  edgeEvents(options: StreamOptions = {}): EventStream<EdgeEvent> {
    const signal = readSignal(options);
    const stream = new EventStream<EdgeEvent>(
      {
        fd: this.fd,
        read: () =>
          this.#readBatch(this.#one) === 0
            ? undefined
            : this.#lines.eventAt(this.#one, 0),
      },
      (ended) => this.#streams.delete(ended),
      signal,
    );
    this.#streams.add(stream);
    return stream;
  }

  /** Lets the lines go; idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    for (const stream of this.#streams) stream.end();
    this.#fd = -1;
    this.#lines.isReleased = true;
    this.#owned.close();
  }

  /** The same as {@linkcode LineRequest.close}. */
  [Symbol.dispose](): void {
    this.close();
  }
}
