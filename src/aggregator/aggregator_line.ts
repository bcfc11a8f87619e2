/**
 * One line of an aggregator: a source with the rules that stand between it and
 * whoever drives it.
 *
 * @module
 */
import type { LineSpecification } from "../config/specification.ts";
import {
  Direction,
  FAILED,
  type LineListener,
  LineOperation,
  type LinePort,
  PENDING,
  UNSPECIFIED,
} from "../virtio/line_port.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";

/** Somebody on the host who wants to know when a line changes. */
export interface LineObserver {
  /** The line's direction or value may have changed. Must be cheap. */
  lineChanged(lineNumber: number): void;
}

/**
 * A {@linkcode LinePort} that enforces a line's rules on its way to the
 * {@linkcode LineSource}.
 *
 * **Ownership**: owns the source and disposes it.
 */
export class AggregatorLine implements LinePort, SourceListener, Disposable {
  readonly name: string;
  readonly specification: LineSpecification;
  readonly source: LineSource;
  /** Told of changes, if anybody is: nobody costs one look at this field. */
  observer: LineObserver | undefined;
  #listener: LineListener | undefined;
  #lineNumber = 0;
  /** An operation of the source is under way, the guest's or a rule's. */
  #pending = false;
  /** The one under way is a rule's: its result is nobody's. */
  #isRule = false;
  /** The guest went while an operation was under way: its rule comes next. */
  #guestGoneLater = false;
  /** What the guest asked while a rule's operation was under way; -1: nothing. */
  #queued: LineOperation | -1 = -1;
  #queuedArgument = 0;

  /** Puts the rules of `specification` before `source`. */
  constructor(
    name: string,
    specification: LineSpecification,
    source: LineSource,
  ) {
    this.name = name;
    this.specification = specification;
    this.source = source;
    source.attach(this);
  }

  get direction(): Direction {
    return this.source.direction;
  }

  attach(listener: LineListener, lineNumber: number): void {
    this.#listener = listener;
    this.#lineNumber = lineNumber;
  }

  submit(operation: LineOperation, argument: number): number {
    const rule = this.specification.direction;
    if (operation === LineOperation.Output) {
      if (rule === "input") return FAILED;
    } else if (operation === LineOperation.Input) {
      if (rule === "output") return FAILED;
    }
    if (this.#pending) {
      this.#queued = operation;
      this.#queuedArgument = argument;
      return PENDING;
    }
    const result = this.source.submit(operation, argument);
    this.#pending = result === PENDING;
    if (
      this.observer !== undefined && result === 0 &&
      operation !== LineOperation.GetValue
    ) this.observer.lineChanged(this.#lineNumber);
    return result;
  }

  completed(result: number): void {
    const wasRule = this.#isRule;
    this.#pending = false;
    this.#isRule = false;
    this.observer?.lineChanged(this.#lineNumber);
    // The asker hears of it even if its guest has gone: it asked.
    if (!wasRule) this.#listener?.completed(this.#lineNumber, result);
    if (this.#guestGoneLater && !this.#pending) {
      this.#guestGoneLater = false;
      this.guestGone();
    }
    if (!this.#pending && this.#queued !== -1) this.#submitQueued();
  }

  edge(value: number): void {
    this.observer?.lineChanged(this.#lineNumber);
    this.#listener?.edge(this.#lineNumber, value);
  }

  /** Puts the line where its `on-disconnect` rule wants it without a guest. */
  guestGone(): void {
    this.#queued = -1;
    if (this.#pending) {
      this.#guestGoneLater = true;
      return;
    }
    const { onDisconnect, safe } = this.specification;
    switch (onDisconnect) {
      case "keep":
        break;
      case "safe":
        // A line that was left as an input is not driven against its wire.
        if (this.direction === Direction.Output) {
          this.#apply(SourceOperation.SetValue, safe ?? 0);
        }
        break;
      case "input":
        this.#apply(SourceOperation.Input, 0);
        break;
      case "release":
        this.#apply(SourceOperation.Release, 0);
        break;
    }
  }

  /** Applies the rule for a missing guest, then lets the host line go. */
  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.guestGone();
    this.source[Symbol.dispose]();
  }

  #apply(operation: SourceOperation, argument: number): void {
    this.#pending = this.source.submit(operation, argument) === PENDING;
    this.#isRule = this.#pending;
    this.observer?.lineChanged(this.#lineNumber);
  }

  #submitQueued(): void {
    const operation = this.#queued as LineOperation;
    this.#queued = -1;
    const result = this.submit(operation, this.#queuedArgument);
    if (result !== PENDING) this.#listener?.completed(this.#lineNumber, result);
  }
}

/**
 * Puts a line where its specification starts it, before any guest.
 *
 * @throws {Error} If the line cannot be made so.
 */
export function startLine({ specification, source }: AggregatorLine): void {
  const first = startOperation(specification);
  if (first === undefined) return;
  if (source.submit(first.operation, first.argument) === FAILED) {
    const direction = first.operation === LineOperation.Input
      ? "input"
      : "output";
    throw new Error(
      `--line ${specification.origin}: ${source.description} ` +
        `cannot be made an ${direction}`,
    );
  }
}

/** The operation that starts a line as its specification wants it, if any. */
export function startOperation(
  specification: LineSpecification,
): { operation: LineOperation; argument: number } | undefined {
  const { direction, initial, safe } = specification;
  if (direction === "input") {
    return { operation: LineOperation.Input, argument: 0 };
  }
  if (initial === "as-is") {
    return direction === "output"
      ? { operation: LineOperation.Output, argument: UNSPECIFIED }
      : undefined;
  }
  if (direction === "output" || initial !== undefined) {
    return {
      operation: LineOperation.Output,
      argument: initial ?? safe ?? UNSPECIFIED,
    };
  }
  return undefined;
}
