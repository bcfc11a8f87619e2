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
import { EPOLLERR, EPOLLHUP, EPOLLIN } from "../../ffi/epoll.ts";
import { ENODEV } from "../../ffi/errno.ts";
import type { LineSpecification, Value } from "../config/specification.ts";
import { Chip } from "../gpio/chip.ts";
import {
  AbsentError,
  EdgeEventBatch,
  LineError,
  type LineInfo,
  LineRequest,
  type LineSettings,
  type LocatedLine,
} from "../gpio/mod.ts";
import { requestFault } from "./kept_request.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../virtio/line_port.ts";
import type { ChipPresence, PresentLine } from "./chip_presence.ts";
import { type FdKeeper, lineFdName } from "./fd_keeper.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";
import { oppositeOf } from "./level.ts";
import { LostEdges } from "./lost_edges.ts";

/** Which line of which chip, and who asks for it. */
export interface ChipLineOptions {
  /**
   * Finds the line, also when its chip comes back.
   *
   * @throws {AbsentError} If it is not there.
   */
  locate: () => LocatedLine;
  specification: LineSpecification;
  /** What other programs see as the line's user; at most 31 bytes. */
  consumer: string;
  loop: EventLoop;
  /** Tells when chips come and go. */
  presence: ChipPresence;
  /** Keeps the request across a restart of this process, if anybody does. */
  keeper?: FdKeeper;
  /** Called with where the line is, each time that is somewhere else. */
  onPlace: (place: LocatedLine | undefined) => void;
  /** Called when the line is let go for good. */
  onClosed: () => void;
}

/** All settings that a line can be given, so that no request makes any. */
interface SettingsOfLine {
  asFound: LineSettings;
  /** By the value that is driven. */
  outputs: Record<Value, LineSettings>;
  /** By the edges that are reported. */
  inputs: Record<Edges, LineSettings>;
}

const EDGE_NAMES = ["none", "rising", "falling", "both"] as const;
const KIND_RISING = 1;

/**
 * What the kernel keeps for us when we are late. It would take 1024, but has to
 * find the room in one piece, and 24 KB are had easily.
 */
const BUFFERED_EVENTS = 512;
/** How late the kernel may tell of an edge, generously. **Units**: ms. */
const LOOK_AGAIN_MS = 30;
/** As many are read at once; then others have their turn. */
const events = new EdgeEventBatch(64);

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
  #isKept = false;
  #keptEdges: Edges = Edges.None;
  #direction: Direction = Direction.Input;
  /** Whether the request says a direction, or took the line as it was. */
  #configured = false;
  #edges: Edges = Edges.None;
  /** The value that is driven; what a returning output gets. */
  #driven: number = UNSPECIFIED;
  /** The value that an armed input had when it was last looked at. */
  #seen: number = UNSPECIFIED;
  #watch: Watch | undefined;
  #listener: SourceListener | undefined;
  readonly #lost = new LostEdges();

  /**
   * Requests the line as it is: nothing changes on its wire.
   *
   * @throws {LineError} If the line cannot be had: busy, absent (unless it is
   * optional), forbidden.
   */
  constructor(options: ChipLineOptions) {
    this.#options = options;
    const { specification, presence } = options;
    this.#settings = settingsOf(specification);
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
    return this.#lost.total;
  }

  get isAbsent(): boolean {
    return this.#isAbsent;
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
        return this.#edges === Edges.None
          ? 0
          : this.#input(request, Edges.None);
    }
  }

  peek(): number {
    const value = this.#request?.readBit(0) ?? FAILED;
    return value < 0 ? FAILED : value;
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
        this.#edges = Edges.None;
        break;
      case SourceOperation.Release:
        this.#configured = false;
        this.#edges = Edges.None;
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
    if (this.#edges !== Edges.None) {
      this.#watchRequest(this.#request!);
      this.#reportMissedEdge();
    }
    this.#listener?.presence(true);
    return false;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#release();
    this.#options.onClosed();
  }

  #release(): void {
    this.#unwatch();
    this.#letGo();
    this.#configured = false;
    this.#edges = Edges.None;
  }

  #letGo(): void {
    const request = this.#request;
    if (request === undefined) return;
    this.#request = undefined;
    this.#options.keeper?.drop(
      lineFdName(request.chipName, request.offsets[0]!),
    );
    request[Symbol.dispose]();
  }

  /** Which direction a line that was let go is left with. */
  #look(): void {
    try {
      const place = this.#options.locate();
      using chip = Chip.open(place.chipPath);
      this.#direction = directionOf(chip.lineInfo(place.offset));
    } catch (error) {
      // The chip is gone: what it was is the best guess.
      if (!(error instanceof LineError)) throw error;
    }
  }

  /** The chip is gone: its request is dead, what was asked for stays known. */
  #lose(): void {
    this.#unwatch();
    this.#letGo();
    this.#isAbsent = true;
    this.#options.onPlace(undefined);
    this.#options.presence.lost();
    this.#listener?.presence(false);
  }

  /** Finds the line and requests it, as it is or as it was left. */
  #acquire(): void {
    const place = this.#options.locate();
    using chip = Chip.open(place.chipPath);
    const info = chip.lineInfo(place.offset);
    const { keeper, consumer } = this.#options;
    const kept = this.#takeKept(chip.name, place.offset);
    const lines = [{ offset: place.offset, settings: this.#presentSettings() }];
    this.#request = kept ?? chip.requestLines({
      consumer,
      lines,
      eventBufferSize: BUFFERED_EVENTS,
    });
    this.#lost.begin(kept !== undefined);
    // What was kept stays kept: a manager on a kernel without kcmp(2) does not
    // see that it has this request already.
    if (kept !== undefined) this.#adopt(kept, info);
    else keeper?.keep(lineFdName(chip.name, place.offset), this.#request.fd);
    if (!this.#configured) this.#direction = directionOf(info);
    const { name } = info;
    this.#name = name;
    this.#description = `${chip.name} line ${place.offset}` +
      (name === "" ? "" : ` "${name}"`);
    this.#options.onPlace(place);
    if (
      this.#configured && this.#direction === Direction.Output &&
      this.#driven < 0
    ) {
      this.#configured = false;
      this.#output(this.#request, UNSPECIFIED);
    }
  }

  /** The request that an earlier process had, if it was kept and still lives. */
  #takeKept(chipName: string, offset: number): LineRequest | undefined {
    const { keeper } = this.#options;
    if (keeper === undefined) return undefined;
    const name = lineFdName(chipName, offset);
    let alive: LineRequest | undefined;
    let useless = 0;
    for (const fd of keeper.take(name)) {
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
      keeper.report(
        `what was kept of line ${offset} of ${chipName} is not used: ${fault}`,
      );
    }
    if (useless > 0) {
      // All of this name: the one that is used is kept again.
      keeper.drop(name);
      if (alive !== undefined) keeper.keep(name, alive.fd);
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
    // It is gone again: whoever asks next will see.
    if (found < 0) return;
    const isTurned = info.activeLow !== activeLow;
    if (info.direction === "output") {
      // The same level on the wire is the other value where that is turned.
      const value = isTurned ? oppositeOf(found as Value) : found as Value;
      const settings = this.#settings.outputs[value];
      this.#configured = !isTurned && hasSettings(info, settings) ||
        request.configure(settings) === 0;
      this.#direction = Direction.Output;
      this.#driven = value;
      return;
    }
    const edges = EDGE_NAMES.indexOf(info.edge) as Edges;
    // An input that was never asked for edges may be one that was taken as it
    // was: it is made ours by the first who uses it.
    if (edges === Edges.None && !isTurned) return;
    const settings = this.#settings.inputs[edges];
    this.#configured = !isTurned && hasSettings(info, settings) ||
      request.configure(settings) === 0;
    this.#direction = Direction.Input;
    this.#edges = edges;
    this.#seen = request.readBit(0);
    if (edges === Edges.None) return;
    this.#keptEdges = edges;
    this.#hearKept(request);
  }

  /**
   * Edges that came while nobody served the line lie in the kernel's queue. They
   * are reported before anybody can come and ask for newer ones.
   */
  #hearKept(request: LineRequest): void {
    const values: number[] = [];
    for (let count; (count = this.#read(request)) > 0;) {
      for (let i = 0; i < count; i++) values.push(valueAfter(events.kindAt(i)));
    }
    this.#options.loop.defer(() => {
      for (const value of values) {
        if (this.#request !== request) return;
        this.#listener?.edge(value);
      }
    });
    this.#watchRequest(request);
  }

  /** The line was released when the last guest went: this one wants it back. */
  #takeAgain(): LineRequest | undefined {
    if (this.#isAbsent) return undefined;
    try {
      this.#acquire();
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      // Busy or absent by now: the guest's request fails, the next one tries.
    }
    return this.#request;
  }

  #presentSettings(): LineSettings {
    if (!this.#configured) return this.#settings.asFound;
    if (this.#direction === Direction.Input) {
      return this.#settings.inputs[this.#edges];
    }
    // An output that was never given a value is taken over as it is found.
    return this.#driven < 0
      ? this.#settings.asFound
      : this.#settings.outputs[this.#driven as Value];
  }

  #checked(result: number): number {
    if (result >= 0) return result;
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
    this.#unwatch();
    this.#edges = Edges.None;
    this.#configured = true;
    this.#direction = Direction.Output;
    this.#driven = value;
    return 0;
  }

  #input(request: LineRequest, edges: Edges): number {
    if (
      this.#configured && this.#direction === Direction.Input &&
      edges === this.#edges
    ) {
      return 0;
    }
    const staysArmed = this.#edges !== Edges.None && edges !== Edges.None;
    if (staysArmed) this.#seen = request.readBit(0);
    const result = request.configure(this.#settings.inputs[edges]);
    if (result < 0) return this.#checked(result);
    this.#configured = true;
    this.#direction = Direction.Input;
    this.#edges = edges;
    if (edges === Edges.None) {
      this.#unwatch();
      // What came before the interrupt was disabled must not fire the next.
      while (this.#read(request) > 0);
    } else {
      // The kernel looks away while it changes what it looks for. What it did
      // see comes first, so that no edge is told twice.
      if (staysArmed) {
        const { loop } = this.#options;
        loop.after(LOOK_AGAIN_MS, () => this.#lookAgain(request));
      } else this.#seen = request.readBit(0);
      this.#watchRequest(request);
    }
    return 0;
  }

  #watchRequest(request: LineRequest): void {
    this.#watch ??= this.#options.loop.watch(
      request.fd,
      EPOLLIN,
      (ready) => this.#onReady(ready),
    );
  }

  /** Reads edges into `events`: how many, or what went wrong. */
  #read(request: LineRequest): number {
    const count = request.readEvents(events);
    this.#lost.note(events, count);
    return count;
  }

  #onReady(ready: number): void {
    const watch = this.#watch;
    const count = this.#read(this.#request!);
    for (let i = 0; i < count; i++) {
      this.#seen = valueAfter(events.kindAt(i));
      // More may have been asked for when it was queued, by an observer.
      const edge = this.#seen === 1 ? Edges.Rising : Edges.Falling;
      if ((this.#edges & edge) === 0) continue;
      this.#listener?.edge(this.#seen);
      // An edge may make a rule drive or release this very line.
      if (this.#watch !== watch) return;
    }
    // The chip is gone: nothing will ever come, and epoll would never rest.
    if (count < 0 && (ready & (EPOLLHUP | EPOLLERR)) !== 0) this.#lose();
  }

  #lookAgain(request: LineRequest): void {
    if (this.#request === request && this.#edges !== Edges.None) {
      this.#reportMissedEdge();
    }
  }

  /** The line may have another value than when somebody looked last. */
  #reportMissedEdge(): void {
    const value = this.#request!.readBit(0);
    if (value < 0 || value === this.#seen) return;
    this.#seen = value;
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#edges & edge) !== 0) this.#listener?.edge(value);
  }

  #unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}

function settingsOf(
  { activeLow, bias, debounceUs, drive }: LineSpecification,
): SettingsOfLine {
  const common = { activeLow, ...(bias === undefined ? {} : { bias }) };
  const output = (outputValue: Value): LineSettings => ({
    ...common,
    direction: "output",
    outputValue,
    ...(drive === undefined ? {} : { drive }),
  });
  const input = (edges: Edges): LineSettings => ({
    ...common,
    direction: "input",
    edge: EDGE_NAMES[edges],
    ...(debounceUs === 0 ? {} : { debouncePeriodUs: debounceUs }),
  });
  return {
    asFound: { direction: "as-is", activeLow },
    outputs: { 0: output(0), 1: output(1) },
    inputs: {
      [Edges.None]: input(Edges.None),
      [Edges.Rising]: input(Edges.Rising),
      [Edges.Falling]: input(Edges.Falling),
      [Edges.Both]: input(Edges.Both),
    },
  };
}

function valueAfter(kind: number): Value {
  return kind === KIND_RISING ? 1 : 0;
}

/** Whether the kernel has a line as these settings say, but for its value. */
function hasSettings(info: LineInfo, settings: LineSettings): boolean {
  return info.activeLow === settings.activeLow &&
    info.bias === (settings.bias ?? "as-is") &&
    (settings.direction === "output"
      ? info.drive === (settings.drive ?? "push-pull")
      : info.debouncePeriodUs === (settings.debouncePeriodUs ?? 0));
}

function directionOf({ direction }: LineInfo): Direction {
  return direction === "output" ? Direction.Output : Direction.Input;
}
