/**
 * A Silicon Labs CP2112: 8 lines of any direction. Its driver polls the inputs
 * while an interrupt of any line is enabled.
 *
 * The driver has these habits, which decide how lines are served:
 * * It reads all directions, changes one, and writes all. Only those that
 *   change are looked at.
 * * It makes an output by a direction and a level, in this order. The line is
 *   driven by the level, so that it never has one that no one asked for.
 * * It compares the levels of one poll with those of the one before, and reads
 *   a line again between two polls to tell which edge it was. Each level of an
 *   input is shown for one poll at least, and to all that reads within it.
 * * A request that is refused is a transfer that stalls: EPIPE in the guest.
 *
 * @module
 */
import {
  Direction,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import type { Timer } from "../../reactor/event_loop.ts";
import { endpointPair, hidDescriptor } from "../core/descriptors.ts";
import type { DriverRequest } from "../core/driver_request.ts";
import {
  GpioUsbDevice,
  type UsbDeviceOptions,
} from "../core/gpio_usb_device.ts";
import { InPipe } from "../core/in_pipe.ts";
import { LevelQueues } from "../core/level_queues.ts";
import { checkLineCount } from "../core/models.ts";
import { RESTORE } from "../core/restoring_lines.ts";
import {
  type Saved,
  savedBytes,
  type SavedReader,
} from "../core/saved_state.ts";
import {
  DIRECTION_IN,
  EndpointType,
  TransferStatus,
} from "../core/transfers.ts";
import { NO_I2C, Report, REPORT_BYTES, REPORT_DESCRIPTOR } from "./protocol.ts";

const VENDOR_SILICON_LABS = 0x10c4;
const PRODUCT_CP2112 = 0xea90;
/** Part number and version of the device. */
const PART = 0x0c;
const VERSION = 0x02;
/** Number of the endpoints for transfers over I2C. */
const I2C_ENDPOINT = 1;
const MAX_MESSAGES = 4;

const HidRequest = {
  GetReport: 0x01,
  GetIdle: 0x02,
  GetProtocol: 0x03,
  SetReport: 0x09,
  SetIdle: 0x0a,
  SetProtocol: 0x0b,
} as const;
const ReportType = { Output: 2, Feature: 3 } as const;

/**
 * Reads that follow each other within this time are polls. The driver polls
 * every 10 jiffies, 100 ms at most. **Units**: milliseconds.
 */
const POLLING_MS = 120;
/** Changes of a line that wait for polls: a level is at most 3 s old. */
const MAX_LEVELS = 24;
/** Time for which a level is shown to a poll and the reads beside it, in ms. */
const SHOWN_MS = 30;

/** Purposes of a line's operation. */
const Purpose = { Read: 0, Input: 1, Output: 2, Set: 3, Edges: 4 } as const;

/** The adapter. */
export class Cp2112Device extends GpioUsbDevice {
  readonly #pipe: InPipe;
  readonly #levels: LevelQueues;
  /** Level that an input shows until the next poll; -1: the one it has. */
  readonly #shown: Int8Array;
  readonly #edges: Uint8Array;
  /** Bit n: line n is an output, as far as the driver knows. */
  #directions = 0;
  /** Set if that is not the lines' own any more. */
  #hasDirections = false;
  #pushPull = 0;
  #special = 0;
  #divider = 0;
  readonly #smbus = Uint8Array.of(
    Report.SmbusConfig,
    ...[0x00, 0x01, 0x86, 0xa0, 0x02, 0x00, 0, 0, 0, 0, 0, 0, 0],
  );
  /** Last levels that were read: those of lines that cannot be read now. */
  #lastLevels = 0;
  /** Operations of the request under way that are not done. */
  #left = 0;
  #hasFailed = false;
  #lastReadAt = -Infinity;
  #shownAt = -Infinity;
  /** Set while the driver polls, and changes are kept for it. */
  #polling: Timer | undefined;

  /**
   * Makes the adapter.
   *
   * @throws {RangeError} If there are no lines, or more than 8.
   */
  constructor(options: UsbDeviceOptions) {
    const count = options.lines.length;
    checkLineCount("cp2112", "a CP2112", count);
    const pipe = new InPipe(MAX_MESSAGES);
    super(
      {
        vendor: VENDOR_SILICON_LABS,
        product: PRODUCT_CP2112,
        release: 0x0100,
        interfaces: [{
          code: [3, 0, 0],
          classDescriptor: hidDescriptor(REPORT_DESCRIPTOR),
          endpoints: endpointPair(I2C_ENDPOINT, EndpointType.Interrupt, 1),
        }],
        strings: ["gpioagg", "GPIO adapter (CP2112)", options.serial],
      },
      options,
      [REPORT_DESCRIPTOR],
      new Map([[I2C_ENDPOINT, pipe]]),
    );
    this.#pipe = pipe;
    this.#levels = new LevelQueues(count, MAX_LEVELS);
    this.#shown = new Int8Array(count).fill(-1);
    this.#edges = new Uint8Array(count);
  }

  protected override begin(request: DriverRequest): number {
    const { data, dataLength } = request;
    if (request.endpoint !== 0) return this.#outputReport(data, dataLength);
    const isIn = (request.requestType & DIRECTION_IN) !== 0;
    const type = request.value >>> 8;
    const id = request.value & 0xff;
    switch (request.request) {
      case HidRequest.GetReport:
        return isIn && type === ReportType.Feature
          ? this.#getFeature(id)
          : this.invalid();
      case HidRequest.SetReport:
        if (isIn || dataLength !== request.length || data[0] !== id) {
          return this.invalid();
        }
        if (type === ReportType.Output) {
          return this.#outputReport(data, dataLength);
        }
        return type === ReportType.Feature
          ? this.#setFeature(id, data, dataLength)
          : this.invalid();
      case HidRequest.SetIdle:
      case HidRequest.SetProtocol:
        return isIn ? this.invalid() : TransferStatus.Success;
      default:
        return this.invalid();
    }
  }

  protected override forget(): void {
    this.#hasDirections = false;
    this.#polling?.[Symbol.dispose]();
    this.#polling = undefined;
    this.#lastReadAt = -Infinity;
    this.#shownAt = -Infinity;
    this.#left = 0;
    this.#edges.fill(Edges.None);
    this.#forgetLevels();
  }

  protected override saveOwn(): Saved {
    return {
      edges: savedBytes(this.#edges),
      directions: this.#directions,
      hasDirections: this.#hasDirections,
      pushPull: this.#pushPull,
      special: this.#special,
      divider: this.#divider,
      smbus: savedBytes(this.#smbus),
      lastLevels: this.#lastLevels,
      shown: savedBytes(this.#shown),
      levels: this.#levels.save(),
      isPolled: this.#polling !== undefined,
    };
  }

  protected override restoreOwn(saved: SavedReader): void {
    saved.fill("edges", this.#edges, Edges.None, Edges.Both);
    this.#directions = saved.integer("directions", 0, 0xff);
    this.#hasDirections = saved.flag("hasDirections");
    this.#pushPull = saved.integer("pushPull", 0, 0xff);
    this.#special = saved.integer("special", 0, 0xff);
    this.#divider = saved.integer("divider", 0, 0xff);
    saved.fill("smbus", this.#smbus, 0, 0xff);
    this.#lastLevels = saved.integer("lastLevels", 0, 0xff);
    saved.fill("shown", this.#shown, -1, 1);
    this.#levels.restore(saved.list("levels", this.bank.length));
    if (!saved.flag("isPolled")) return;
    // The driver polled all the time, and goes on.
    this.#lastReadAt = this.options.now();
    this.#polling = this.options.after(POLLING_MS, this.#lookForPolls);
  }

  protected override inputEdges(line: number): Edges | undefined {
    const isInput = this.#hasDirections &&
      (this.#directions >>> line & 1) === 0;
    return isInput && this.#edges[line] !== Edges.None
      ? this.#edges[line] as Edges
      : undefined;
  }

  #forgetLevels(): void {
    this.#shown.fill(-1);
    for (let line = 0; line < this.bank.length; line++) {
      this.#levels.clear(line);
    }
  }

  edge(line: number, level: number): void {
    if (this.#polling === undefined) return;
    const lost = this.#levels.push(line, level);
    if (lost === 0) return;
    const { lostEdges } = this.counters;
    lostEdges[line] = lostEdges[line]! + lost;
  }

  restored(): void {}

  lineDone(line: number, result: number, purpose: number): void {
    if (purpose === RESTORE) return this.restoredLine(result);
    if (purpose === Purpose.Edges) return this.#edgesAsked(line, result);
    this.#lineAnswered(line, result, purpose);
    if (--this.#left === 0) this.finish(this.#finished());
  }

  /** I2C is not there: a question for a transfer is answered by its failure. */
  #outputReport(data: Uint8Array, length: number): number {
    if (length === 0) return this.invalid();
    if (data[0] === Report.TransferStatusRequest) {
      if (!this.#pipe.push(NO_I2C, NO_I2C.length, this.host)) {
        this.counters.overflows++;
      }
    }
    return TransferStatus.Success;
  }

  #getFeature(id: number): number {
    const { reply } = this;
    const bytes = REPORT_BYTES.get(id);
    if (bytes === undefined) return this.invalid();
    // A guest's HID core alone asks for no feature.
    this.driverAsked();
    reply.fill(0);
    reply[0] = id;
    this.replyLength = bytes;
    switch (id) {
      case Report.GpioConfig:
        this.#learnDirections();
        reply[1] = this.#directions;
        reply[2] = this.#pushPull;
        reply[3] = this.#special;
        reply[4] = this.#divider;
        break;
      case Report.GpioGet:
        return this.#read();
      case Report.Version:
        reply[1] = PART;
        reply[2] = VERSION;
        break;
      case Report.SmbusConfig:
        reply.set(this.#smbus);
    }
    return TransferStatus.Success;
  }

  #setFeature(id: number, data: Uint8Array, length: number): number {
    if (length !== REPORT_BYTES.get(id)) return this.invalid();
    switch (id) {
      case Report.GpioConfig:
        return this.#direct(data);
      case Report.GpioSet:
        return this.#write(data[1]!, data[2]!);
      case Report.SmbusConfig:
        for (let i = 0; i < length; i++) this.#smbus[i] = data[i]!;
        return TransferStatus.Success;
      case Report.Reset:
        return TransferStatus.Success;
      default:
        // Its identity is fixed, as if it had been programmed and locked.
        return TransferStatus.Stall;
    }
  }

  /** Takes the directions of the lines for those of the device, at first. */
  #learnDirections(): void {
    if (this.#hasDirections) return;
    this.#hasDirections = true;
    this.#directions = 0;
    this.#pushPull = 0;
    for (let line = 0; line < this.bank.length; line++) {
      if (this.bank.lineDirection(line) === Direction.Output) {
        this.#directions |= 1 << line;
      }
    }
  }

  #direct(data: Uint8Array): number {
    this.#learnDirections();
    const wanted = data[1]!;
    // A pin without a line cannot be driven, and its user must know.
    if ((wanted & ~this.#mask) !== 0) return this.invalid();
    const changed = wanted ^ this.#directions;
    if (!this.#mayDirect(changed & wanted)) return TransferStatus.Stall;
    this.#directions |= changed & wanted;
    this.#pushPull = data[2]!;
    this.#special = data[3]!;
    this.#divider = data[4]!;
    this.#beginLines();
    for (let line = 0; line < this.bank.length; line++) {
      if ((changed >>> line & 1) === 0) continue;
      if ((wanted >>> line & 1) === 1) {
        this.answered(line, LineOperation.Output, true);
      } else this.#ask(line, LineOperation.Input, 0, Purpose.Input);
    }
    return this.#left === 0 ? this.#finished() : PENDING;
  }

  /** Returns false if a line may not become an output, and reports it. */
  #mayDirect(outputs: number): boolean {
    for (let line = 0; line < this.bank.length; line++) {
      if ((outputs >>> line & 1) === 0) continue;
      if (this.options.lines[line]!.rule !== "input") continue;
      this.answered(line, LineOperation.Output, false);
      this.options.events.refused(line);
      return false;
    }
    return true;
  }

  #write(levels: number, mask: number): number {
    this.#learnDirections();
    this.#beginLines();
    for (let line = 0; line < this.bank.length; line++) {
      if ((mask >>> line & 1) === 0) continue;
      // An input keeps its level, whatever is written.
      if ((this.#directions >>> line & 1) === 0) continue;
      const level = levels >>> line & 1;
      const isOutput = this.bank.lineDirection(line) === Direction.Output;
      if (isOutput) this.#ask(line, LineOperation.SetValue, level, Purpose.Set);
      else this.#ask(line, LineOperation.Output, level, Purpose.Output);
    }
    return this.#left === 0 ? this.#finished() : PENDING;
  }

  #read(): number {
    const now = this.options.now();
    if (now - this.#lastReadAt < POLLING_MS) this.#keepChanges();
    this.#lastReadAt = now;
    if (now - this.#shownAt >= SHOWN_MS) {
      this.#shownAt = now;
      for (let line = 0; line < this.bank.length; line++) {
        this.#shown[line] = this.#levels.count(line) > 0
          ? this.#levels.shift(line)
          : -1;
      }
    }
    this.#beginLines();
    for (let line = 0; line < this.bank.length; line++) {
      const shown = this.#shown[line]!;
      if (shown >= 0) this.#lineAnswered(line, shown, Purpose.Read);
      else this.#ask(line, LineOperation.GetValue, 0, Purpose.Read);
    }
    return this.#left === 0 ? this.#finished() : PENDING;
  }

  get #mask(): number {
    return (1 << this.bank.length) - 1;
  }

  #beginLines(): void {
    this.#left = 0;
    this.#hasFailed = false;
  }

  #ask(
    line: number,
    operation: LineOperation,
    argument: number,
    purpose: number,
  ): void {
    const result = this.bank.submit(line, operation, argument, purpose);
    if (result === PENDING) this.#left++;
    else this.#lineAnswered(line, result, purpose);
  }

  #lineAnswered(line: number, result: number, purpose: number): void {
    const isOk = result !== FAILED;
    const bit = 1 << line;
    switch (purpose) {
      case Purpose.Read:
        this.answered(line, LineOperation.GetValue, isOk);
        // One line that cannot be read does not make the others fail.
        if (!isOk) return;
        this.#lastLevels = this.#lastLevels & ~bit | (result === 0 ? 0 : bit);
        return;
      case Purpose.Input:
        this.answered(line, LineOperation.Input, isOk);
        if (isOk) this.#directions &= ~bit;
        break;
      case Purpose.Output:
        if (isOk) {
          this.#edges[line] = Edges.None;
          this.#levels.clear(line);
          this.#shown[line] = -1;
        }
        this.answered(line, LineOperation.SetValue, isOk);
        break;
      case Purpose.Set:
        this.answered(line, LineOperation.SetValue, isOk);
    }
    if (!isOk) this.#hasFailed = true;
  }

  #finished(): number {
    if (this.replyLength > 0) this.reply[1] = this.#lastLevels & this.#mask;
    return this.#hasFailed ? TransferStatus.Stall : TransferStatus.Success;
  }

  /** The driver polls: keeps what changes between two polls, until it stops. */
  #keepChanges(): void {
    for (let line = 0; line < this.bank.length; line++) {
      if (this.bank.lineDirection(line) !== Direction.Input) {
        // A rule may have done that, which ends the reports.
        this.#edges[line] = Edges.None;
        continue;
      }
      if (this.#edges[line] === Edges.Both) continue;
      if (!this.bank.isBusy(line)) this.#askForEdges(line, Edges.Both);
    }
    this.#polling ??= this.options.after(POLLING_MS, this.#lookForPolls);
  }

  readonly #lookForPolls = (): void => {
    this.#polling = undefined;
    if (this.options.now() - this.#lastReadAt < POLLING_MS) {
      this.#polling = this.options.after(POLLING_MS, this.#lookForPolls);
      return;
    }
    this.#forgetLevels();
    for (let line = 0; line < this.bank.length; line++) {
      if (this.#edges[line] === Edges.None || this.bank.isBusy(line)) continue;
      this.#askForEdges(line, Edges.None);
    }
  };

  #askForEdges(line: number, edges: Edges): void {
    this.#edges[line] = edges;
    const result = this.bank.submit(
      line,
      LineOperation.SetEdges,
      edges,
      Purpose.Edges,
    );
    if (result !== PENDING) this.#edgesAsked(line, result);
  }

  #edgesAsked(line: number, result: number): void {
    // Tried again at the next poll.
    if (result === FAILED) this.#edges[line] = Edges.None;
  }
}
