/**
 * Outputs that exclude each other: never are two of them active, whoever drives
 * them, also across aggregators.
 *
 * @module
 */
import type {
  InterlockSpecification,
  LineReference,
} from "../config/specification.ts";
import {
  Direction,
  FAILED,
  PENDING,
  UNSPECIFIED,
} from "../virtio/line_port.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "./line_source.ts";

/** What an interlock needs of an aggregator's line. */
export interface InterlockableLine {
  readonly name: string;
  /** Makes the line one that others can exclude; messages call it `title`. */
  interlocked(title: string): InterlockedSource;
  /** Reports that something was refused. */
  refuse(reason: string): void;
  /** Takes an output back that should not be active. */
  makeInactive(): void;
}

/** Outputs of which at most one is active. */
type Group = Set<InterlockedSource>;

/**
 * Stands before the source of an output that others exclude. Guests and rules
 * alike drive the line through it.
 *
 * A line counts as active from when it is asked to be until it has been made
 * inactive: also while a slow chip works on it, and while its chip is away.
 *
 * **Ownership**: owns its source.
 */
export class InterlockedSource implements LineSource, SourceListener {
  /** Why others are refused while this one is active. */
  readonly exclusion: string;
  /** The groups that the line is in. */
  groups: readonly Group[] = [];
  /** Whether the line is active, or may be. */
  isActive: boolean;
  readonly wrapped: LineSource;
  readonly #refused: (reason: string) => void;
  #listener: SourceListener | undefined;
  /** What `isActive` becomes when the operation under way succeeds, or fails. */
  #onSuccess: boolean | undefined;
  #onFailure: boolean | undefined;

  /**
   * Stands before `source`; messages call it `title` (`plc0.FORWARD`), and
   * `refused` hears why an operation was.
   */
  constructor(
    title: string,
    source: LineSource,
    refused: (reason: string) => void,
  ) {
    this.exclusion = `${title} is active, which excludes it`;
    this.wrapped = source;
    this.#refused = refused;
    this.isActive = source.direction === Direction.Output &&
      source.peek() === 1;
    source.attach(this);
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

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.SetValue:
      case SourceOperation.Output:
        return this.#drive(operation, argument);
      case SourceOperation.Input:
      case SourceOperation.Release:
        return this.#pass(operation, argument, false, this.isActive);
      default:
        return this.wrapped.submit(operation, argument);
    }
  }

  peek(): number {
    return this.wrapped.peek();
  }

  remember(operation: SourceOperation, argument: number): void {
    const drives = operation === SourceOperation.SetValue ||
      operation === SourceOperation.Output;
    if (drives && argument !== 0) {
      if (this.#isExcluded()) return;
      this.isActive = true;
    } else this.isActive = false;
    this.wrapped.remember?.(operation, argument);
  }

  completed(result: number): void {
    this.#settle(result);
    this.#listener?.completed(result);
  }

  edge(value: number): void {
    this.#listener?.edge(value);
  }

  presence(isPresent: boolean): void {
    this.#listener?.presence(isPresent);
  }

  restored(): void {
    this.#listener?.restored();
  }

  /** The first line that is active and excludes this one. */
  blocker(): InterlockedSource | undefined {
    for (const group of this.groups) {
      for (const other of group) {
        if (other !== this && other.isActive) return other;
      }
    }
    return undefined;
  }

  [Symbol.dispose](): void {
    for (const group of this.groups) group.delete(this);
    this.#listener = undefined;
    this.wrapped[Symbol.dispose]();
  }

  #drive(operation: SourceOperation, argument: number): number {
    const value = argument === UNSPECIFIED ? this.wrapped.peek() : argument;
    // A value that nobody knows may be the active one.
    if (value === 0) {
      return this.#pass(operation, argument, false, this.isActive);
    }
    if (this.#isExcluded()) return FAILED;
    const before = this.isActive;
    this.isActive = true;
    return this.#pass(operation, argument, true, before);
  }

  #isExcluded(): boolean {
    const blocker = this.blocker();
    if (blocker === undefined) return false;
    this.#refused(blocker.exclusion);
    return true;
  }

  #pass(
    operation: SourceOperation,
    argument: number,
    onSuccess: boolean,
    onFailure: boolean,
  ): number {
    this.#onSuccess = onSuccess;
    this.#onFailure = onFailure;
    const result = this.wrapped.submit(operation, argument);
    if (result !== PENDING) this.#settle(result);
    return result;
  }

  #settle(result: number): void {
    const isActive = result === FAILED ? this.#onFailure : this.#onSuccess;
    this.#onSuccess = undefined;
    this.#onFailure = undefined;
    if (isActive !== undefined) this.isActive = isActive;
  }
}

/** All interlocks of one process. */
export class Interlocks {
  #specifications: readonly InterlockSpecification[] = [];
  #groups: readonly Group[] = [];
  readonly #lines = new Map<string, ReadonlyMap<string, InterlockableLine>>();
  /** By aggregator, those of its lines that are in a group. */
  readonly #members = new Map<string, Set<InterlockedSource>>();

  /** Has these interlocks from now on, and no others. */
  set(specifications: readonly InterlockSpecification[]): void {
    for (const group of this.#groups) {
      for (const member of group) member.groups = [];
    }
    this.#members.clear();
    this.#specifications = specifications;
    this.#groups = specifications.map(() => new Set());
    for (const aggregator of this.#lines.keys()) this.#join(aggregator);
  }

  /** The lines of an aggregator, before they are started. */
  add(aggregator: string, lines: readonly InterlockableLine[]): void {
    this.#lines.set(
      aggregator,
      new Map(lines.map((line) => [line.name, line])),
    );
    this.#join(aggregator);
  }

  /** The lines of an aggregator have gone. */
  remove(aggregator: string): void {
    this.#lines.delete(aggregator);
    for (const member of this.#members.get(aggregator) ?? []) {
      for (const group of member.groups) group.delete(member);
    }
    this.#members.delete(aggregator);
  }

  #join(aggregator: string): void {
    for (const [i, { exclusive }] of this.#specifications.entries()) {
      for (const reference of exclusive) {
        if (reference.aggregator === aggregator) {
          this.#joinGroup(this.#groups[i]!, reference);
        }
      }
    }
  }

  #joinGroup(group: Group, { aggregator, line: name }: LineReference): void {
    const line = this.#lines.get(aggregator)?.get(name);
    if (line === undefined) return;
    const member = line.interlocked(`${aggregator}.${name}`);
    if (group.has(member)) return;
    member.groups = [...member.groups, group];
    group.add(member);
    this.#membersOf(aggregator).add(member);
    const blocker = member.isActive ? member.blocker() : undefined;
    if (blocker === undefined) return;
    // Both were found active. The one that came later has to give way.
    line.refuse(blocker.exclusion);
    line.makeInactive();
  }

  #membersOf(aggregator: string): Set<InterlockedSource> {
    let members = this.#members.get(aggregator);
    if (members === undefined) {
      members = new Set();
      this.#members.set(aggregator, members);
    }
    return members;
  }
}
