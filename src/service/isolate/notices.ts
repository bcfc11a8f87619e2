/**
 * Reports that the process of an aggregator makes by itself, on their way to the
 * service.
 *
 * @module
 */
import type { EdgeSource } from "../record/edge_source.ts";
import type { RecordedLines } from "../messages/messages.ts";
import type { ReactorEvents } from "../reactor/reactor_client.ts";
import type { AddedAggregators } from "./added_aggregators.ts";
import type { Notice } from "./aggregator_child.ts";
import { NoticeCheck } from "./notice_check.ts";

/** Receivers of notices. */
export interface NoticesOptions {
  readonly events: Pick<
    ReactorEvents,
    "service" | "changes" | "removedLate" | "problem"
  >;
  /** Record of its edges, which goes on with its next process. */
  readonly record?: EdgeSource | undefined;
}

/** Passes on what one aggregator's processes report of it. */
export class Notices {
  readonly #added: AddedAggregators;
  readonly #options: NoticesOptions;
  readonly #check = new NoticeCheck();
  /** Numbers of lines that are recorded, by the id of the first. */
  readonly #recorded = new Map<number, number>();

  /** `added` are the aggregators that the process has. */
  constructor(added: AddedAggregators, options: NoticesOptions) {
    this.#added = added;
    this.#options = options;
  }

  /** @throws {Error} If it reports what none of ours does: that ends it. */
  receive(message: Notice): void {
    const { events, record } = this.#options;
    this.#check.check(message);
    switch (message.kind) {
      case "event": {
        const { event } = message;
        if (!this.#added.isOwn(event.aggregator)) return;
        const added = this.#added.get(event.aggregator);
        if (added !== undefined && event.event === "connected") {
          added.last.connected = true;
        }
        if (added !== undefined && event.event === "disconnected") {
          added.last.connected = false;
        }
        return events.service(event);
      }
      case "changes":
        if (!this.#added.isOwn(message.changes.aggregator)) return;
        return events.changes?.(message.changes);
      case "recorded":
        if (!this.#added.isOwn(message.lines.aggregator)) return;
        this.#countRecorded(message.lines);
        return record?.began(message.lines);
      case "unrecorded":
        for (const [firstId] of this.#recorded) {
          const place = firstId - message.firstId;
          if (place >= 0 && place < message.count) {
            this.#recorded.delete(firstId);
          }
        }
        return record?.ended(message.firstId, message.count);
      case "removed-late":
        if (!this.#added.isOwn(message.name)) return;
        if (!this.#added.isEnding(message.name)) {
          throw new Error("It ends an aggregator that is to stay");
        }
        this.#added.delete(message.name);
        return events.removedLate?.(message.name);
      case "problem":
        return events.problem?.(message.text);
    }
  }

  /** The process has ended: none of its lines is recorded any more. */
  processEnded(): void {
    this.#recorded.clear();
    this.#options.record?.allEnded();
  }

  /** @throws {RangeError} If it has more lines than were asked for. */
  #countRecorded({ firstId, names }: RecordedLines): void {
    const before = this.#recorded.values().reduce((sum, n) => sum + n, 0);
    // While one is replaced, there may be the lines of both.
    const most = 2 * this.#added.mostLines;
    if (names.length === 0 || before + names.length > most) {
      throw new RangeError("It records more lines than it has");
    }
    this.#recorded.set(firstId, names.length);
  }
}
