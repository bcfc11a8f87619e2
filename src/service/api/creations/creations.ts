/**
 * Aggregators that clients created: the owners of their names, and their ends.
 *
 * @module
 */
import type { AggregatorState, LeaseKind } from "../../../client/protocol.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import type { AggregatorSpecification } from "../../../config/specification.ts";
import type { KeptCreation, KeptCreations } from "./kept_creations.ts";
import { settlesWithin } from "../../../async/wait.ts";
import { LinesHeldError } from "../../lanes/lanes.ts";
import { UnsafeLinesError } from "../../messages/unsafe_lines_error.ts";
import type { AggregatorDescription } from "../../messages/messages.ts";
import { type Creation, merged, type RuleChanges } from "./create.ts";
import { CreationRoom } from "./creation_room.ts";
import type { Lease } from "./lease.ts";
import { configured, rulesConfigured, taken } from "./refusals.ts";
import { graceTime, isClaimed, newClaim } from "./lease_claim.ts";
import type { Peer } from "../connections/listener.ts";
import {
  errorMessage,
  HttpError,
  refusedByLines,
} from "../requests/messages.ts";

/** Server of creations. */
interface CreationTarget {
  describe(name: string): Promise<AggregatorDescription[]>;
  add(
    aggregators: AggregatorSpecification[],
    options: { isTimed?: boolean },
  ): Promise<AggregatorDescription[]>;
  removeWhole(name: string): Promise<AggregatorDescription[]>;
  changeRules(
    aggregators: AggregatorSpecification[],
  ): Promise<AggregatorDescription[]>;
}

/** Reports of creations. */
export interface CreationEvents {
  /** An aggregator is gone, and why; not only one that a client had made. */
  removed(name: string, reason: string): void;
  /** A lease's holder is gone, and so is the aggregator; or `error` says not. */
  leaseOver(name: string, peer: Peer, error?: string): void;
  /** It should be gone, and would not go. */
  stuck(name: string, error: string): void;
}

/** Surroundings of creations. */
interface CreationsOptions {
  target: CreationTarget;
  events: CreationEvents;
  /** Keeps them across a restart. */
  keeper?:
    | Pick<KeptCreations, "keep" | "keepRules" | "drop" | "restored">
    | undefined;
  /** Interval at which a removal that failed is retried. **Units**: ms. */
  retryMs?: { first: number; most: number };
  /**
   * Calls `over` once clients of an earlier process had the time to take their
   * leases back; what it returns calls that off. Default: after 10 s.
   */
  grace?: (over: () => void) => () => void;
}

/** One aggregator of a client; another one of the same name is another. */
interface Entry {
  /** Its lease, or what it is to be. */
  lease: Lease | "stream" | "none";
  /** As its client asked for it, with later changes of its rules. */
  made: KeptCreation;
  /** Its part of what clients may have. */
  readonly place: Disposable;
  /** Token of the claim, until the client has it. */
  token?: string | undefined;
  /** Set while it waits for its client after a restart: ends the wait. */
  endWait?: (() => void) | undefined;
}

/**
 * Returns the specification of a changed aggregator, undefined if nothing
 * changes; in pieces, between which others are served.
 */
type PlanChange = (
  made: KeptCreation,
  next: KeptCreation,
) => Promise<AggregatorSpecification | undefined>;

/** Time limit for creations under way at the end. **Units**: ms. */
const CLOSE_LIMIT_MS = 3000;
const RETRY_MS = { first: 1000, most: 60_000 };

/** All that the clients of one service have made. */
export class Creations {
  readonly #target: CreationTarget;
  readonly #events: CreationEvents;
  readonly #keeper: CreationsOptions["keeper"];
  readonly #retryMs: { first: number; most: number };
  readonly #entries = new Map<string, Entry>();
  readonly #room = new CreationRoom();
  /** Creations under way, by name, which is reserved meanwhile. */
  readonly #making = new Map<string, Promise<unknown>>();
  readonly #removing = new Map<string, Promise<unknown>>();
  /** Ends of leases, until they are done. */
  readonly #ends = new Set<Promise<void>>();
  readonly #closing = Promise.withResolvers<void>();
  /** Ends of the last changes of rules, by name, while they are under way. */
  readonly #changing = new Map<string, Promise<void>>();
  #isClosing = false;

  /** `restored` outlived an earlier process. */
  constructor(
    { target, events, keeper, retryMs = RETRY_MS, grace = graceTime }:
      CreationsOptions,
    restored: readonly AggregatorDescription[] = [],
  ) {
    this.#target = target;
    this.#events = events;
    this.#keeper = keeper;
    this.#retryMs = retryMs;
    for (const { name, lines, pid } of restored) {
      const made = keeper?.restored(name) ?? { body: undefined, rules: {} };
      const place = this.#room.keep({
        lines: lines.length,
        isIsolated: pid !== undefined,
      });
      const { claim } = made;
      const lease = claim === undefined ? "none" : "stream";
      const entry: Entry = { lease, made, place };
      this.#entries.set(name, entry);
      if (claim !== undefined) this.#wait(name, entry, claim.peer, grace);
    }
  }

  /** Returns true if the aggregator of this name is a client's. */
  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Returns the lease of the aggregator of this name. */
  findLease(name: string): LeaseKind {
    const lease = this.#entries.get(name)?.lease ?? "service";
    return typeof lease === "string" ? lease : "stream";
  }

  /** Waits for a removal of the aggregator of this name. */
  async settled(name: string): Promise<void> {
    await this.#removing.get(name);
  }

  /**
   * Makes what the client `peer` asked for in `body`.
   *
   * @throws {ConfigError} If it is the client's to mend.
   * @throws {HttpError} If there is one of this name, or a line cannot be had.
   */
  async add(
    creation: Creation,
    body: unknown,
    peer: Peer,
  ): Promise<AggregatorDescription> {
    const { name } = creation.specification;
    // The lines of one that goes are free in a moment.
    await this.settled(name);
    this.#checkOpen();
    if (this.#entries.has(name) || this.#making.has(name)) throw taken(name);
    const made = this.#make(creation, body, peer);
    this.#making.set(name, made.catch(() => {}));
    try {
      return await made;
    } finally {
      this.#making.delete(name);
    }
  }

  /**
   * Changes rules of a client's aggregator, under its guest.
   *
   * @param planned Returns the specification with all changes, those of earlier
   * calls included; throws if it is not possible.
   * @throws {HttpError} If no client made it, or the lines refuse.
   */
  async changeRules(
    name: string,
    changes: RuleChanges,
    planned: PlanChange,
  ): Promise<AggregatorDescription | undefined> {
    this.#checkOpen();
    const change = (this.#changing.get(name) ?? Promise.resolve()).then(() =>
      this.#changeRules(name, changes, planned)
    );
    // One after another: each begins with what the one before made.
    const settled = change.then(() => {}, () => {});
    this.#changing.set(name, settled);
    try {
      return await change;
    } finally {
      if (this.#changing.get(name) === settled) this.#changing.delete(name);
    }
  }

  async #changeRules(
    name: string,
    changes: RuleChanges,
    planned: PlanChange,
  ): Promise<AggregatorDescription | undefined> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw rulesConfigured(name);
    const { made } = entry;
    const rules = merged(made.rules, changes);
    const next = { ...made, rules };
    const specification = await planned(made, next);
    // Nothing changes, or another one of its name is not this one.
    if (specification === undefined || this.#entries.get(name) !== entry) {
      return undefined;
    }
    let changed: AggregatorDescription | undefined;
    try {
      [changed] = await this.#target.changeRules([specification]);
    } catch (error) {
      throw refusedByLines(error);
    }
    // Another one of its name is not this one.
    if (this.#entries.get(name) !== entry) return undefined;
    entry.made = next;
    this.#keeper?.keepRules(name, rules);
    return changed;
  }

  /**
   * Ties what was just made to its maker's stream, which is answered.
   *
   * @param state What it answers with.
   */
  tie(lease: Lease, state: AggregatorState, peer: Peer): void {
    const { name } = state;
    const entry = this.#entries.get(name);
    // It was removed in the meantime.
    if (entry === undefined) return lease.end("it was removed");
    entry.lease = lease;
    const onGone = () => this.#end(name, entry, "its lease is over", peer);
    // The client may have died while its lines were taken.
    if (lease.isGone) onGone();
    else lease.grant(state, onGone, entry.token);
    entry.token = undefined;
  }

  /**
   * Lets a client take back the lease that it had from an earlier process: it is
   * to be tied next.
   *
   * @throws {HttpError} If it is not its own, or not to be had.
   */
  async claim(name: string, token: string, peer: Peer): Promise<void> {
    const entry = this.#entries.get(name);
    const claim = entry?.made.claim;
    const isIts = claim !== undefined && await isClaimed(claim, token, peer);
    if (!isIts) {
      throw new HttpError(
        403,
        `The lease of "${name}" is not to be had with this token`,
        "Only the user that made it takes it back, with the token of its lease",
      );
    }
    this.#checkOpen();
    if (entry?.endWait === undefined || this.#entries.get(name) !== entry) {
      throw new HttpError(
        409,
        `The lease of "${name}" has its client, or is over`,
      );
    }
    entry.endWait();
    entry.endWait = undefined;
  }

  /**
   * Ends an aggregator of any client. When this resolves, it is gone and its
   * lines are free.
   *
   * @param isForced True if one of the service's own configuration goes too.
   * @throws {LinesHeldError} If it is gone, but a chip does not let a line go.
   * @throws {HttpError} If the service's own configuration has it, or all ends.
   * @throws {Error} If there is none, or it would not go.
   */
  async remove(
    name: string,
    reason: string,
    isForced = false,
  ): Promise<void> {
    this.#checkOpen();
    await this.#removal(name, reason, isForced);
  }

  async #removal(name: string, reason: string, isForced = false) {
    const making = this.#making.get(name);
    // What is being made is removed once it is, with the answer to its maker.
    const removal = making === undefined
      ? this.#remove(name, reason, isForced)
      : making.then(() => this.#remove(name, reason, isForced));
    const others = this.#removing.get(name);
    const all = Promise.allSettled([others, removal]);
    this.#removing.set(name, all);
    all.then(() => {
      if (this.#removing.get(name) === all) this.#removing.delete(name);
    });
    await removal;
  }

  /** Ends a client's aggregator whose chip another process removed. */
  chipGone(name: string): void {
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#end(name, entry, "its chip was taken down");
  }

  /** One is gone by now whose lines were not in their declared state in time. */
  removedLate(name: string): void {
    const reason = "its lines are in their declared state now";
    const entry = this.#entries.get(name);
    if (entry !== undefined) this.#forget(name, entry, reason);
    this.#events.removed(name, reason);
  }

  /**
   * The next process goes on: ends every aggregator with a lease, but for those
   * whose clients can take it back.
   */
  async endLeases(reason: string): Promise<void> {
    await this.#beginToClose();
    const names: string[] = [];
    for (const [name, { lease, made, endWait }] of this.#entries) {
      endWait?.();
      if (lease !== "none" && made.claim === undefined) names.push(name);
      else if (typeof lease !== "string") lease.leave();
    }
    await Promise.allSettled(names.map((name) => this.#removal(name, reason)));
  }

  /** The service ends, and all that it serves with it: the makers are notified. */
  async close(reason: string): Promise<void> {
    await this.#beginToClose();
    for (const [name, { lease, endWait }] of this.#entries) {
      endWait?.();
      if (typeof lease !== "string") lease.end(reason);
      this.#keeper?.drop(name);
    }
    this.#entries.clear();
    await settlesWithin(Promise.all(this.#ends), CLOSE_LIMIT_MS);
  }

  /** Ends one whose client does not come back in time. */
  #wait(
    name: string,
    entry: Entry,
    peer: Peer,
    begin: (over: () => void) => () => void,
  ): void {
    entry.endWait = begin(() => {
      entry.endWait = undefined;
      const reason = "its client did not come back after a restart";
      this.#end(name, entry, reason, peer);
    });
  }

  /** Nothing more is changed; what is under way is done, and kept or dropped. */
  async #beginToClose(): Promise<void> {
    this.#isClosing = true;
    this.#closing.resolve();
    const maps = [this.#making, this.#changing, this.#removing];
    const all = maps.flatMap((map): Promise<unknown>[] => [...map.values()]);
    await settlesWithin(Promise.all(all), CLOSE_LIMIT_MS);
  }

  /** @throws {HttpError} If the service ends. */
  #checkOpen(): void {
    if (this.#isClosing) throw new HttpError(503, "The service ends");
  }

  async #make(
    { specification, lease }: Creation,
    body: unknown,
    peer: Peer,
  ): Promise<AggregatorDescription> {
    const { name } = specification;
    using places = new DisposableStack();
    const place = places.use(this.#room.take({
      lines: specification.lines.length,
      isIsolated: specification.isolate !== undefined,
    }));
    // Nothing of a kernel chip is kept.
    const isKept = this.#keeper !== undefined && lease === "stream" &&
      specification.kernelChip === undefined;
    const claimed = isKept ? await newClaim(peer) : undefined;
    if ((await this.#target.describe(name)).length > 0) throw taken(name);
    // First, so that a crash in between leaves no line without its rules.
    this.#keeper?.keep(name, body, claimed?.claim);
    try {
      const [made] = await this.#target.add([specification], { isTimed: true });
      const kept = { body, rules: {}, claim: claimed?.claim };
      const token = claimed?.token;
      this.#entries.set(name, { lease, made: kept, place, token });
      places.move();
      return made!;
    } catch (error) {
      this.#keeper?.drop(name);
      if (error instanceof ConfigError) throw error;
      throw refusedByLines(error);
    }
  }

  async #remove(
    name: string,
    reason: string,
    isForced: boolean,
  ): Promise<void> {
    // By the time that it is gone, another one may have its name.
    const entry = this.#entries.get(name);
    const isOwn = entry === undefined && await this.#isThere(name);
    if (isOwn && !isForced) throw configured(name);
    let removed: AggregatorDescription[];
    let held: LinesHeldError | undefined;
    try {
      removed = await this.#target.removeWhole(name);
    } catch (error) {
      if (!(error instanceof LinesHeldError)) {
        // Another call removed it first, or the reactor died.
        const isGone = entry !== undefined &&
          !(error instanceof UnsafeLinesError) && !await this.#isThere(name);
        if (isGone) this.#forget(name, entry, reason);
        throw error;
      }
      held = error;
      removed = error.removed;
    }
    if (entry !== undefined) this.#forget(name, entry, reason);
    for (const { name } of removed) this.#events.removed(name, reason);
    if (held !== undefined) throw held;
  }

  #forget(name: string, entry: Entry, reason: string): void {
    if (this.#entries.get(name) !== entry) return;
    this.#entries.delete(name);
    entry.place[Symbol.dispose]();
    entry.endWait?.();
    this.#keeper?.drop(name);
    if (typeof entry.lease !== "string") entry.lease.end(reason);
  }

  /** Ends one until it is gone. */
  #end(name: string, entry: Entry, reason: string, peer?: Peer): void {
    const end = this.#tryToEnd(name, entry, reason, peer)
      .finally(() => this.#ends.delete(end));
    this.#ends.add(end);
  }

  async #tryToEnd(
    name: string,
    entry: Entry,
    reason: string,
    peer?: Peer,
  ): Promise<void> {
    const { first, most } = this.#retryMs;
    for (let retryMs = first;; retryMs = Math.min(2 * retryMs, most)) {
      const error = await this.#removal(name, reason).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (error === undefined) {
        if (peer !== undefined) this.#events.leaseOver(name, peer);
        return;
      }
      const isOver = this.#entries.get(name) !== entry;
      // It is removed as soon as its lines are safe; faults tell of them.
      if (error instanceof UnsafeLinesError) {
        if (peer !== undefined) {
          this.#events.leaseOver(name, peer, error.message);
        }
        return;
      }
      // Another client, or a reload, has removed it in the same moment.
      if (isOver && !(error instanceof LinesHeldError)) return;
      const message = errorMessage(error);
      if (peer !== undefined) this.#events.leaseOver(name, peer, message);
      this.#events.stuck(name, message);
      if (await settlesWithin(this.#closing.promise, retryMs)) return;
      // It is gone but for its lines, or another call succeeded meanwhile.
      if (this.#entries.get(name) !== entry) return;
    }
  }

  /** Treats an unreachable (dead) reactor as "not there". */
  async #isThere(name: string): Promise<boolean> {
    try {
      return (await this.#target.describe(name)).length > 0;
    } catch {
      return false;
    }
  }
}
