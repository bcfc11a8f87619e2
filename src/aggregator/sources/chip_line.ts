/**
 * A line of a real chip, behind an aggregator's line: one uAPI line request
 * per line, so that reconfiguring one never disturbs another.
 *
 * When the chip goes, the line fails whatever is asked of it; when a chip comes
 * that is meant by the same words, the line is taken up again, with its last
 * direction, value and edges.
 *
 * @module
 */
import { nameText } from "../../text/names.ts";
import { ENODEV } from "../../../ffi/errno.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { LineSpecification } from "../../config/specification.ts";
import type { Value } from "../../line/value.ts";
import { Chip } from "../../gpio/chip.ts";
import {
  AbsentError,
  LineError,
  type LineInfo,
  LineRequest,
  type LineSettings,
  type LocatedLine,
} from "../../gpio/mod.ts";
import { requestFault } from "../restart/kept_request.ts";
import type { EventLoop, TimeShare } from "../../reactor/event_loop.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import type { ChipPresence, PresentLine } from "./chip_presence.ts";
import { type FdStore, lineFdName } from "../restart/fd_store.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";
import { invertValue } from "../level.ts";
import { BUFFERED_EVENTS, ChipEdges } from "./chip_edges.ts";
import {
  deriveSettings,
  hasSettings,
  type SettingsOfLine,
  toEdges,
} from "./chip_line_settings.ts";

/** Which line of which chip, and who asks for it. */
interface ChipLineOptions {
  /**
   * Finds the line, also when its chip comes back.
   *
   * @throws {AbsentError} If it is not there.
   */
  locate: () => LocatedLine;
  specification: LineSpecification;
  /** Consumer label that other programs see; at most 31 bytes. */
  consumer: string;
  loop: EventLoop;
  /** The time in which its edges are served; absent: that of no peer. */
  share?: TimeShare | undefined;
  /** Reports when chips come and go. */
  presence: ChipPresence;
  /** Keeps the request across a restart of this process, if there is a store. */
  store?: FdStore;
  /** Called with where the line is, each time that is somewhere else. */
  onLocated: (hostLine: LocatedLine | undefined) => void;
  /** Called when the line is let go for good. */
  onClosed: () => void;
}

/**
 * One line of a chip, requested for as long as this object lives (but for the
 * `release` rule, and while the chip is away).
 */
export class ChipLine implements LineSource, PresentLine {
  readonly #options: ChipLineOptions;
  readonly #settings: SettingsOfLine;
  readonly #subscription: Disposable;
  #description: string;
  #name = "";
  #request: LineRequest | undefined;
  #isAbsent = false;
  #isClosed = false;
  #isKept = false;
  #keptEdges: Edges = Edges.None;
  #direction: Direction = Direction.Input;
  /**
   * Set if the request has a direction, clear if it took the line as it was.
   */
  #configured = false;
  readonly #edges: ChipEdges;
  /** The value that is driven; what a returning output gets. */
  #driven: number = UNSPECIFIED;
  #listener: SourceListener | undefined;
  /** Error number of the last operation; 0 unless the kernel refused it. */
  #errno = 0;
  #isUsedAsInterrupt = false;

  /**
   * Requests the line as it is: nothing changes on its wire.
   *
   * @throws {LineError} If the line cannot be had: busy, absent (unless it is
   * optional), forbidden.
   */
  constructor(options: ChipLineOptions) {
    this.#options = options;
    const { specification, presence } = options;
    this.#settings = deriveSettings(specification);
    this.#edges = new ChipEdges(options.loop, {
      edge: (value) => this.#listener?.edge(value),
      gone: () => this.#lose(),
    }, options.share);
    this.#description = `${specification.origin} (absent)`;
    try {
      this.#acquire();
    } catch (error) {
      if (!(error instanceof AbsentError) || specification.optional !== true) {
        throw error;
      }
      this.#isAbsent = true;
    }
    this.#subscription = presence.add(this);
  }

  get description(): string {
    return this.#description;
  }

  get name(): string {
    return this.#name;
  }

  get direction(): Direction {
    return this.#direction;
  }

  get isKept(): boolean {
    return this.#isKept;
  }

  get keptEdges(): Edges {
    return this.#keptEdges;
  }

  get lostEdges(): number {
    return this.#edges.lost;
  }

  get isAbsent(): boolean {
    return this.#isAbsent;
  }

  get errno(): number {
    return this.#errno;
  }

  get isUsedAsInterrupt(): boolean {
    return this.#isUsedAsInterrupt;
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    if (operation === SourceOperation.Release) {
      this.#release();
      this.#look();
      return 0;
    }
    // What is refused without the kernel has no error number.
    this.#errno = 0;
    const request = this.#request ?? this.#takeAgain();
    if (request === undefined) return FAILED;
    switch (operation) {
      case SourceOperation.GetValue:
        return this.#checked(request.readBit(0));
      case SourceOperation.SetValue:
        // An output that was taken over as it was is made ours by this.
        return this.#direction === Direction.Output
          ? this.#output(request, argument)
          : FAILED;
      case SourceOperation.Output:
        return this.#output(request, argument);
      case SourceOperation.Input:
        if (this.#configured && this.#direction === Direction.Input) return 0;
        return this.#input(request, Edges.None);
      case SourceOperation.SetEdges:
        if (this.#configured && this.#direction === Direction.Output) {
          return FAILED;
        }
        return this.#input(request, argument as Edges);
      case SourceOperation.Deactivate:
        return this.#edges.wanted === Edges.None
          ? 0
          : this.#input(request, Edges.None);
    }
  }

  peek(): number {
    const value = this.#request?.readBit(0) ?? FAILED;
    if (value >= 0) return value;
    if (this.#request !== undefined) this.#errno = -value;
    return FAILED;
  }

  remember(operation: SourceOperation, argument: number): void {
    switch (operation) {
      case SourceOperation.Output:
      case SourceOperation.SetValue:
        this.#configured = true;
        this.#direction = Direction.Output;
        this.#driven = argument;
        break;
      case SourceOperation.Input:
        this.#configured = true;
        this.#direction = Direction.Input;
        this.#edges.wanted = Edges.None;
        break;
      case SourceOperation.Release:
        this.#configured = false;
        this.#edges.wanted = Edges.None;
        break;
    }
  }

  checkChip(): void {
    if (this.#request?.readBit(0) === -ENODEV) this.#lose();
  }

  takeBack(): boolean {
    try {
      this.#acquire();
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      // A chip that is there but busy, or not ours yet, may be had later.
      return !(error instanceof AbsentError);
    }
    this.#isAbsent = false;
    if (this.#edges.wanted !== Edges.None) {
      this.#edges.listen();
      this.#edges.reportMissed();
    }
    this.#listener?.presence(true);
    return false;
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#subscription[Symbol.dispose]();
    this.#release();
    this.#options.onClosed();
  }

  #release(): void {
    this.#letGo();
    this.#configured = false;
    this.#edges.wanted = Edges.None;
  }

  #letGo(): void {
    const request = this.#request;
    if (request === undefined) return;
    this.#request = undefined;
    this.#edges[Symbol.dispose]();
    this.#options.store?.drop(
      lineFdName(request.chipName, request.offsets[0]!),
    );
    request[Symbol.dispose]();
  }

  /** Which direction a line that was let go is left with. */
  #look(): void {
    try {
      const hostLine = this.#options.locate();
      using chip = Chip.open(hostLine.chipPath);
      this.#direction = toDirection(chip.lineInfo(hostLine.offset));
    } catch (error) {
      // The chip is gone: what it was is the best guess.
      if (!(error instanceof LineError)) throw error;
    }
  }

  /** The chip is gone: its request is dead, what was asked for stays known. */
  #lose(): void {
    this.#letGo();
    this.#isAbsent = true;
    this.#options.onLocated(undefined);
    this.#options.presence.lost();
    this.#listener?.presence(false);
  }

  /** Finds the line and requests it, as it is or as it was left. */
  #acquire(): void {
    const hostLine = this.#options.locate();
    using chip = Chip.open(hostLine.chipPath);
    const info = chip.lineInfo(hostLine.offset);
    const { store, consumer } = this.#options;
    const kept = this.#takeKept(chip.name, hostLine.offset);
    const lines = [{
      offset: hostLine.offset,
      settings: this.#presentSettings(),
    }];
    this.#request = kept ?? chip.requestLines({
      consumer,
      lines,
      eventBufferSize: BUFFERED_EVENTS,
    });
    // A line in use that can be requested is a driver's interrupt.
    if (kept === undefined) {
      this.#isUsedAsInterrupt = info.used && info.consumer === "interrupt";
    }
    this.#edges.begin(this.#request, kept !== undefined);
    // What was kept stays kept: a manager on a kernel without kcmp(2) does not
    // see that it has this request already.
    if (kept !== undefined) this.#adopt(kept, info);
    else store?.keep(lineFdName(chip.name, hostLine.offset), this.#request.fd);
    if (!this.#configured) this.#direction = toDirection(info);
    const { name } = info;
    this.#name = name;
    this.#description = `${chip.name} line ${hostLine.offset}` +
      (name === "" ? "" : ` "${nameText(name)}"`);
    this.#options.onLocated(hostLine);
    if (
      this.#configured && this.#direction === Direction.Output &&
      this.#driven < 0
    ) {
      this.#configured = false;
      this.#output(this.#request, UNSPECIFIED);
    }
  }

  /**
   * The request that an earlier process had, if it was kept and still lives.
   */
  #takeKept(chipName: string, offset: number): LineRequest | undefined {
    const { store } = this.#options;
    if (store === undefined) return undefined;
    const name = lineFdName(chipName, offset);
    let alive: LineRequest | undefined;
    let useless = 0;
    for (const fd of store.take(name)) {
      let fault = requestFault(fd, chipName, offset);
      if (fault === undefined) {
        const request = new LineRequest(fd.release(), chipName, [
          { offset, settings: this.#settings.asFound },
        ]);
        const isAlive = request.readBit(0) >= 0;
        if (isAlive && alive === undefined) {
          alive = request;
          continue;
        }
        request[Symbol.dispose]();
        fault = isAlive ? "it was kept twice" : "its chip has gone since";
      } else fd.close();
      useless++;
      store.report(
        `what was kept of line ${offset} of ${chipName} is not used: ${fault}`,
      );
    }
    if (useless > 0) {
      // All of this name: the one that is used is kept again.
      store.drop(name);
      if (alive !== undefined) store.keep(name, alive.fd);
    }
    this.#isKept = alive !== undefined;
    return alive;
  }

  /**
   * Goes on with what an earlier process made of the line. What is on the wire
   * stays; settings that are not those of the specification become so.
   */
  #adopt(request: LineRequest, info: LineInfo): void {
    const { activeLow } = this.#options.specification;
    const found = request.readBit(0);
    // It is gone again: the next request will see.
    if (found < 0) return;
    const isTurned = info.activeLow !== activeLow;
    if (info.direction === "output") {
      // The same level on the wire is the other value where that is turned.
      const value = isTurned ? invertValue(found as Value) : found as Value;
      const settings = this.#settings.outputs[value];
      this.#configured = !isTurned && hasSettings(info, settings) ||
        request.configure(settings) === 0;
      this.#direction = Direction.Output;
      this.#driven = value;
      return;
    }
    const edges = toEdges(info);
    // An input that was never asked for edges may be one that was taken as it
    // was: it is made ours by the first who uses it.
    if (edges === Edges.None && !isTurned) return;
    const settings = this.#settings.inputs[edges];
    this.#configured = !isTurned && hasSettings(info, settings) ||
      request.configure(settings) === 0;
    this.#direction = Direction.Input;
    this.#edges.wanted = edges;
    this.#edges.look();
    if (edges === Edges.None) return;
    this.#keptEdges = edges;
    this.#edges.hearKept();
  }

  /**
   * The line was released when the last guest went: this one wants it back. One
   * that was let go for good may be another's by now.
   */
  #takeAgain(): LineRequest | undefined {
    if (this.#isAbsent || this.#isClosed) return undefined;
    try {
      this.#acquire();
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      // Busy or absent by now: the guest's request fails, the next one tries.
      this.#errno = isOsError(error.cause) ? error.cause.errno : 0;
    }
    return this.#request;
  }

  #presentSettings(): LineSettings {
    if (!this.#configured) return this.#settings.asFound;
    if (this.#direction === Direction.Input) {
      return this.#settings.inputs[this.#edges.wanted];
    }
    // An output that was never given a value is taken over as it is found.
    return this.#driven < 0
      ? this.#settings.asFound
      : this.#settings.outputs[this.#driven as Value];
  }

  #checked(result: number): number {
    if (result >= 0) return result;
    this.#errno = -result;
    if (result === -ENODEV) this.#lose();
    return FAILED;
  }

  #write(request: LineRequest, value: number): number {
    const result = request.writeBit(0, value as Value);
    if (result < 0) return this.#checked(result);
    this.#driven = value;
    return 0;
  }

  #output(request: LineRequest, argument: number): number {
    if (this.#configured && this.#direction === Direction.Output) {
      return argument === UNSPECIFIED ? 0 : this.#write(request, argument);
    }
    const value = argument === UNSPECIFIED
      ? this.#checked(request.readBit(0))
      : argument;
    if (value < 0) return FAILED;
    const result = request.configure(this.#settings.outputs[value as Value]);
    if (result < 0) return this.#checked(result);
    this.#edges.rest();
    this.#edges.wanted = Edges.None;
    this.#configured = true;
    this.#direction = Direction.Output;
    this.#driven = value;
    return 0;
  }

  #input(request: LineRequest, edges: Edges): number {
    const own = this.#edges;
    const before = own.wanted;
    if (
      this.#configured && this.#direction === Direction.Input &&
      edges === before
    ) {
      return 0;
    }
    // The kernel looks away while it changes what it looks for.
    const staysArmed = before !== Edges.None && edges !== Edges.None;
    if (staysArmed) own.look();
    const result = request.configure(this.#settings.inputs[edges]);
    if (result < 0) return this.#checked(result);
    this.#configured = true;
    this.#direction = Direction.Input;
    own.wanted = edges;
    if (edges === Edges.None) {
      own.rest();
      own.drain();
      return 0;
    }
    if (staysArmed) own.lookAgain();
    else own.look();
    own.listen();
    return 0;
  }
}

function toDirection({ direction }: LineInfo): Direction {
  return direction === "output" ? Direction.Output : Direction.Input;
}
