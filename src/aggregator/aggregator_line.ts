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
import type { LineSource, SourceListener } from "./line_source.ts";

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
  #listener: LineListener | undefined;
  #lineNumber = 0;
  #pending = false;
  /** The guest went while an operation was pending: the rule waits for it. */
  #guestGoneLater = false;

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
    const result = this.source.submit(operation, argument);
    this.#pending = result === PENDING;
    return result;
  }

  completed(result: number): void {
    this.#pending = false;
    if (this.#guestGoneLater) {
      this.#guestGoneLater = false;
      this.guestGone();
      return;
    }
    this.#listener?.completed(this.#lineNumber, result);
  }

  edge(value: number): void {
    this.#listener?.edge(this.#lineNumber, value);
  }

  /** Puts the line where its `on-disconnect` rule wants it without a guest. */
  guestGone(): void {
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
          this.#apply(LineOperation.SetValue, safe ?? 0);
        }
        break;
      case "input":
        this.#apply(LineOperation.Input, 0);
        break;
      case "release":
        this.source.release();
        break;
    }
  }

  /** Applies the rule for a missing guest, then lets the host line go. */
  [Symbol.dispose](): void {
    this.#listener = undefined;
    this.guestGone();
    this.source[Symbol.dispose]();
  }

  #apply(operation: LineOperation, argument: number): void {
    this.#pending = this.source.submit(operation, argument) === PENDING;
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
  if (direction === "output" || initial !== undefined) {
    return {
      operation: LineOperation.Output,
      argument: initial ?? safe ?? UNSPECIFIED,
    };
  }
  return undefined;
}
