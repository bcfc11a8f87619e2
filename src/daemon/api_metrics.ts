/**
 * What a service counted, in Prometheus' text format.
 *
 * Series that are still 0 are left out where a line could have many.
 *
 * @module
 */
import {
  EVENT_STRIDE,
  EventCount,
  REQUEST_STRIDE,
} from "../virtio/gpio_counters.ts";
import { MESSAGE_TYPE_COUNT, MessageType } from "../virtio/gpio_protocol.ts";
import type { AggregatorCounts } from "./messages.ts";
import { TURN_BOUNDS } from "./turn_times.ts";

/** What is told of the service itself. */
export interface ServiceCounts {
  eventListeners: number;
  /** **Units**: milliseconds since 1970. */
  now: number;
  residentBytes: number;
}

/** The content type of {@linkcode metricsText}. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const REQUEST_KINDS: readonly string[] = (() => {
  const kinds = new Array<string>(MESSAGE_TYPE_COUNT).fill("unknown");
  for (const [name, type] of Object.entries(MessageType)) {
    kinds[type] = snakeCase(name);
  }
  return kinds;
})();

const INTERRUPT_OUTCOMES: readonly (readonly [string, number])[] = Object
  .entries(EventCount).map(([name, slot]) => [snakeCase(name), slot]);

const QUEUES = ["request", "event"] as const;

type Labels = Readonly<Record<string, string | number>>;

/** All counters as text. */
export function metricsText(
  aggregators: readonly AggregatorCounts[],
  service: ServiceCounts,
): string {
  const page = new Page();
  const { now, residentBytes, eventListeners } = service;
  page.metric("gpioagg_aggregators", "gauge", "Aggregators that are served.");
  page.sample({}, aggregators.length);
  page.metric(
    "gpioagg_event_listeners",
    "gauge",
    "Clients that listen to the event stream.",
  );
  page.sample({}, eventListeners);
  page.metric(
    "process_resident_memory_bytes",
    "gauge",
    "Resident memory of the service.",
  );
  page.sample({}, residentBytes);
  page.metric(
    "gpioagg_aggregator_connected",
    "gauge",
    "Whether a VMM is connected.",
  );
  for (const { name, connected } of aggregators) {
    page.sample({ aggregator: name }, connected ? 1 : 0);
  }
  page.metric(
    "gpioagg_aggregator_uptime_seconds",
    "gauge",
    "How long the aggregator has been served.",
  );
  for (const { name, servedSince } of aggregators) {
    page.sample({ aggregator: name }, (now - servedSince) / 1000);
  }
  page.metric(
    "gpioagg_connections_total",
    "counter",
    "VMMs that connected.",
  );
  for (const { name, connections } of aggregators) {
    page.sample({ aggregator: name }, connections);
  }
  page.metric(
    "gpioagg_faults_total",
    "counter",
    "Connections on which a VMM or guest broke the protocol.",
  );
  for (const { name, faults } of aggregators) {
    page.sample({ aggregator: name }, faults);
  }
  addRequests(page, aggregators);
  addInterrupts(page, aggregators);
  page.metric(
    "gpioagg_refused_chains_total",
    "counter",
    "Buffers given back unserved: malformed, or without room for an answer.",
  );
  for (const { name, refusedChains } of aggregators) {
    for (const [i, queue] of QUEUES.entries()) {
      page.sample({ aggregator: name, queue }, refusedChains[i]!);
    }
  }
  addRefusals(page, aggregators);
  addTurns(page, aggregators);
  return page.text;
}

function addRefusals(
  page: Page,
  aggregators: readonly AggregatorCounts[],
): void {
  page.metric(
    "gpioagg_refusals_total",
    "counter",
    "Requests of guests that a line's rules refused.",
  );
  for (const { name: aggregator, lineNames, refusals } of aggregators) {
    for (const [line, count] of refusals.entries()) {
      if (count === 0) continue;
      page.sample({ aggregator, line, name: lineNames[line]! }, count);
    }
  }
}

function addRequests(
  page: Page,
  aggregators: readonly AggregatorCounts[],
): void {
  const kinds = (counts: Float64Array, from: number, labels: Labels) => {
    for (const [type, kind] of REQUEST_KINDS.entries()) {
      for (const [i, result] of ["ok", "error"].entries()) {
        const count = counts[from + 2 * type + i]!;
        if (count > 0) page.sample({ ...labels, kind, result }, count);
      }
    }
  };
  page.metric(
    "gpioagg_requests_total",
    "counter",
    "Requests of guests to a line, by kind and result.",
  );
  for (const { name: aggregator, lineNames, requests } of aggregators) {
    for (const [line, name] of lineNames.entries()) {
      kinds(requests, line * REQUEST_STRIDE, { aggregator, line, name });
    }
  }
  page.metric(
    "gpioagg_requests_of_no_line_total",
    "counter",
    "Requests of guests for names, or to lines that do not exist.",
  );
  for (const { name: aggregator, unattributed } of aggregators) {
    kinds(unattributed, 0, { aggregator });
  }
}

function addInterrupts(
  page: Page,
  aggregators: readonly AggregatorCounts[],
): void {
  page.metric(
    "gpioagg_interrupts_total",
    "counter",
    "Changes of a line, by what became of its guest's interrupt.",
  );
  for (const { name: aggregator, lineNames, events } of aggregators) {
    for (const [line, name] of lineNames.entries()) {
      for (const [outcome, slot] of INTERRUPT_OUTCOMES) {
        const count = events[line * EVENT_STRIDE + slot]!;
        if (count > 0) page.sample({ aggregator, line, name, outcome }, count);
      }
    }
  }
}

function addTurns(page: Page, aggregators: readonly AggregatorCounts[]): void {
  page.metric(
    "gpioagg_turn_duration_seconds",
    "histogram",
    "From looking at a request queue to publishing its answers.",
  );
  for (const { name: aggregator, turns } of aggregators) {
    if (turns === undefined) continue;
    let count = 0;
    for (const [i, bucket] of turns.buckets.entries()) {
      count += bucket;
      const le = TURN_BOUNDS[i] ?? "+Inf";
      page.sample({ aggregator, le }, count, "_bucket");
    }
    page.sample({ aggregator }, turns.sum, "_sum");
    page.sample({ aggregator }, count, "_count");
  }
}

/** A page of metrics under construction. */
class Page {
  #metric = "";
  readonly #lines: string[] = [];

  get text(): string {
    return this.#lines.join("\n") + "\n";
  }

  metric(
    name: string,
    type: "gauge" | "counter" | "histogram",
    help: string,
  ): void {
    this.#metric = name;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
  }

  sample(labels: Labels, value: number, suffix = ""): void {
    const pairs = Object.entries(labels).map(([name, text]) =>
      `${name}="${escaped(String(text))}"`
    );
    const shown = pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
    this.#lines.push(`${this.#metric}${suffix}${shown} ${value}`);
  }
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("\n", "\\n");
}

function snakeCase(name: string): string {
  return name.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase();
}
