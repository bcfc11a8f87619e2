/**
 * Reports of one aggregator: what its lines, its exposure and their guests did,
 * as events of the service, and how often.
 *
 * @module
 */
import type { AggregatorReporter } from "../../aggregator/aggregator.ts";
import type { ReportedLine } from "../../aggregator/line_reporter.ts";
import { refusalText } from "../../aggregator/rules/kernel_refusals.ts";
import type { LineOperation } from "../../line/port.ts";
import type { EventLoop } from "../../reactor/event_loop.ts";
import { printable } from "../../text/printable.ts";
import type { GuestCounts, ServiceEvent } from "../messages/messages.ts";
import { EventLimiter } from "./event_limiter.ts";
import { formatTitle } from "./line_reports.ts";

/** Longest detail of an event. **Units**: UTF-16 code units. */
const DETAIL_LIMIT = 1024;

/** Events after which no driver runs. */
const ENDS_OF_GUESTS: ReadonlySet<ServiceEvent["event"]> = new Set([
  "stopped",
  "gone",
  "disconnected",
]);

/** Reports what happens to an aggregator, at a limited rate, and counts it. */
export class AggregatorReports implements AggregatorReporter, Disposable {
  readonly #name: string;
  readonly #events: EventLimiter;
  readonly #pass: (event: ServiceEvent) => void;
  #connectedSince: number | undefined;
  #startedSince: number | undefined;
  #connections = 0;
  #starts = 0;
  #faults = 0;

  /** Passes events of the aggregator `name` to `pass`. */
  constructor(
    name: string,
    loop: EventLoop,
    pass: (event: ServiceEvent) => void,
  ) {
    this.#name = name;
    this.#pass = pass;
    this.#events = new EventLimiter(loop, pass);
  }

  /** Time since which a VMM is connected; undefined while none is. */
  get connectedSince(): number | undefined {
    return this.#connectedSince;
  }

  /** Time since which the guest's driver runs; undefined while it does not. */
  get startedSince(): number | undefined {
    return this.#startedSince;
  }

  /** Counts of events so far. */
  get counts(): Omit<GuestCounts, "lines" | "exposure"> {
    return {
      connections: this.#connections,
      respawns: Math.max(0, this.#starts - 1),
      faults: this.#faults,
      eventsLeftOut: this.#events.leftOut,
    };
  }

  /** Reports an event, and counts it. */
  report(event: ServiceEvent["event"], detail = ""): void {
    if (event === "connected") {
      this.#connectedSince = Date.now();
      this.#connections++;
    }
    if (event === "disconnected") this.#connectedSince = undefined;
    if (event === "started") {
      this.#startedSince = Date.now();
      this.#starts++;
    }
    if (ENDS_OF_GUESTS.has(event)) this.#startedSince = undefined;
    if (event === "fault") this.#faults++;
    this.#events.report({
      aggregator: this.#name,
      event,
      detail: printable(detail, DETAIL_LIMIT),
    });
  }

  refused(line: ReportedLine, reason: string): void {
    this.report("refused", `${formatTitle(line)}: ${reason}`);
  }

  kernelRefused(
    line: ReportedLine,
    operation: LineOperation,
    errno: number,
  ): void {
    const { source, specification } = line;
    this.report(
      "refused",
      `${formatTitle(line)}, ${source.description}: ` +
        refusalText(operation, errno, source, specification),
    );
  }

  silent(line: ReportedLine): void {
    this.report("silent", `${formatTitle(line)} has its safe value now`);
  }

  rulePending(line: ReportedLine, rule: string, reason: string): void {
    this.report(
      "fault",
      `${
        formatTitle(line)
      }, ${line.source.description}: its rule (${rule}) does ` +
        `not hold: ${reason}; it is retried`,
    );
  }

  ruleHolds(line: ReportedLine, rule: string, effort: string): void {
    this.report(
      "enforced",
      `${formatTitle(line)}: its rule (${rule}) holds now, after ${effort}`,
    );
  }

  forced(line: ReportedLine, text: string): void {
    this.#tell("forced", `${formatTitle(line)}=${text}`);
  }

  unforced(line: ReportedLine, reason: string, id: string): void {
    this.#tell("unforced", `${formatTitle(line)}: ${reason}`, id);
  }

  /** Reports what an operator did: each once, however many there are. */
  #tell(event: ServiceEvent["event"], detail: string, force?: string): void {
    this.#pass({
      aggregator: this.#name,
      event,
      detail: printable(detail, DETAIL_LIMIT),
      ...(force === undefined ? {} : { force }),
    });
  }

  notBack(limitMs: number): void {
    this.report(
      "stopped",
      `it did not return within ${limitMs / 1000} s of the restart`,
    );
  }

  presence(line: ReportedLine, isPresent: boolean): void {
    const what = `${formatTitle(line)}, ${line.source.description}`;
    this.report(isPresent ? "plugged" : "unplugged", what);
  }

  [Symbol.dispose](): void {
    this.#events[Symbol.dispose]();
  }
}
