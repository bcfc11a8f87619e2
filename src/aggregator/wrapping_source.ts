/**
 * Sources that stand before another source.
 *
 * @module
 */
import type { PendingRuleState } from "../client/protocol.ts";
import type { Direction } from "../line/port.ts";
import type {
  LineSource,
  SourceListener,
  SourceOperation,
} from "./line_source.ts";

/**
 * Passes on what its source is and reports. A subclass attaches itself to the
 * source once it is made, and takes the operations.
 *
 * **Ownership**: owns its source.
 */
export abstract class WrappingSource implements LineSource, SourceListener {
  readonly wrapped: LineSource;
  /** Receiver of the reports; undefined before there is one, and at the end. */
  protected listener: SourceListener | undefined;

  /** Stands before `source`. */
  constructor(source: LineSource) {
    this.wrapped = source;
  }

  get description(): string {
    return this.wrapped.description;
  }

  get name(): string {
    return this.wrapped.name;
  }

  get direction(): Direction {
    return this.wrapped.direction;
  }

  get isAbsent(): boolean {
    return this.wrapped.isAbsent === true;
  }

  get errno(): number {
    return this.wrapped.errno ?? 0;
  }

  get isUsedAsInterrupt(): boolean {
    return this.wrapped.isUsedAsInterrupt === true;
  }

  get pendingRule(): PendingRuleState | undefined {
    return this.wrapped.pendingRule;
  }

  attach(listener: SourceListener): void {
    this.listener = listener;
  }

  abstract submit(operation: SourceOperation, argument: number): number;

  peek(): number {
    return this.wrapped.peek();
  }

  remember(operation: SourceOperation, argument: number): void {
    this.wrapped.remember?.(operation, argument);
  }

  completed(result: number): void {
    this.listener?.completed(result);
  }

  edge(value: number): void {
    this.listener?.edge(value);
  }

  presence(isPresent: boolean): void {
    this.listener?.presence(isPresent);
  }

  restored(): void {
    this.listener?.restored();
  }

  applied(operation: SourceOperation, argument: number): void {
    this.listener?.applied?.(operation, argument);
  }

  moved(value: number): void {
    this.listener?.moved?.(value);
  }

  rulePending(rule: string, reason: string): void {
    this.listener?.rulePending?.(rule, reason);
  }

  ruleHolds(rule: string, effort: string): void {
    this.listener?.ruleHolds?.(rule, effort);
  }

  [Symbol.dispose](): void {
    this.listener = undefined;
    this.wrapped[Symbol.dispose]();
  }
}
