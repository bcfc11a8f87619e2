/**
 * Everything that the GPIO adapters have in common: one request of the driver's
 * after another, and the guest's coming and going.
 *
 * @module
 */
import type { Timer } from "../../reactor/event_loop.ts";
import {
  type Edges,
  type LineOperation,
  type LinePort,
  PENDING,
} from "../../line/port.ts";
import { DriverRequest, MAX_REQUEST, NO_TOKEN } from "./driver_request.ts";
import type { InPipe } from "./in_pipe.ts";
import { LineBank, type LineBankOwner } from "./line_bank.ts";
import { RestoringLines } from "./restoring_lines.ts";
import { type Saved, SavedReader } from "./saved_state.ts";
import {
  RECIPIENT,
  RECIPIENT_INTERFACE,
  StandardRequest,
  StandardRequests,
} from "./standard_requests.ts";
import {
  DIRECTION_IN,
  NO_DATA,
  type Setup,
  TransferStatus,
  type UsbDescription,
  type UsbDevice,
  type UsbHost,
} from "./transfers.ts";

/** One line of an adapter. */
export interface UsbLine {
  readonly port: LinePort;
  /**
   * Directions that the guest may give the line; looked at whenever it matters.
   */
  readonly rule: "any" | "input" | "output";
}

/** Receiver of what a guest does with an adapter. */
interface UsbDeviceEvents {
  /**
   * A guest has taken the device into use; `isResumed`: one of an earlier process
   * goes on with it.
   */
  began(isResumed: boolean): void;
  /** The guest is gone; the lines have been notified. */
  gone(): void;
  /** A request of the guest's, which came at `since`, was done, or was not. */
  answered(
    line: number,
    operation: LineOperation,
    isOk: boolean,
    since: number,
  ): void;
  /** The guest made a line an output that is an input by rule. */
  refused(line: number): void;
}

/** Parts of an adapter. */
export interface UsbDeviceOptions {
  readonly lines: readonly UsbLine[];
  /** Serial number that the guest sees. */
  readonly serial: string;
  /** Speed of the port: high; absent: full. */
  readonly isHighSpeed?: boolean | undefined;
  readonly events: UsbDeviceEvents;
  /** Monotonic milliseconds. */
  now(): number;
  /** Calls back once, `ms` milliseconds from now. */
  after(ms: number, onElapsed: () => void): Timer;
}

/** Counters of an adapter since the start. */
interface UsbDeviceCounters {
  /** Invalid requests: unknown, of a wrong length, or without a line. */
  invalid: number;
  /** Transfers that found no room. */
  overflows: number;
  /** Changes of lines that were not reported to a guest, by line. */
  readonly lostEdges: Float64Array;
}

/** Requests that wait for the one under way. */
const MAX_REQUESTS = 16;

const REQUEST_KIND = 0x60;
const CLASS_REQUEST = 0x20;
/** A device with lines. Nothing is made for each transfer. */
export abstract class GpioUsbDevice implements UsbDevice, LineBankOwner {
  readonly description: UsbDescription;
  readonly counters: UsbDeviceCounters;
  protected readonly options: UsbDeviceOptions;
  protected readonly bank: LineBank;
  /** Answer of a request to the host. */
  protected readonly reply = new Uint8Array(MAX_REQUEST);
  protected replyLength = 0;
  #host: UsbHost | undefined;
  readonly #standardRequests: StandardRequests;
  readonly #pipes: ReadonlyMap<number, InPipe>;
  readonly #requests = Array.from(
    { length: MAX_REQUESTS },
    () => new DriverRequest(),
  );
  #head = 0;
  #count = 0;
  #isServing = false;
  readonly #restoring = new RestoringLines();
  #configuration = 0;
  #hasDriver = false;

  /**
   * Makes the device and attaches it to the lines.
   *
   * @param reports HID report descriptors, by the number of their interface.
   * @param pipes Endpoints that send to the host, by number.
   */
  constructor(
    description: UsbDescription,
    options: UsbDeviceOptions,
    reports: readonly Uint8Array[],
    pipes: ReadonlyMap<number, InPipe>,
  ) {
    this.description = description;
    this.options = options;
    this.#standardRequests = new StandardRequests(
      description,
      options.isHighSpeed === true,
      reports,
    );
    this.#pipes = pipes;
    this.counters = {
      invalid: 0,
      overflows: 0,
      lostEdges: new Float64Array(options.lines.length),
    };
    this.bank = new LineBank(options.lines.map(({ port }) => port), this);
  }

  /**
   * Begins a request of the driver's.
   *
   * @returns Its status, or `PENDING`: `finish` is called then.
   */
  protected abstract begin(request: DriverRequest): number;
  /** Forgets everything that a guest has made of the device. */
  protected abstract forget(): void;
  /** Returns what a guest has made of the device. */
  protected abstract saveOwn(): Saved;
  /**
   * Goes on with what was saved; `restoreLine` follows for each line.
   *
   * @throws {RangeError} If it does not fit.
   */
  protected abstract restoreOwn(saved: SavedReader): void;
  /** Edges that a line reports; undefined: it is not made an input. */
  protected abstract inputEdges(line: number): Edges | undefined;
  abstract lineDone(line: number, result: number, purpose: number): void;
  abstract edge(line: number, level: number): void;
  abstract restored(line: number): void;

  changed(): void {
    this.#host?.changed?.();
  }

  get configuration(): number {
    return this.#configuration;
  }

  /**
   * True if a driver for the device has asked for something since a guest has
   * configured it, which a guest without one does too.
   */
  get hasDriver(): boolean {
    return this.#hasDriver;
  }

  /** Notes a request that only a driver for the device has. */
  protected driverAsked(): void {
    this.#hasDriver = true;
  }

  /** The host, while there is one. */
  protected get host(): UsbHost | undefined {
    return this.#host;
  }

  attach(host: UsbHost): void {
    this.#host = host;
  }

  detach(): void {
    this.#host = undefined;
    this.reset();
  }

  reset(): void {
    this.#deconfigure();
    this.#count = 0;
    this.#isServing = false;
    for (const pipe of this.#pipes.values()) pipe.clear();
  }

  configure(configuration: number): boolean {
    if (configuration > 1) return false;
    this.#deconfigure();
    if (configuration === 0) return true;
    this.#configuration = configuration;
    this.options.events.began(false);
    return true;
  }

  /**
   * Returns all that a host and its guest have made of the device, for the next
   * process. What is under way is begun anew there.
   */
  save(): Saved {
    const requests: Saved[] = [];
    for (let i = 0; i < this.#count; i++) {
      const request = this.#requestAt(i);
      if (request.token !== NO_TOKEN) requests.push(request.save());
    }
    const pipes = [...this.#pipes].map(([number, pipe]) => [
      String(number),
      pipe.save(),
    ]);
    return {
      product: this.description.product,
      lines: this.bank.length,
      configuration: this.#configuration,
      requests,
      pipes: Object.fromEntries(pipes),
      own: this.saveOwn(),
    };
  }

  /**
   * Goes on with the host that is attached, as an earlier process has left it;
   * `onFailed` is called if a line cannot.
   *
   * @throws {RangeError} If that is not the state of this device.
   */
  restore(saved: SavedReader, onFailed: () => void): void {
    const { product } = this.description;
    saved.integer("product", product, product);
    saved.integer("lines", this.bank.length, this.bank.length);
    this.#configuration = saved.integer("configuration", 0, 1);
    for (const request of saved.list("requests", MAX_REQUESTS)) {
      const place = this.#requestAt(this.#count++);
      place.restore(new SavedReader(request), this.options.now());
    }
    for (const [number, pipe] of this.#pipes) {
      pipe.restore(saved.part("pipes").part(String(number)));
    }
    this.restoreOwn(saved.part("own"));
    if (this.#configuration !== 0) this.options.events.began(true);
    this.#restoring.begin(this.bank, (line) => this.inputEdges(line), {
      failed: onFailed,
      done: () => {
        this.#serve();
        this.drained();
      },
    });
  }

  /** An operation with the purpose `RESTORE` is done. */
  protected restoredLine(result: number): void {
    this.#restoring.stepDone(result);
  }

  #deconfigure(): void {
    this.#restoring.forget();
    if (this.#configuration === 0) return;
    this.#configuration = 0;
    this.#hasDriver = false;
    // What is under way belongs to the guest that is gone.
    for (let i = 0; i < this.#count; i++) {
      const request = this.#requestAt(i);
      const { token } = request;
      request.token = NO_TOKEN;
      if (token !== NO_TOKEN) {
        this.#host?.done(token, TransferStatus.IoError, NO_DATA, 0);
      }
    }
    this.#count = 0;
    this.#isServing = false;
    for (const pipe of this.#pipes.values()) pipe.drop();
    this.forget();
    this.bank.guestGone();
    this.options.events.gone();
  }

  control(token: number, setup: Setup, data: Uint8Array): void {
    if ((setup.requestType & REQUEST_KIND) === 0) {
      return this.#standard(token, setup);
    }
    const isOwn = (setup.requestType & REQUEST_KIND) === CLASS_REQUEST &&
      (setup.requestType & RECIPIENT) === RECIPIENT_INTERFACE &&
      setup.index < this.description.interfaces.length &&
      this.#configuration !== 0;
    if (!isOwn || data.length > MAX_REQUEST) return this.#refuse(token);
    const request = this.#next(token, data);
    if (request === undefined) return;
    request.endpoint = 0;
    request.requestType = setup.requestType;
    request.request = setup.request;
    request.value = setup.value;
    request.index = setup.index;
    request.length = setup.length;
    this.#serve();
  }

  out(token: number, endpoint: number, data: Uint8Array): void {
    if (this.#configuration === 0 || !this.#has(endpoint & ~DIRECTION_IN)) {
      return this.#invalid(token);
    }
    if (data.length > MAX_REQUEST) return this.#refuse(token);
    const request = this.#next(token, data);
    if (request === undefined) return;
    request.endpoint = endpoint;
    request.length = data.length;
    this.#serve();
  }

  in(token: number, endpoint: number, length: number): void {
    const pipe = this.#pipes.get(endpoint & ~DIRECTION_IN);
    if (this.#configuration === 0 || pipe === undefined) {
      return this.#invalid(token);
    }
    pipe.wait(token, length, this.#host!);
    this.drained();
  }

  /** The host may have taken a message. */
  protected drained(): void {}

  cancel(token: number): boolean {
    for (const pipe of this.#pipes.values()) {
      if (pipe.cancel(token)) return this.#cancelled(token);
    }
    for (let i = 0; i < this.#count; i++) {
      const request = this.#requestAt(i);
      if (request.token !== token) continue;
      request.token = NO_TOKEN;
      return this.#cancelled(token);
    }
    return false;
  }

  #cancelled(token: number): true {
    this.#host?.done(token, TransferStatus.Cancelled, NO_DATA, 0);
    return true;
  }

  /** The request under way, while one is. */
  protected get current(): DriverRequest | undefined {
    return this.#isServing ? this.#requests[this.#head] : undefined;
  }

  /** True if the host wants to have the request under way answered. */
  protected get isWanted(): boolean {
    return this.#isServing && this.#requests[this.#head]!.token !== NO_TOKEN;
  }

  /** Ends the request that answered `PENDING`, and goes on with the next. */
  protected finish(status: number): void {
    if (!this.#isServing) return;
    this.#finish(status);
    this.#serve();
  }

  /** Counts and reports what a line answered to the request under way. */
  protected answered(
    line: number,
    operation: LineOperation,
    isOk: boolean,
  ): void {
    const since = this.#requests[this.#head]!.since;
    this.options.events.answered(line, operation, isOk, since);
  }

  /** Counts an invalid request. */
  protected invalid(): TransferStatus {
    this.counters.invalid++;
    return TransferStatus.Stall;
  }

  /** Called when the request under way has been answered. */
  protected ended(_request: DriverRequest, _status: number): void {}

  #has(address: number): boolean {
    for (const { endpoints } of this.description.interfaces) {
      for (const one of endpoints) if (one.address === address) return true;
    }
    return false;
  }

  #requestAt(i: number): DriverRequest {
    return this.#requests[(this.#head + i) % MAX_REQUESTS]!;
  }

  #next(token: number, data: Uint8Array): DriverRequest | undefined {
    if (this.#count === MAX_REQUESTS) {
      this.counters.overflows++;
      this.#host?.done(token, TransferStatus.IoError, NO_DATA, 0);
      return undefined;
    }
    const request = this.#requestAt(this.#count++);
    request.token = token;
    for (let i = 0; i < data.length; i++) request.data[i] = data[i]!;
    request.dataLength = data.length;
    request.since = this.options.now();
    return request;
  }

  #serve(): void {
    // A line has room for one operation beside the one under way.
    if (this.#restoring.isUnderWay) return;
    while (!this.#isServing && this.#count > 0) {
      const request = this.#requests[this.#head]!;
      if (request.token === NO_TOKEN) {
        this.#head = (this.#head + 1) % MAX_REQUESTS;
        this.#count--;
        continue;
      }
      this.#isServing = true;
      this.replyLength = 0;
      const status = this.begin(request);
      if (status === PENDING) return;
      // What it led to may have been the end of all requests.
      if (this.#isServing) this.#finish(status);
    }
  }

  #finish(status: number): void {
    const request = this.#requests[this.#head]!;
    const { token } = request;
    if (token !== NO_TOKEN) {
      const isIn = request.endpoint === 0 &&
        (request.requestType & DIRECTION_IN) !== 0;
      const isOk = status === TransferStatus.Success;
      const length = !isOk
        ? 0
        : isIn
        ? Math.min(this.replyLength, request.length)
        : request.dataLength;
      this.#host?.done(
        token,
        status as TransferStatus,
        isIn && length > 0 ? this.reply.subarray(0, length) : NO_DATA,
        length,
      );
      this.ended(request, status);
    }
    this.#isServing = false;
    // The host may have ended everything meanwhile.
    if (this.#count === 0) return;
    this.#head = (this.#head + 1) % MAX_REQUESTS;
    this.#count--;
  }

  #refuse(token: number): void {
    this.#host?.done(token, this.invalid(), NO_DATA, 0);
  }

  #invalid(token: number): void {
    this.counters.invalid++;
    this.#host?.done(token, TransferStatus.Invalid, NO_DATA, 0);
  }

  #standard(token: number, setup: Setup): void {
    const isIn = (setup.requestType & DIRECTION_IN) !== 0;
    const answer = isIn
      ? this.#standardRequests.answer(setup, this.#configuration)
      : undefined;
    if (answer !== undefined) {
      const sent = Math.min(answer.length, setup.length);
      this.#host?.done(
        token,
        TransferStatus.Success,
        answer.subarray(0, sent),
        sent,
      );
      return;
    }
    const isOk = !isIn && this.#standardRequests.accepts(setup) &&
      (setup.request !== StandardRequest.SetConfiguration ||
        this.configure(setup.value));
    if (!isOk) return this.#refuse(token);
    this.#host?.done(token, TransferStatus.Success, NO_DATA, 0);
  }
}
