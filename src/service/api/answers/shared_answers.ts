/**
 * Answers that may be large: made once for all clients that ask at the same
 * time, and encoded in parts between which others are served.
 *
 * @module
 */
import settings from "../../../../deno.json" with { type: "json" };
import type { AggregatorState, LeaseKind } from "../../../client/protocol.ts";
import type { AggregatorServer } from "../../isolate/reactors.ts";
import type { AggregatorDescription } from "../../messages/messages.ts";
import { CoalescedQuery, restMs } from "./coalesced_query.ts";
import {
  encodeAllLines,
  encodeLines,
  encodeStates,
  LastAnswers,
} from "./encoded_states.ts";
import type { EventHub, EventsSince } from "../events/events.ts";
import { encodeMetrics } from "./metrics.ts";
import type { WorkTurns } from "../connections/work_turns.ts";

const MS_PER_S = 1000;

/** Parts of the API that answers are made of. */
interface AnswerSources {
  readonly reactor: AggregatorServer;
  readonly hub: EventHub;
  readonly work: WorkTurns<number | "answers">;
  /** Returns the lifetime of an aggregator. */
  readonly findLease: (name: string) => LeaseKind;
}

/** Events since a snapshot, and the snapshot as its first event. */
interface Snapshot {
  readonly bytes: Uint8Array;
  readonly since: EventsSince;
}

/** Answers of one API as bytes, which several clients may get. */
export class SharedAnswers {
  readonly #sources: AnswerSources;
  readonly #last = new LastAnswers();
  readonly #described: CoalescedQuery<AggregatorDescription[]>;
  readonly #metrics = new CoalescedQuery(() => this.#makeMetrics(), restMs);
  readonly #list = new CoalescedQuery(() => this.#makeList(), restMs);
  readonly #one = new CoalescedQuery<Uint8Array | undefined>(
    (name) => this.#makeOne(name),
    restMs,
  );
  readonly #lines = new CoalescedQuery<Uint8Array | undefined>(
    (name) => this.#makeLines(name),
    restMs,
  );
  readonly #allLines = new CoalescedQuery(() => this.#makeAllLines(), restMs);
  readonly #snapshot = new CoalescedQuery(
    (name) => this.#makeSnapshot(name),
    (tookMs, answer) => restMs(tookMs, answer?.bytes),
  );

  /** Makes answers from the parts of one API. */
  constructor(sources: AnswerSources) {
    this.#sources = sources;
    this.#described = new CoalescedQuery((name) => this.#describe(name));
  }

  /** Returns the aggregator of this name as the reactor describes it, or none. */
  described(name: string): Promise<AggregatorDescription[]> {
    return this.#described.ask(name);
  }

  /** Returns the counters in Prometheus' text format. */
  metrics(): Promise<Uint8Array> {
    return this.#metrics.ask("");
  }

  /** Returns all aggregators. */
  list(): Promise<Uint8Array> {
    return this.#list.ask("");
  }

  /** Returns one aggregator; undefined if there is none. */
  one(name: string): Promise<Uint8Array | undefined> {
    return this.#one.ask(name);
  }

  /** Returns the lines of all aggregators. */
  allLines(): Promise<Uint8Array> {
    return this.#allLines.ask("");
  }

  /** Returns the lines of one aggregator; undefined if there is none. */
  lines(name: string): Promise<Uint8Array | undefined> {
    return this.#lines.ask(name);
  }

  /** Returns the snapshot of one aggregator or all, with the events after it. */
  snapshot(name: string | undefined): Promise<Snapshot> {
    return this.#snapshot.ask(name ?? "");
  }

  /** Returns the state of an aggregator as clients get it. */
  toState(description: AggregatorDescription): AggregatorState {
    return { lease: this.#sources.findLease(description.name), ...description };
  }

  /** @param name Empty for all aggregators. */
  #describe(name: string): Promise<AggregatorDescription[]> {
    const { reactor } = this.#sources;
    return name === "" ? reactor.describe() : reactor.describe(name);
  }

  #encode(
    question: string,
    steps: Generator<void, Uint8Array>,
  ): Promise<Uint8Array> {
    return this.#sources.work.run("answers", steps)
      .then((bytes) => this.#last.shared(question, bytes));
  }

  async #makeMetrics(): Promise<Uint8Array> {
    const { reactor, hub, work } = this.#sources;
    const counts = await reactor.count();
    return await work.run(
      "answers",
      encodeMetrics(counts, {
        eventListeners: hub.size,
        eventsMissed: hub.lost,
        residentBytes: Deno.memoryUsage().rss,
        startedAt: performance.timeOrigin / MS_PER_S,
        version: settings.version,
      }),
    );
  }

  async #makeList(): Promise<Uint8Array> {
    const states = (await this.#describe("")).map((one) => this.toState(one));
    const steps = encodeStates('{"aggregators":[', states, "]}");
    return await this.#encode("list", steps);
  }

  async #makeOne(name: string): Promise<Uint8Array | undefined> {
    const [one] = await this.described(name);
    if (one === undefined) return undefined;
    const steps = encodeStates("", [this.toState(one)], "");
    return await this.#encode("one", steps);
  }

  async #makeLines(name: string): Promise<Uint8Array | undefined> {
    const [one] = await this.described(name);
    if (one === undefined) return undefined;
    const steps = encodeLines('{"lines":', one.lines, "}");
    return await this.#encode("lines", steps);
  }

  async #makeAllLines(): Promise<Uint8Array> {
    const all = await this.#describe("");
    return await this.#encode("all lines", encodeAllLines(all));
  }

  async #makeSnapshot(name: string): Promise<Snapshot> {
    const all = await this.#describe(name);
    const since = this.#sources.hub.since();
    try {
      const bytes = await this.#encode(
        "snapshot",
        encodeStates(
          // Its head is each listener's own.
          '"aggregators":[',
          all.map((one) => this.toState(one)),
          "]}\n\n",
        ),
      );
      return { bytes, since };
    } finally {
      // Clients that wait for the snapshot get it before any other event.
      setTimeout(() => since.close());
    }
  }
}
