/**
 * An observer on the host beside a line's guest: an input reports all its edges
 * while it is observed, and the guest gets those that it asked for.
 *
 * @module
 */
import { Direction, Edges, FAILED } from "../line/port.ts";
import { type LineSource, SourceOperation } from "./line_source.ts";

/** Observer on the host of a line's changes. */
export interface LineObserver {
  /** The line's direction or value may have changed. Must be cheap. */
  lineChanged(lineNumber: number): void;
}

/** Edges of one line: those of its guest, and those of its observer. */
export class LineObservation {
  /** Change observer, if any. Without one the cost is a single field check. */
  observer: LineObserver | undefined;
  /** Set if all edges are recorded, whatever the guest wants. */
  isRecorded = false;
  /** The edges that the guest or its successor wants to be notified of. */
  #edges: Edges;
  /** They are an earlier process's guest's, who has not come back yet. */
  #hasKeptEdges: boolean;
  /** The source reports all edges, because the line is observed. */
  #reportsAllEdges = false;
  #willReportAllEdges = false;
  /** It refused to: it is not asked again while the line is observed. */
  #cannotReportAllEdges = false;
  #isReleased = false;

  /** `kept` are the edges that an earlier process's guest asked for. */
  constructor(kept: Edges) {
    this.#edges = kept;
    this.#hasKeptEdges = kept !== Edges.None;
  }

  /** Has another observer from now on, or none. */
  observe(observer: LineObserver | undefined): void {
    this.observer = observer;
    this.#cannotReportAllEdges = false;
  }

  /** True while the source reports all edges. */
  get reportsAllEdges(): boolean {
    return this.#reportsAllEdges;
  }

  /** True if the line was released and not asked for since. */
  get isReleased(): boolean {
    return this.#isReleased;
  }

  /** The edges that the source reports. */
  get sourceEdges(): Edges {
    return this.#reportsAllEdges ? Edges.Both : this.#edges;
  }

  /** Returns true if an edge to `value` is for the guest too. */
  isForGuest(value: number): boolean {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    return !this.#reportsAllEdges || (this.#edges & edge) !== 0;
  }

  /** Returns true if the guest asked for edges to `value`. */
  isAskedFor(value: number): boolean {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    return (this.#edges & edge) !== 0;
  }

  /** Drops edges that waited for the guest of an earlier process. */
  guestGone(): void {
    this.#hasKeptEdges = false;
  }

  /** The chip came: it may be another, and have other edges remembered. */
  present(): void {
    this.#cannotReportAllEdges = false;
    if (this.isObserved) this.#reportsAllEdges = false;
  }

  /** Keeps up with what an operation made of the line. */
  done(operation: SourceOperation, argument: number): void {
    switch (operation) {
      case SourceOperation.GetValue:
      case SourceOperation.SetValue:
        return;
      case SourceOperation.SetEdges:
        this.#edges = argument as Edges;
        break;
      case SourceOperation.Input:
        break;
      default:
        this.#edges = Edges.None;
        this.#reportsAllEdges = false;
    }
    this.#isReleased = operation === SourceOperation.Release;
    this.#hasKeptEdges &&= operation === SourceOperation.Input;
  }

  /**
   * Asks the source of an input for all edges while it is observed, and for the
   * guest's own ones otherwise.
   *
   * @returns The source's answer; undefined if there is nothing to ask.
   */
  adjust(source: LineSource): number | undefined {
    // What waits for a guest who comes back must not be taken for an observer.
    const isObserved = this.isObserved && !this.#cannotReportAllEdges &&
      !this.#hasKeptEdges;
    if (this.#isReleased || isObserved === this.#reportsAllEdges) {
      return undefined;
    }
    if (source.direction !== Direction.Input || source.isAbsent === true) {
      return undefined;
    }
    this.#willReportAllEdges = isObserved;
    // What comes in between is not the guest's.
    this.#reportsAllEdges = true;
    return source.submit(
      SourceOperation.SetEdges,
      isObserved ? Edges.Both : this.#edges,
    );
  }

  /** True if all edges are wanted. */
  get isObserved(): boolean {
    return this.observer !== undefined || this.isRecorded;
  }

  /** The source has done what `adjust` asked for. */
  adjusted(result: number): void {
    if (result !== FAILED) this.#reportsAllEdges = this.#willReportAllEdges;
    else if (this.#willReportAllEdges) {
      this.#reportsAllEdges = false;
      this.#cannotReportAllEdges = true;
    }
  }
}
