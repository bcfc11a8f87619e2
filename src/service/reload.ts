/**
 * Applies another configuration to a running service: changes what may change
 * under a running guest, and refuses the rest with the reason.
 *
 * @module
 */
import { printableError } from "../text/printable.ts";
import { ConfigError } from "../config/document/config_error.ts";
import type { ConfigResult } from "../config/file/config_file.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
  LineSpecification,
  Specification,
} from "../config/specification.ts";
import type { ReloadState } from "../client/protocol.ts";
import type { AggregatorDescription } from "./messages/messages.ts";

/** Outcome of a reload; nothing is changed if the configuration is invalid. */
export type ReloadAnswer =
  | { outcome: ReloadState }
  | { errors: readonly ConfigError[] };

/** The parts of a reactor that a reload uses. */
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

/** Dependencies and start state of a reloader. */
interface ReloaderOptions {
  target: ReloadTarget;
  /** The current specification of the service. */
  current: Specification;
  /** Reads the current configuration. */
  read: () => ConfigResult;
  /** True if new aggregators measure the duration of guests' requests. */
  isTimed: boolean;
  /** True if a client of the control API has made the one of this name. */
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

  /** Starts with the service's current specification. */
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

  /** Reads the configuration and applies what can be applied. */
  reload(): Promise<ReloadAnswer> {
    const answer = this.#last.then(() => this.#reload());
    // Reloads run one after another.
    this.#last = answer;
    return answer;
  }

  /** Never rejects: a reload that fails is a refused one. */
  async #reload(): Promise<ReloadAnswer> {
    try {
      const result = this.#read();
      return "errors" in result
        ? result
        : { outcome: await this.apply(result.specification) };
    } catch (error) {
      return {
        errors: [
          error instanceof ConfigError
            ? error
            : new ConfigError(`cannot reload: ${printableError(error)}`, {
              cause: error,
            }),
        ],
      };
    }
  }

  /** Applies what can be applied of `next`. Not reentrant. */
  async apply(next: Specification): Promise<ReloadState> {
    const outcome: ReloadState = {
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
        const reason = printableError(error);
        outcome.refused.push({ aggregator: name, reasons: [reason] });
      }
    };
    const wanted = byName(next);
    for (const name of before.keys()) {
      if (wanted.has(name) || this.#isClients(name)) continue;
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
        compareAggregators(before.get(aggregator.name), aggregator),
    }));
    const refused = new Set<string>();
    const guests = findGuests(plans, connected);
    for (const { aggregator: { name, secondOf = "" }, old, change } of plans) {
      if (typeof change === "string") continue;
      // Copies refer to lines by number: they are made anew with those lines.
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
    if (!isSame(this.#current.record, next.record)) {
      outcome.refused.push({
        aggregator: "",
        reasons: ["the size and extent of the record need a restart"],
      });
    }
    await step("", () => this.#setInterlocks(next, outcome));
    for (const { aggregator, old, change } of plans) {
      const { name } = aggregator;
      if (change === "same") {
        // Its position in the file may have changed.
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
   * Aggregators that the configuration made and that still exist: a client may
   * have removed one since, and one of its name may be a client's.
   */
  #stillServed(
    served: readonly { name: string; ending?: true }[],
  ): Map<string, AggregatorSpecification> {
    const there = new Set(
      served.filter(({ ending }) => ending !== true).map(({ name }) => name),
    );
    const before = byName(this.#current);
    for (const name of before.keys()) {
      if (!there.has(name) || this.#isClients(name)) before.delete(name);
    }
    return before;
  }

  /**
   * Returns the reason why an aggregator cannot be made: its name is a
   * client's.
   */
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

  /** No guest is disturbed: the old one is removed, the new one made. */
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

  /** Interlocks of unchanged aggregators stay unchanged. */
  async #setInterlocks(
    next: Specification,
    { refused }: ReloadState,
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

/** Aggregators whose lines a guest uses, by either exposure. */
function findGuests(
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

/** Properties that a guest would notice: they cannot change under it. */
const FIXED:
  readonly (readonly [string, (line: LineSpecification) => unknown])[] = [
    ["its source", ({ source }) => source],
    ["its name", ({ name }) => name],
    ["active-low", ({ activeLow }) => activeLow],
    ["bias", ({ bias }) => bias],
    ["drive", ({ drive }) => drive],
    ["debounce", ({ debounceUs }) => debounceUs],
    ["shared", ({ shared }) => shared],
    ["combine", ({ combine }) => combine],
    ["lane", ({ lane }) => lane],
  ];

const EXPOSURES = [
  "vhostUser",
  "qemuPins",
  "vfioUser",
  "usbredir",
  "kernelChip",
  "control",
  "isolate",
] as const;

/** Properties that may change: rules that are evaluated at each event. */
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
 * Compares two specifications of an aggregator: `same`, `new`, `rules`, or the
 * reasons why it cannot change under a running guest.
 */
export function compareAggregators(
  old: AggregatorSpecification | undefined,
  next: AggregatorSpecification,
): "same" | "new" | "rules" | string[] {
  if (old === undefined) return "new";
  const reasons: string[] = [];
  for (const key of EXPOSURES) {
    if (!isSame(old[key], next[key])) {
      reasons.push("its presentation cannot change under a running guest");
    }
  }
  if (old.lines.length !== next.lines.length) {
    reasons.push(
      `its guest sees ${old.lines.length} lines, which cannot become ` +
        `${next.lines.length} under it`,
    );
    return reasons;
  }
  let hasOtherRules = !isSame(old.pausedForUs, next.pausedForUs) ||
    old.pollUs !== next.pollUs || old.pollShare !== next.pollShare;
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
    // A rule that forbids the line's present state would come too late.
    if (before.direction !== line.direction && line.direction !== "any") {
      reasons.push(
        `${title}: direction=${line.direction} may not hold for its present direction`,
      );
    }
    hasOtherRules ||= RULES.some((of) => !isSame(of(before), of(line)));
  }
  if (reasons.length > 0) return [...new Set(reasons)];
  return hasOtherRules ? "rules" : "same";
}

/** Returns true if two plain values are equal. */
function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
