/**
 * A line of a real chip, behind an aggregator's line: one uAPI line request
 * per line, so that reconfiguring one never disturbs another.
 *
 * @module
 */
import { EPOLLERR, EPOLLHUP, EPOLLIN } from "../../ffi/epoll.ts";
import type { LineSpecification, Value } from "../config/specification.ts";
import { Chip } from "../gpio/chip.ts";
import {
  EdgeEventBatch,
  type LineRequest,
  type LineSettings,
} from "../gpio/mod.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../virtio/line_port.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";

/** Which line of which chip, and who asks for it. */
export interface ChipLineOptions {
  /** The chip's device path. */
  chipPath: string;
  offset: number;
  specification: LineSpecification;
  /** What other programs see as the line's user; at most 31 bytes. */
  consumer: string;
  loop: EventLoop;
  /** Called when the line is let go for good. */
  onClosed: () => void;
}

const EDGE_NAMES = ["none", "rising", "falling", "both"] as const;
const KIND_RISING = 1;

/** The kernel's event fifo of a one-line request holds 16. */
const events = new EdgeEventBatch(16);

/**
 * One line of a chip, requested for as long as this object lives (but for the
 * `release` rule).
 */
export class ChipLine implements LineSource {
  readonly description: string;
  readonly name: string;
  readonly #options: ChipLineOptions;
  #request: LineRequest | undefined;
  #direction: Direction;
  /** Whether the request says a direction, or took the line as it was. */
  #configured = false;
  #edges: Edges = Edges.None;
  #watch: Watch | undefined;
  #listener: SourceListener | undefined;

  /**
   * Requests the line as it is: nothing changes on its wire.
   *
   * @throws {LineError} If the line cannot be had: busy, absent, forbidden.
   */
  constructor(options: ChipLineOptions) {
    this.#options = options;
    using chip = Chip.open(options.chipPath);
    const { name, direction } = chip.lineInfo(options.offset);
    this.name = name;
    this.#direction = direction === "output"
      ? Direction.Output
      : Direction.Input;
    this.description = `${chip.name} line ${options.offset}` +
      (name === "" ? "" : ` "${name}"`);
    this.#request = this.#take(chip);
  }

  get direction(): Direction {
    return this.#direction;
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    if (operation === SourceOperation.Release) {
      this.#release();
      return 0;
    }
    const request = this.#request ?? this.#takeAgain();
    if (request === undefined) return FAILED;
    switch (operation) {
      case SourceOperation.GetValue: {
        const value = request.readBit(0);
        return value < 0 ? FAILED : value;
      }
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

  [Symbol.dispose](): void {
    this.#release();
    this.#options.onClosed();
  }

  #release(): void {
    this.#unwatch();
    this.#request?.[Symbol.dispose]();
    this.#request = undefined;
    this.#configured = false;
    this.#edges = Edges.None;
  }

  #take(chip: Chip): LineRequest {
    const { offset, consumer, specification } = this.#options;
    return chip.requestLines({
      consumer,
      lines: [{
        offset,
        settings: { direction: "as-is", activeLow: specification.activeLow },
      }],
    });
  }

  /** The line was released when the last guest went: this one wants it back. */
  #takeAgain(): LineRequest | undefined {
    try {
      using chip = Chip.open(this.#options.chipPath);
      this.#request = this.#take(chip);
    } catch {
      // Busy or absent by now: the guest's request fails, the next one tries.
    }
    return this.#request;
  }

  #output(request: LineRequest, argument: number): number {
    if (this.#configured && this.#direction === Direction.Output) {
      if (argument === UNSPECIFIED) return 0;
      return request.writeBit(0, argument as Value) < 0 ? FAILED : 0;
    }
    const value = argument === UNSPECIFIED ? request.readBit(0) : argument;
    if (value < 0) return FAILED;
    const { drive } = this.#options.specification;
    const settings: LineSettings = {
      ...this.#commonSettings(),
      direction: "output",
      outputValue: value as Value,
      ...(drive === undefined ? {} : { drive }),
    };
    if (request.configure(settings) < 0) return FAILED;
    this.#unwatch();
    this.#edges = Edges.None;
    this.#configured = true;
    this.#direction = Direction.Output;
    return 0;
  }

  #input(request: LineRequest, edges: Edges): number {
    if (
      this.#configured && this.#direction === Direction.Input &&
      edges === this.#edges
    ) return 0;
    const { debounceUs } = this.#options.specification;
    const settings: LineSettings = {
      ...this.#commonSettings(),
      direction: "input",
      edge: EDGE_NAMES[edges],
      ...(debounceUs === 0 ? {} : { debouncePeriodUs: debounceUs }),
    };
    if (request.configure(settings) < 0) return FAILED;
    this.#configured = true;
    this.#direction = Direction.Input;
    this.#edges = edges;
    if (edges === Edges.None) {
      this.#unwatch();
      // What came before the interrupt was disabled must not fire the next.
      while (request.readEvents(events) > 0);
    } else {
      this.#watch ??= this.#options.loop.watch(
        request.fd,
        EPOLLIN,
        (ready) => this.#onReady(ready),
      );
    }
    return 0;
  }

  #commonSettings(): LineSettings {
    const { activeLow, bias } = this.#options.specification;
    return { activeLow, ...(bias === undefined ? {} : { bias }) };
  }

  #onReady(ready: number): void {
    const count = this.#request!.readEvents(events);
    for (let i = 0; i < count; i++) {
      this.#listener?.edge(events.kindAt(i) === KIND_RISING ? 1 : 0);
      // An edge may make a rule drive or release this very line.
      if (this.#watch === undefined) return;
    }
    // The chip is gone: nothing will ever come, and epoll would never rest.
    if (count < 0 && (ready & (EPOLLHUP | EPOLLERR)) !== 0) this.#unwatch();
  }

  #unwatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}
