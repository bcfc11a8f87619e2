/**
 * Counters of a service in Prometheus' text format.
 *
 * Series that are still 0 are left out where a line could have many. A page of
 * thousands of lines is made in pieces, between which others are served.
 *
 * @module
 */
import { Cause } from "../../../edges/record.ts";
import type { AggregatorCounts } from "../../messages/messages.ts";
import {
  addByLine,
  type CountOf,
  eachLine,
  type Served,
  type Writing,
} from "./line_samples.ts";
import { MetricsPage } from "./metrics_page.ts";
import {
  addDurations,
  addInterrupts,
  addRefusals,
  addRequests,
} from "./request_metrics.ts";

/** Figures of the service itself. */
interface ServiceCounts {
  eventListeners: number;
  /** Events that listeners missed. */
  eventsMissed: number;
  residentBytes: number;
  /** Start of the process. **Units**: seconds since 1970. */
  startedAt: number;
  /** Version of gpioagg. */
  version: string;
}

/** The content type of {@linkcode encodeMetrics}. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const QUEUES = ["request", "event"] as const;

/** Encodes all counters as text; yields often. */
export function* encodeMetrics(
  aggregators: readonly AggregatorCounts[],
  service: ServiceCounts,
): Generator<void, Uint8Array> {
  const page = new MetricsPage();
  addService(page, aggregators.length, service);
  addAggregators(page, aggregators);
  const served = aggregators.flatMap(({ name, guests }) =>
    guests === undefined ? [] : [{ name, ...guests }]
  );
  addGuests(page, served);
  yield;
  yield* addLines(page, served);
  yield* addActiveTime(page, served);
  yield* addRequests(page, served);
  yield* addDurations(page, served);
  yield* addRefusals(page, served);
  yield* addRules(page, served);
  yield* addInterrupts(page, served);
  yield* addPins(page, served);
  addUsb(page, served);
  yield* addLost(page, served);
  return yield* page.bytes();
}

function addService(
  page: MetricsPage,
  aggregators: number,
  { residentBytes, eventListeners, eventsMissed, startedAt, version }:
    ServiceCounts,
): void {
  page.metric(
    "gpioagg_build_info",
    "gauge",
    "1, with the version of gpioagg and of Deno as labels.",
  );
  page.sample({ version, deno: Deno.version.deno }, 1);
  page.metric("gpioagg_aggregators", "gauge", "Aggregators that are served.");
  page.sample({}, aggregators);
  page.metric(
    "gpioagg_event_listeners",
    "gauge",
    "Clients of the event stream.",
  );
  page.sample({}, eventListeners);
  page.metric(
    "gpioagg_event_listeners_missed_total",
    "counter",
    "Events that clients of the event stream missed because they did not " +
      "read. An event that two clients missed counts twice.",
  );
  page.sample({}, eventsMissed);
  page.metric(
    "process_resident_memory_bytes",
    "gauge",
    "Resident memory of the service.",
  );
  page.sample({}, residentBytes);
  page.metric(
    "process_start_time_seconds",
    "gauge",
    "Start of the service, in seconds since 1970.",
  );
  page.sample({}, startedAt);
}

function addAggregators(
  page: MetricsPage,
  aggregators: readonly AggregatorCounts[],
): void {
  page.metric(
    "gpioagg_aggregator_connected",
    "gauge",
    "1 if a VMM is connected. Of a kernel chip: 1 if a line is in use.",
  );
  for (const { name, connected } of aggregators) {
    page.sample({ aggregator: name }, connected ? 1 : 0);
  }
  page.metric(
    "gpioagg_aggregator_uptime_seconds",
    "gauge",
    "Time for which the aggregator has been served.",
  );
  for (const { name, uptimeMs } of aggregators) {
    if (uptimeMs === undefined) continue;
    page.sample({ aggregator: name }, uptimeMs / 1000);
  }
  page.metric(
    "gpioagg_kernel_chip_present",
    "gauge",
    "1 if the kernel chip exists.",
  );
  for (const { name, isChipPresent } of aggregators) {
    if (isChipPresent === undefined) continue;
    page.sample({ aggregator: name }, isChipPresent ? 1 : 0);
  }
  page.metric(
    "gpioagg_kernel_chip_lost_chips",
    "gauge",
    "Chips that the kernel chip has lost: their lines fail until it is made " +
      "again.",
  );
  for (const { name, lostChips } of aggregators) {
    if (lostChips === undefined) continue;
    page.sample({ aggregator: name }, lostChips);
  }
}

function addGuests(page: MetricsPage, served: readonly Served[]): void {
  page.metric(
    "gpioagg_connections_total",
    "counter",
    "Connections of VMMs, and to QEMUs with pins.",
  );
  for (const { name, connections } of served) {
    page.sample({ aggregator: name }, connections);
  }
  page.metric(
    "gpioagg_respawns_total",
    "counter",
    "Guests that started after an earlier one: VMs that were started again, " +
      "and reboots.",
  );
  for (const { name, respawns } of served) {
    page.sample({ aggregator: name }, respawns);
  }
  page.metric(
    "gpioagg_faults_total",
    "counter",
    "Events fault: protocol violations by VMMs or guests, unusable QEMU " +
      "instances, rules that could not be applied, chips that cannot be removed.",
  );
  for (const { name, faults } of served) {
    page.sample({ aggregator: name }, faults);
  }
  page.metric(
    "gpioagg_events_left_out_total",
    "counter",
    "Events that were neither logged nor streamed because of their rate.",
  );
  for (const { name: aggregator, eventsLeftOut } of served) {
    for (const [event, count] of Object.entries(eventsLeftOut)) {
      page.sample({ aggregator, event }, count);
    }
  }
  page.metric(
    "gpioagg_refused_chains_total",
    "counter",
    "Descriptor chains returned unserved: malformed, or without room for a " +
      "response.",
  );
  for (const { name, exposure: { device } } of served) {
    if (device === undefined) continue;
    for (const [i, queue] of QUEUES.entries()) {
      page.sample({ aggregator: name, queue }, device.refusedChains[i]!);
    }
  }
}

function* addLines(page: MetricsPage, served: readonly Served[]): Writing {
  page.metric(
    "gpioagg_line_value",
    "gauge",
    "1 if the line is active. Left out where it is not known without waiting, " +
      "as on a chip that is absent.",
  );
  yield* eachLine(page, served, ({ counts: { value }, labels }) => {
    if (value !== undefined) page.sample(labels(), value);
  });
  page.metric("gpioagg_line_output", "gauge", "1 while the line is an output.");
  yield* eachLine(page, served, ({ counts: { isOutput }, labels }) => {
    page.sample(labels(), isOutput ? 1 : 0);
  });
  page.metric(
    "gpioagg_line_present",
    "gauge",
    "0 while the line's chip is absent.",
  );
  yield* eachLine(page, served, ({ counts: { isPresent }, labels }) => {
    page.sample(labels(), isPresent ? 1 : 0);
  });
  page.metric(
    "gpioagg_line_edges_total",
    "counter",
    "Changes of the line's value, direction or presence, by cause.",
  );
  yield* eachLine(page, served, ({ counts: { edges = [] }, labels }) => {
    for (const [cause, code] of EDGE_CAUSES) {
      page.sample({ ...labels(), cause }, edges[code] ?? 0);
    }
  });
}

function* addActiveTime(page: MetricsPage, served: readonly Served[]): Writing {
  page.metric(
    "gpioagg_line_active_seconds_total",
    "counter",
    "Time for which the line was known to be active, by its edges. Left out " +
      "while its value is not known without waiting, and where no edges are " +
      "recorded.",
  );
  yield* eachLine(page, served, ({ counts: { activeSeconds }, labels }) => {
    if (activeSeconds !== undefined) page.sample(labels(), activeSeconds);
  });
}

const EDGE_CAUSES = [
  ["world", Cause.World],
  ["guest", Cause.Guest],
  ["rule", Cause.Rule],
  ["operator", Cause.Operator],
  ["follow", Cause.Follow],
] as const;

function* addRules(page: MetricsPage, served: readonly Served[]): Writing {
  page.metric(
    "gpioagg_rule_pending",
    "gauge",
    "1 while a rule of the line (safe value, on-disconnect, interlock, " +
      "combined value) could not be applied and is retried. Lines whose rules " +
      "never failed are left out.",
  );
  yield* eachLine(page, served, ({ counts, labels }) => {
    const { isRulePending, ruleFailures } = counts;
    if (!isRulePending && ruleFailures === 0) return;
    page.sample(labels(), isRulePending ? 1 : 0);
  });
  page.metric(
    "gpioagg_rule_failures_total",
    "counter",
    "Failed attempts to apply a rule of the line.",
  );
  yield* addByLine(page, served, ({ counts }) => counts.ruleFailures);
  page.metric(
    "gpioagg_line_forced",
    "gauge",
    "1 while an operator holds the line at a value; other lines are left out.",
  );
  yield* addByLine(page, served, ({ counts }) => counts.isForced ? 1 : 0);
}

function* addPins(page: MetricsPage, served: readonly Served[]): Writing {
  page.metric(
    "gpioagg_pin_levels_total",
    "counter",
    "Levels set at the pin of a line inside QEMU: at each start, each time " +
      "the machine continues, and at each change. The guest decides which " +
      "of them interrupt it.",
  );
  yield* addByLine(
    page,
    served,
    ({ exposure: { pins }, line }) => pins?.levels[line],
  );
  page.metric(
    "gpioagg_pin_reports_total",
    "counter",
    "Changes of output pins of the controller that QEMU reported, including " +
      "pins without a line.",
  );
  for (const { name, exposure: { pins } } of served) {
    if (pins !== undefined) page.sample({ aggregator: name }, pins.reports);
  }
  page.metric(
    "gpioagg_pin_resets_total",
    "counter",
    "Resets and shutdowns of the guest that QEMU reported.",
  );
  for (const { name, exposure: { pins } } of served) {
    if (pins !== undefined) page.sample({ aggregator: name }, pins.resets);
  }
}

function addUsb(page: MetricsPage, served: readonly Served[]): void {
  page.metric(
    "gpioagg_usb_refused_transfers_total",
    "counter",
    "Transfers of guests that a GPIO adapter on USB refused: no valid request " +
      "(invalid), or no room for it or its answer (no_room).",
  );
  for (const { name: aggregator, exposure: { usb } } of served) {
    if (usb === undefined) continue;
    page.sample({ aggregator, reason: "invalid" }, usb.invalid);
    page.sample({ aggregator, reason: "no_room" }, usb.overflows);
  }
}

function* addLost(page: MetricsPage, served: readonly Served[]): Writing {
  page.metric(
    "gpioagg_lost_changes_total",
    "counter",
    "Changes of a line that were dropped in favour of newer ones: edges in a " +
      "full kernel buffer (kernel) and in the thread of a slow chip (lane); " +
      "levels to a pin of a QEMU that did not read or refused them (to_pin); " +
      "levels from a pin to a line that was too slow (from_pin); changes that " +
      "a guest did not take from a GPIO adapter on USB (to_usb).",
  );
  const lost: [where: string, readCount: CountOf][] = [
    ["kernel", ({ counts }) => counts.lostEdges],
    ["lane", ({ counts }) => counts.mergedEdges],
    ["to_usb", ({ exposure, line }) => exposure.usb?.lostEdges[line]],
    ["to_pin", ({ exposure, line }) => exposure.pins?.lostLevels[line]],
    ["from_pin", ({ exposure, line }) => exposure.pins?.lostRequests[line]],
  ];
  for (const [where, readCount] of lost) {
    yield* addByLine(page, served, readCount, { where });
  }
}
