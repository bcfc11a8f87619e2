/**
 * Outputs that exclude each other: never are two of them active, whatever
 * drives them, also across aggregators.
 *
 * A line whose value is not known counts as active: one that cannot be read,
 * one whose chip failed while it was made active, and one that a rule makes
 * inactive for as long as that does not succeed.
 *
 * @module
 */
import { linesByReference } from "../../config/references/known_names.ts";
import type {
  InterlockSpecification,
  LineReference,
  LineSpecification,
} from "../../config/specification.ts";
import { Direction, FAILED, PENDING, UNSPECIFIED } from "../../line/port.ts";
import { type LineSource, SourceOperation } from "../line_source.ts";
import { WrappingSource } from "../wrapping_source.ts";
import { isDrive } from "./rule_steps.ts";

/** Interface of an aggregator's line for an interlock. */
interface InterlockableLine {
  readonly name: string;
  readonly specification: Pick<LineSpecification, "name" | "source">;
  /** Makes the line one that others can exclude; messages call it `title`. */
  interlocked(title: string): InterlockedSource;
  /** Reports that something was refused. */
  refuse(reason: string): void;
  /** Takes an output back that should not be active; retried until it is so. */
  makeInactive(): void;
  /** Reads the line, whose value is not known; retried until it is. */
  learn(): void;
}

/** Outputs of which at most one is active. */
type Group = Set<InterlockedSource>;

/**
 * Stands before the source of an output that others exclude. Guests and rules
 * alike drive the line through it.
 *
 * A line counts as active from when it is asked to be until it has been made
 * inactive: also while a slow chip works on it, and while its chip is away.
 */
export class InterlockedSource extends WrappingSource {
  /** Name in messages: `plc0.FORWARD`. */
  readonly title: string;
  /** Why others are refused while this one is active. */
  readonly exclusion: string;
  /** The groups that the line is in. */
  groups: readonly Group[] = [];
  /** True while the line is active, or may be. */
  isActive: boolean;
  /** True while the line counts as active since its value is not known. */
  isUnknown = false;
  readonly #refused: (reason: string) => void;
  /** The operation under way, if it may change what is known of the line. */
  #underWay: SourceOperation | undefined;
  /** The value that it leads to; negative: it is not known. */
  #value = 0;
  /** Set if the line was active, or might be, before that operation. */
  #wasActive = false;

  /**
   * Stands before `source`; messages call it `title` (`plc0.FORWARD`), and
   * `refused` gets the reason of a refusal.
   */
  constructor(
    title: string,
    source: LineSource,
    refused: (reason: string) => void,
  ) {
    super(source);
    this.title = title;
    this.exclusion = `${title} is active, which excludes it`;
    this.#refused = refused;
    this.isActive = false;
    if (source.isAbsent !== true) this.#look();
    source.attach(this);
  }

  override submit(operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.SetValue:
      case SourceOperation.Output:
        return this.#drive(operation, argument);
      case SourceOperation.Input:
      case SourceOperation.Release:
        return this.#pass(operation, argument);
      case SourceOperation.GetValue:
        return this.isUnknown
          ? this.#pass(operation, argument)
          : this.wrapped.submit(operation, argument);
      default:
        return this.wrapped.submit(operation, argument);
    }
  }

  /**
   * An active line that is to be inactive counts as active until its chip is
   * back: it is not known what its wire does meanwhile.
   */
  override remember(operation: SourceOperation, argument: number): void {
    if (isDrive(operation) && argument !== 0) {
      if (this.#isExcluded()) return;
      this.isActive = true;
      this.isUnknown = false;
    }
    this.wrapped.remember?.(operation, argument);
  }

  override completed(result: number): void {
    this.#settle(result);
    super.completed(result);
  }

  override presence(isPresent: boolean): void {
    if (isPresent) this.#look();
    super.presence(isPresent);
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

  override [Symbol.dispose](): void {
    for (const group of this.groups) group.delete(this);
    super[Symbol.dispose]();
  }

  #drive(operation: SourceOperation, argument: number): number {
    const value = argument === UNSPECIFIED ? this.wrapped.peek() : argument;
    // A value that is not known may be the active one.
    if (value === 0) return this.#pass(operation, argument, 0);
    if (this.#isExcluded()) return FAILED;
    const wasActive = this.isActive;
    this.isActive = true;
    return this.#pass(operation, argument, value, wasActive);
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
    value = 0,
    wasActive = this.isActive,
  ): number {
    this.#underWay = operation;
    this.#value = value;
    this.#wasActive = wasActive;
    const result = this.wrapped.submit(operation, argument);
    if (result !== PENDING) this.#settle(result);
    return result;
  }

  #settle(result: number): void {
    const operation = this.#underWay;
    this.#underWay = undefined;
    if (operation === undefined) return;
    const value = this.#value;
    if (result === FAILED) {
      if (value === 0 || this.#wasActive) return;
      // The chip may have done it all the same, unless it is not there.
      if (this.isAbsent) this.isActive = false;
      else this.isUnknown = true;
      return;
    }
    if (operation === SourceOperation.GetValue) this.#found(result);
    else if (operation === SourceOperation.Release) {
      // Its chip may drive it on as it was.
      if (this.direction !== Direction.Output) this.#found(0);
    } else if (value < 0) this.#look();
    else this.#found(value);
  }

  #look(): void {
    this.#found(this.wrapped.peek());
  }

  /** Takes note of the line's value; negative: it is not known. */
  #found(value: number): void {
    const isOutput = this.direction === Direction.Output;
    this.isActive = isOutput && value !== 0;
    this.isUnknown = isOutput && value < 0;
  }
}

/** A line is there again, and may be active beside one that excludes it. */
export function checkExclusion(
  line: Pick<InterlockableLine, "refuse" | "makeInactive" | "learn"> & {
    readonly interlock: InterlockedSource | undefined;
  },
): void {
  const { interlock } = line;
  if (interlock === undefined || !interlock.isActive) return;
  const blocker = interlock.blocker();
  if (blocker !== undefined) {
    line.refuse(blocker.exclusion);
    line.makeInactive();
  } else if (interlock.isUnknown) line.learn();
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
    this.#lines.set(aggregator, linesByReference(lines));
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
    this.#ensureMembers(aggregator).add(member);
    if (!member.isActive) return;
    const blocker = member.blocker();
    if (blocker === undefined) {
      if (member.isUnknown) line.learn();
      return;
    }
    // Both were found active. The one that came later has to give way.
    line.refuse(blocker.exclusion);
    line.makeInactive();
  }

  #ensureMembers(aggregator: string): Set<InterlockedSource> {
    let members = this.#members.get(aggregator);
    if (members === undefined) {
      members = new Set();
      this.#members.set(aggregator, members);
    }
    return members;
  }
}
