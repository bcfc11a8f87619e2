/**
 * Metrics of what guests ask of lines: requests, their durations, refusals, and
 * interrupts.
 *
 * @module
 */
import {
  EVENT_STRIDE,
  EventCount,
  REQUEST_STRIDE,
} from "../../../virtio/gpio/counters.ts";
import {
  MESSAGE_TYPE_COUNT,
  MessageType,
} from "../../../virtio/gpio/protocol.ts";
import {
  DURATION_BOUNDS,
  DURATION_STRIDE,
} from "../../../virtio/gpio/request_times.ts";
import {
  addByLine,
  eachLine,
  type Served,
  type Writing,
} from "./line_samples.ts";
import type { Labels, MetricsPage } from "./metrics_page.ts";

const REQUEST_KINDS: readonly string[] = (() => {
  const kinds = new Array<string>(MESSAGE_TYPE_COUNT).fill("unknown");
  for (const [name, type] of Object.entries(MessageType)) {
    kinds[type] = snakeCase(name);
  }
  return kinds;
})();

const INTERRUPT_OUTCOMES: readonly (readonly [string, number])[] = Object
  .entries(EventCount).map(([name, slot]) => [snakeCase(name), slot]);

const RESULTS = ["ok", "error"] as const;

/** Adds the requests of guests, by kind and result. */
export function* addRequests(
  page: MetricsPage,
  served: readonly Served[],
): Writing {
  const kinds = (counts: Float64Array, from: number, labels: () => Labels) => {
    for (const [type, kind] of REQUEST_KINDS.entries()) {
      for (const [i, result] of RESULTS.entries()) {
        const count = counts[from + 2 * type + i]!;
        if (count > 0) page.sample({ ...labels(), kind, result }, count);
      }
    }
  };
  page.metric(
    "gpioagg_requests_total",
    "counter",
    "Requests of guests to a line, by kind and result. Of pins inside QEMU: " +
      "changes of direction, and levels that the guest drove.",
  );
  yield* eachLine(page, served, ({ exposure, labels, line }) => {
    kinds(exposure.requests, line * REQUEST_STRIDE, labels);
  });
  page.metric(
    "gpioagg_requests_of_no_line_total",
    "counter",
    "Requests of guests for line names, or to lines that do not exist.",
  );
  for (const { name: aggregator, exposure: { device } } of served) {
    if (device === undefined) continue;
    kinds(device.unattributed, 0, () => ({ aggregator }));
  }
}

/** Adds the time that requests took. */
export function* addDurations(
  page: MetricsPage,
  served: readonly Served[],
): Writing {
  page.metric(
    "gpioagg_request_duration_seconds",
    "histogram",
    "Time from the reactor turn that found a request to the turn that " +
      "published its response. Of pins inside QEMU: from the report of a " +
      "change to its completion on the line.",
  );
  yield* eachLine(page, served, ({ exposure: { durations }, labels, line }) => {
    if (durations === undefined) return;
    const from = line * DURATION_STRIDE;
    const buckets = durations.buckets.subarray(from, from + DURATION_STRIDE);
    if (buckets.every((count) => count === 0)) return;
    const shown = labels();
    let count = 0;
    for (const [i, bucket] of buckets.entries()) {
      count += bucket;
      const le = DURATION_BOUNDS[i] ?? "+Inf";
      page.sample({ ...shown, le }, count, "_bucket");
    }
    page.sample(shown, durations.sums[line]!, "_sum");
    page.sample(shown, count, "_count");
  });
}

/** Adds the requests that rules refused. */
export function* addRefusals(
  page: MetricsPage,
  served: readonly Served[],
): Writing {
  page.metric(
    "gpioagg_refusals_total",
    "counter",
    "Requests of guests that a line's rules refused.",
  );
  yield* addByLine(page, served, ({ counts }) => counts.refusals);
}

/** Adds the changes of lines, by what became of the guest's interrupt. */
export function* addInterrupts(
  page: MetricsPage,
  served: readonly Served[],
): Writing {
  page.metric(
    "gpioagg_interrupts_total",
    "counter",
    "Changes of a line, by the outcome of the guest's interrupt.",
  );
  yield* eachLine(page, served, ({ exposure: { device }, labels, line }) => {
    if (device === undefined) return;
    for (const [outcome, slot] of INTERRUPT_OUTCOMES) {
      const count = device.events[line * EVENT_STRIDE + slot]!;
      if (count > 0) page.sample({ ...labels(), outcome }, count);
    }
  });
}

function snakeCase(name: string): string {
  return name.replace(/(?<!^)[A-Z]/g, "_$&").toLowerCase();
}
