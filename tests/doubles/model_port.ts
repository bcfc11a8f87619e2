/**
 * A line port that is a model of a line: it has a level of its own, can be
 * pulled, can be driven, and reports the edges that result. Nothing is canned.
 *
 * It answers at once, or later (`slow`), as a chip behind I2C would: then the
 * test says when the operation ends.
 *
 * @module
 */
import {
  Direction,
  Edges,
  FAILED,
  type LineListener,
  LineOperation,
  type LinePort,
  PENDING,
} from "../../src/line/port.ts";

/** One thing that a port was asked to do. */
export interface PortCall {
  operation: LineOperation;
  argument: number;
}

/** A simulated line. */
export class ModelPort implements LinePort {
  readonly name: string;
  direction: Direction;
  /** Outside level of the line, which it has while it is no output. */
  pulled = 0;
  /** Level that the line drives while it is an output. */
  driven = 0;
  /** Keeps operations pending until `finish`. */
  slow = false;
  /** Makes every operation fail: the line is gone. */
  broken = false;
  /** Operations that fail. */
  readonly refuses = new Set<LineOperation>();
  /** Everything that was asked, oldest first. */
  readonly calls: PortCall[] = [];
  /** Called inside `submit`, before it returns: a wire to somewhere else. */
  onSubmit: ((call: PortCall) => void) | undefined;
  #edges: Edges = Edges.None;
  #listener: LineListener | undefined;
  #lineNumber = -1;
  #pending: PortCall | undefined;

  constructor(name = "", direction: Direction = Direction.Input) {
    this.name = name;
    this.direction = direction;
  }

  /** The level of the line. */
  get level(): number {
    return this.direction === Direction.Output ? this.driven : this.pulled;
  }

  /** Goes on as a line whose request was kept over a restart. */
  adopt(before: ModelPort): void {
    this.direction = before.direction;
    this.driven = before.driven;
    this.pulled = before.pulled;
    this.#edges = before.#edges;
  }

  /** The edges that are reported. */
  get edges(): Edges {
    return this.#edges;
  }

  /** True while an operation waits for `finish`. */
  get isPending(): boolean {
    return this.#pending !== undefined;
  }

  /** The operation and argument of every call so far, flattened for comparing. */
  get history(): number[][] {
    return this.calls.map((call) => [call.operation, call.argument]);
  }

  attach(listener: LineListener, lineNumber: number): void {
    this.#listener = listener;
    this.#lineNumber = lineNumber;
  }

  submit(operation: LineOperation, argument: number): number {
    if (this.#pending !== undefined) {
      throw new Error("a second operation while one is pending");
    }
    const call = { operation, argument };
    this.calls.push(call);
    this.onSubmit?.(call);
    if (this.slow) {
      this.#pending = call;
      return PENDING;
    }
    return this.#perform(call);
  }

  /** Ends the pending operation and reports it. */
  finish(): void {
    const call = this.#pending;
    if (call === undefined) throw new Error("no operation is pending");
    this.#pending = undefined;
    this.#listener?.completed(this.#lineNumber, this.#perform(call));
  }

  /** Pulls the line from outside; edges are reported as they were asked for. */
  pull(level: number): void {
    const before = this.level;
    this.pulled = level;
    if (this.level !== before) this.report(this.level);
  }

  /** Reports an edge if it was asked for. */
  report(level: number): void {
    const edge = level === 0 ? Edges.Falling : Edges.Rising;
    if ((this.#edges & edge) !== 0) {
      this.#listener?.edge(this.#lineNumber, level);
    }
  }

  #perform(call: PortCall): number {
    if (this.broken || this.refuses.has(call.operation)) return FAILED;
    switch (call.operation) {
      case LineOperation.Deactivate:
        this.#edges = Edges.None;
        return 0;
      case LineOperation.Input:
        this.direction = Direction.Input;
        return 0;
      case LineOperation.Output:
        this.driven = call.argument < 0 ? this.level : call.argument;
        this.direction = Direction.Output;
        this.#edges = Edges.None;
        return 0;
      case LineOperation.GetValue:
        return this.level;
      case LineOperation.SetValue:
        this.driven = call.argument;
        return 0;
      case LineOperation.SetEdges:
        this.#edges = call.argument as Edges;
        return 0;
    }
  }
}
