/**
 * Forces of one aggregator's lines: an operator holds lines at values, for a
 * limited time. What protects (safe states, interlocks, `min-interval`) is
 * never overridden: such a force is refused, or ends.
 *
 * @module
 */
import type { Value } from "../line/value.ts";
import { Direction } from "../line/port.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import type { AggregatorLine } from "./aggregator_line.ts";
import { LineForce, type RequestedState } from "./line_force.ts";
import { findSource, innermost, SourceOperation } from "./line_source.ts";
import type { ReportedLine } from "./line_reporter.ts";
import { identifyLines } from "./line_identities.ts";
import { LineMemory, readStates } from "./line_memory.ts";
import { type FdStore, forcedFdName } from "./restart/fd_store.ts";
import { CombinedUser } from "./sharing/combined_output.ts";

/** Request of an operator. */
export interface ForceRequest {
  /** Lines by name or number, with their values. */
  readonly lines: readonly (readonly [line: string, value: Value])[];
  /** **Units**: milliseconds. */
  readonly forMs: number;
  readonly reason: string;
  /** User that asks for it. */
  readonly by: number;
  /** Unique among forces. */
  readonly id: string;
}

/** Receiver of reports of forces. */
export interface ForceReporter {
  /** A line is forced from now on. */
  forced(line: ReportedLine, text: string): void;
  /** A line is not forced any more; `id` is that of the request. */
  unforced(line: ReportedLine, reason: string, id: string): void;
}

/** Surroundings of forces. */
interface ForcesContext {
  readonly loop: EventLoop;
  readonly reporter: ForceReporter;
  readonly store: FdStore | undefined;
  /** True while a guest is served, or awaited after a restart. */
  readonly hasGuest: () => boolean;
  /** True if the guest is silent, and the line has its safe value therefore. */
  readonly isSilent: (line: AggregatorLine) => boolean;
}

/** A force that lasts. */
interface Active {
  readonly id: string;
  /** Ends all lines of the request. */
  readonly timer: Timer;
}

/** The forces of one aggregator. */
export class Forces implements Disposable {
  readonly #name: string;
  readonly #lines: readonly AggregatorLine[];
  readonly #context: ForcesContext;
  readonly #active = new Map<AggregatorLine, Active>();
  #memory: LineMemory | undefined;

  /** Makes none, and ends those of an earlier process. */
  constructor(
    name: string,
    lines: readonly AggregatorLine[],
    context: ForcesContext,
  ) {
    this.#name = name;
    this.#lines = lines;
    this.#context = context;
    const { store, reporter } = context;
    if (store === undefined) return;
    const left = takeForced(store, name, identifyLines(lines));
    for (const [lineNumber, requested] of left) {
      const line = lines[lineNumber];
      if (line === undefined) continue;
      // One that was requested anew begins as its rules say.
      if (innermost(line.source).isKept === true) {
        line.forcing.goBack(requested);
      }
      reporter.unforced(line, "the service was restarted", "");
    }
  }

  /**
   * Begins a force: of all lines, or of none.
   *
   * @param find Returns the line of a name or number, or throws.
   * @throws {RangeError} If a line cannot be forced, with the reason.
   */
  begin(
    request: ForceRequest,
    find: (name: string) => AggregatorLine,
  ): void {
    const wanted = new Map<AggregatorLine, Value>();
    for (const [name, value] of request.lines) {
      const line = find(name);
      if (wanted.has(line)) {
        throw new RangeError(
          `line ${line.lineNumber} of ${this.#name} is named twice`,
        );
      }
      const reason = this.#refusal(line, value);
      if (reason !== undefined) throw this.#refused(line, reason);
      wanted.set(line, value);
    }
    const { forMs, id } = request;
    const begun: AggregatorLine[] = [];
    const timer = this.#context.loop.after(forMs, () => this.#elapsed(id));
    // What becomes inactive may let another one be active.
    const inOrder = [...wanted].sort(([, a], [, b]) => a - b);
    for (const [line, value] of inOrder) {
      const reason = findExclusion(line, value) ?? combinedRefusal(line, value);
      if (reason !== undefined) {
        for (const other of begun) {
          other.forcing.end("it was not complete", true);
        }
        timer[Symbol.dispose]();
        throw this.#refused(line, reason);
      }
      this.#begin(line, value, request, timer);
      begun.push(line);
    }
  }

  /**
   * Ends forces.
   *
   * @param lines Those of these lines; absent: of all.
   * @param id Those of this request only; absent: of any.
   */
  end(
    reason: string,
    lines: readonly AggregatorLine[] = [...this.#active.keys()],
    id?: string,
  ): void {
    for (const line of lines) {
      const active = this.#active.get(line);
      if (active === undefined || id !== undefined && active.id !== id) {
        continue;
      }
      line.forcing.end(reason, true);
    }
  }

  [Symbol.dispose](): void {
    this.end("its aggregator ends");
    this.#memory?.[Symbol.dispose]();
    this.#memory = undefined;
  }

  #begin(
    line: AggregatorLine,
    value: Value,
    { forMs, reason, by, id }: ForceRequest,
    timer: Timer,
  ): void {
    const { reporter } = this.#context;
    const before = line.force;
    const isOutput = line.direction === Direction.Output;
    const requested: RequestedState | undefined = !isOutput
      ? undefined
      : before === undefined
      ? { operation: SourceOperation.Output, argument: requestedValue(line) }
      : { ...before.requested };
    before?.ended("another force");
    const { lineNumber } = line;
    const until = Date.now() + forMs;
    const memory = isOutput ? this.#openMemory() : undefined;
    const force = new LineForce(value, requested, { until, reason, by }, {
      kept: (state) => {
        memory?.set(lineNumber, state);
        line.requested.noteState(state);
      },
      ended: (why) => this.#ended(line, why),
    });
    this.#active.set(line, { id, timer });
    reporter.forced(
      line,
      `${value} until ${new Date(until).toISOString()} by uid ${by}: ${reason}`,
    );
    line.forcing.begin(force);
  }

  /** The time of a request is over. */
  #elapsed(id: string): void {
    const lines = [...this.#active].flatMap(([line, active]) =>
      active.id === id ? [line] : []
    );
    let restMs = 0;
    const later: AggregatorLine[] = [];
    for (const line of inEndOrder(lines)) {
      // The way back is a change of the output, too.
      if (line.restMs > 0) {
        restMs = Math.max(restMs, line.restMs);
        later.push(line);
      } else line.forcing.end("its time is over", true);
    }
    if (later.length === 0) return;
    const timer = this.#context.loop.after(
      Math.ceil(restMs),
      () => this.#elapsed(id),
    );
    for (const line of later) this.#active.set(line, { id, timer });
  }

  #ended(line: AggregatorLine, reason: string): void {
    const active = this.#active.get(line);
    if (active === undefined) return;
    this.#active.delete(line);
    const { id, timer } = active;
    const isLast = !this.#active.values().some((other) => other.id === id);
    if (isLast) timer[Symbol.dispose]();
    this.#memory?.clear(line.lineNumber);
    this.#context.reporter.unforced(line, reason, id);
  }

  #openMemory(): LineMemory | undefined {
    const { store } = this.#context;
    if (store === undefined) return undefined;
    return this.#memory ??= new LineMemory(
      store,
      forcedFdName(this.#name),
      identifyLines(this.#lines),
    );
  }

  #refused(line: AggregatorLine, reason: string): RangeError {
    const title = line.name === "" ? String(line.lineNumber) : line.name;
    return new RangeError(`cannot force ${this.#name}.${title}: ${reason}`);
  }

  /** Returns why a line cannot be forced; undefined if it can. */
  #refusal(line: AggregatorLine, value: Value): string | undefined {
    if (line.isWithdrawn) return "its aggregator ends";
    if (line.source.isAbsent === true) return "its chip is away";
    const { pendingRule, specification } = line;
    if (pendingRule !== undefined && line.force === undefined) {
      return `its rule (${pendingRule.rule}) does not hold yet: ` +
        pendingRule.reason;
    }
    if (line.direction !== Direction.Output) return undefined;
    const { onDisconnect, safe } = specification;
    const { hasGuest, isSilent } = this.#context;
    const isSafe = value === safe;
    if (onDisconnect !== "keep" && !hasGuest() && !isSafe) {
      return "it has no guest, and its safe state is not overridden";
    }
    if (isSilent(line) && !isSafe) {
      return "its guest is silent, and its safe value is not overridden";
    }
    const present = line.source.peek();
    if (present < 0) return "its value is not known";
    if (present !== value && line.restMs > 0) {
      return `it changed a moment ago: min-interval has ${
        Math.ceil(line.restMs)
      } ms left`;
    }
    return combinedRefusal(line, value);
  }
}

/** Returns what the guest of an output has asked for. */
function requestedValue({ source }: AggregatorLine): number {
  const user = findSource(source, CombinedUser);
  // The output may have another value, since other guests want it so.
  return user === undefined ? source.peek() : user.vote ?? 0;
}

/** Returns what other users of a combined output have against a value. */
function combinedRefusal(
  { source }: AggregatorLine,
  value: Value,
): string | undefined {
  return findSource(source, CombinedUser)?.forceRefusal(value);
}

/** Those that become inactive come first: others may be active then. */
function inEndOrder(lines: readonly AggregatorLine[]): AggregatorLine[] {
  const requestedValue = ({ force }: AggregatorLine) =>
    force?.requested.argument ?? 0;
  return lines.toSorted((a, b) => requestedValue(a) - requestedValue(b));
}

/** Returns what excludes a value at the moment; undefined if nothing does. */
function findExclusion(
  { direction, interlock }: AggregatorLine,
  value: Value,
): string | undefined {
  return value === 1 && direction === Direction.Output
    ? interlock?.blocker()?.exclusion
    : undefined;
}

/** Takes what an earlier process left of forces, by lineNumber. */
function takeForced(
  store: FdStore,
  aggregator: string,
  identities: readonly string[],
): Map<number, RequestedState> {
  const name = forcedFdName(aggregator);
  const states = new Map<number, RequestedState>();
  for (const fd of store.take(name)) {
    using file = fd;
    store.drop(name);
    const left = readStates(file, store, identities, (before) =>
      store.report(
        `line ${before} of ${aggregator} was forced, and is another line now`,
      ));
    for (const [lineNumber, state] of left) states.set(lineNumber, state);
  }
  return states;
}
