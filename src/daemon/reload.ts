/**
 * Another configuration for a service that runs: what may change under a
 * running guest is changed, the rest is refused with the reason.
 *
 * @module
 */
import type { ConfigError } from "../config/config_error.ts";
import type { ConfigResult } from "../config/config_file.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
  LineSpecification,
  Specification,
} from "../config/specification.ts";
import type { AggregatorDescription } from "./messages.ts";

/** What a reload did. */
export interface ReloadOutcome {
  added: string[];
  removed: string[];
  /** Aggregators without a guest that were made anew. */
  replaced: string[];
  /** Aggregators that have other rules now. */
  changed: string[];
  /** What was not done, and why; without an aggregator it is the service's. */
  refused: { aggregator: string; reasons: string[] }[];
}

/** What came of a reload: nothing, if the configuration is wrong. */
export type ReloadAnswer =
  | { outcome: ReloadOutcome }
  | { errors: readonly ConfigError[] };

/** What a reload asks of a reactor. */
export interface ReloadTarget {
  describe(): Promise<AggregatorDescription[]>;
  add(
    aggregators: AggregatorSpecification[],
    options?: { isTimed?: boolean },
  ): Promise<unknown>;
  remove(name: string): Promise<unknown>;
  changeRules(aggregators: AggregatorSpecification[]): Promise<unknown>;
  setInterlocks(interlocks: readonly InterlockSpecification[]): Promise<void>;
}

/** What a reloader starts from. */
export interface ReloaderOptions {
  target: ReloadTarget;
  /** What the service has by now. */
  current: Specification;
  /** Reads the configuration, as it is by then. */
  read: () => ConfigResult;
  /** Whether new aggregators measure how long guests' requests take. */
  isTimed: boolean;
  /** Whether a client of the control API has made the one of this name. */
  isClients?: (name: string) => boolean;
}

/** Brings one service from configuration to configuration. */
export class Reloader {
  readonly #target: ReloadTarget;
  readonly #options: { isTimed: boolean };
  readonly #read: () => ConfigResult;
  readonly #isClients: (name: string) => boolean;
  #current: Specification;
  #last: Promise<unknown> = Promise.resolve();

  /** Begins with what the service has. */
  constructor(
    { target, current, read, isTimed, isClients = () => false }:
      ReloaderOptions,
  ) {
    this.#target = target;
    this.#current = current;
    this.#read = read;
    this.#isClients = isClients;
    this.#options = { isTimed };
  }

  /** Reads the configuration and does what can be done of it. */
  reload(): Promise<ReloadAnswer> {
    const answer = this.#last.then(async () => {
      const result = this.#read();
      return "errors" in result
        ? result
        : { outcome: await this.apply(result.specification) };
    });
    // The next one waits for this one, whatever comes of it.
    this.#last = answer.catch(() => {});
    return answer;
  }

  /** Does what can be done of what `next` says. One call at a time. */
  async apply(next: Specification): Promise<ReloadOutcome> {
    const outcome: ReloadOutcome = {
      added: [],
      removed: [],
      replaced: [],
      changed: [],
      refused: [],
    };
    const served = await this.#target.describe();
    const connected = new Set(
      served.filter(({ connected }) => connected).map(({ name }) => name),
    );
    const before = this.#stillServed(served);
    const result = new Map(before);
    const step = async (name: string, action: () => Promise<void>) => {
      try {
        await action();
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        outcome.refused.push({ aggregator: name, reasons: [reason] });
      }
    };
    for (const name of before.keys()) {
      if (byName(next).has(name) || this.#isClients(name)) continue;
      await step(name, async () => {
        await this.#target.remove(name);
        result.delete(name);
        outcome.removed.push(name);
      });
    }
    const plans = next.aggregators.map((aggregator) => ({
      aggregator,
      old: before.get(aggregator.name),
      change: this.#clientsReason(aggregator) ??
        changeOf(before.get(aggregator.name), aggregator),
    }));
    const refused = new Set<string>();
    const guests = guestsOf(plans, connected);
    for (const { aggregator: { name, secondOf = "" }, old, change } of plans) {
      if (typeof change === "string") continue;
      // Copies are by number: they go with the lines that they are made of.
      const isKept = old === undefined || guests.has(name) ||
        refused.has(secondOf);
      if (!isKept) continue;
      refused.add(name);
      outcome.refused.push({ aggregator: name, reasons: change });
    }
    if (!isSame(this.#current.api, next.api)) {
      outcome.refused.push({
        aggregator: "",
        reasons: ["the control API's sockets and files need a restart"],
      });
    }
    await this.#setInterlocks(next, outcome);
    for (const { aggregator, old, change } of plans) {
      const { name } = aggregator;
      if (change === "same") {
        // Perhaps written elsewhere in the file by now.
        result.set(name, aggregator);
      } else if (change === "new") {
        await step(name, async () => {
          await this.#target.add([aggregator], this.#options);
          result.set(name, aggregator);
          outcome.added.push(name);
        });
      } else if (change === "rules") {
        await step(name, async () => {
          await this.#target.changeRules([aggregator]);
          result.set(name, aggregator);
          outcome.changed.push(name);
        });
      } else if (!refused.has(name)) {
        await step(name, async () => {
          await this.#replace(old!, aggregator, result);
          outcome.replaced.push(name);
        });
      }
    }
    this.#current = { ...this.#current, aggregators: [...result.values()] };
    return outcome;
  }

  /**
   * What the configuration made and is there: somebody may have removed one
   * since, and the one of its name may be a client's.
   */
  #stillServed(
    served: readonly { name: string }[],
  ): Map<string, AggregatorSpecification> {
    const there = new Set(served.map(({ name }) => name));
    const before = byName(this.#current);
    for (const name of before.keys()) {
      if (!there.has(name) || this.#isClients(name)) before.delete(name);
    }
    return before;
  }

  /** Why an aggregator cannot be made: its name is a client's. */
  #clientsReason(
    { name, secondOf = name }: AggregatorSpecification,
  ): string[] | undefined {
    if (!this.#isClients(name) && !this.#isClients(secondOf)) return undefined;
    const whose = this.#isClients(name) ? name : secondOf;
    return [
      `a client of the control API has made an aggregator "${whose}": once ` +
      "that one is gone (gpioagg remove), reload again",
    ];
  }

  /** No guest is there to be disturbed: the old one goes, the new one comes. */
  async #replace(
    old: AggregatorSpecification,
    next: AggregatorSpecification,
    result: Map<string, AggregatorSpecification>,
  ): Promise<void> {
    await this.#target.remove(old.name);
    result.delete(old.name);
    try {
      await this.#target.add([next], this.#options);
      result.set(next.name, next);
    } catch (error) {
      await this.#target.add([old], this.#options);
      result.set(old.name, old);
      throw error;
    }
  }

  /** Interlocks of what stays as it was stay as they were. */
  async #setInterlocks(
    next: Specification,
    { refused }: ReloadOutcome,
  ): Promise<void> {
    const isRefused = ({ exclusive }: InterlockSpecification) =>
      exclusive.some(({ aggregator }) =>
        refused.some((entry) => entry.aggregator === aggregator)
      );
    const interlocks = [
      ...this.#current.interlocks.filter(isRefused),
      ...next.interlocks.filter((interlock) => !isRefused(interlock)),
    ];
    for (const { exclusive } of next.interlocks.filter(isRefused)) {
      const names = exclusive.map(({ aggregator, line }) =>
        `${aggregator}.${line}`
      );
      refused.push({
        aggregator: exclusive[0]!.aggregator,
        reasons: [`the interlock of ${names.join(" and ")} stays as it was`],
      });
    }
    await this.#target.setInterlocks(interlocks);
    this.#current = { ...this.#current, interlocks };
  }
}

/** Aggregators whose lines a guest has, at the one exposure or the other. */
function guestsOf(
  plans: readonly { aggregator: AggregatorSpecification }[],
  connected: ReadonlySet<string>,
): Set<string> {
  const guests = new Set(connected);
  for (const { aggregator: { name, secondOf } } of plans) {
    if (secondOf !== undefined && connected.has(name)) guests.add(secondOf);
  }
  return guests;
}

function byName(
  { aggregators }: Specification,
): Map<string, AggregatorSpecification> {
  return new Map(aggregators.map((one) => [one.name, one]));
}

/** What a guest would notice: that cannot change under it. */
const FIXED:
  readonly (readonly [string, (line: LineSpecification) => unknown])[] = [
    ["where it comes from", ({ source }) => source],
    ["its name", ({ name }) => name],
    ["active-low", ({ activeLow }) => activeLow],
    ["bias", ({ bias }) => bias],
    ["drive", ({ drive }) => drive],
    ["debounce", ({ debounceUs }) => debounceUs],
    ["shared", ({ shared }) => shared],
    ["combine", ({ combine }) => combine],
    ["lane", ({ lane }) => lane],
  ];

const EXPOSURES = ["vhostUser", "qemuPins", "kernelChip", "control"] as const;

/** What may change: the rules that are looked at when something happens. */
const RULES: readonly ((line: LineSpecification) => unknown)[] = [
  ({ direction }) => direction,
  ({ initial }) => initial,
  ({ safe }) => safe,
  ({ onDisconnect }) => onDisconnect,
  ({ safeAfterUs }) => safeAfterUs,
  ({ minIntervalUs }) => minIntervalUs,
  ({ optional }) => optional,
];

/**
 * What became of an aggregator: `same`, `new`, `rules`, or the reasons why it
 * cannot become so under a running guest.
 */
function changeOf(
  old: AggregatorSpecification | undefined,
  next: AggregatorSpecification,
): "same" | "new" | "rules" | string[] {
  if (old === undefined) return "new";
  const reasons: string[] = [];
  for (const key of EXPOSURES) {
    if (!isSame(old[key], next[key])) {
      reasons.push("how it is presented cannot change under a running guest");
    }
  }
  if (old.lines.length !== next.lines.length) {
    reasons.push(
      `its guest sees ${old.lines.length} lines, which cannot become ` +
        `${next.lines.length} under it`,
    );
    return reasons;
  }
  let hasOtherRules = false;
  for (const [i, line] of next.lines.entries()) {
    const before = old.lines[i]!;
    const title = `line ${i}${
      before.name === undefined ? "" : ` (${before.name})`
    }`;
    for (const [what, of] of FIXED) {
      if (!isSame(of(before), of(line))) {
        reasons.push(`${title}: ${what} cannot change under a running guest`);
      }
    }
    // A rule that forbids what the line is would come too late.
    if (before.direction !== line.direction && line.direction !== "any") {
      reasons.push(
        `${title}: direction=${line.direction} may not hold of it now`,
      );
    }
    hasOtherRules ||= RULES.some((of) => !isSame(of(before), of(line)));
  }
  if (reasons.length > 0) return [...new Set(reasons)];
  return hasOtherRules ? "rules" : "same";
}

/** Whether two plain values are the same. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
