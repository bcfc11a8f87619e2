/**
 * Counters of the service, out of its metrics.
 *
 * @module
 */

/** Sums that are shown, by the name of their metric. */
const SUMS = new Map([
  ["gpioagg_requests_total", "requests"],
  ["gpioagg_interrupts_total", "interrupts"],
  ["gpioagg_lost_changes_total", "changes lost"],
]);
const OF_AGGREGATOR = new Map([
  ["gpioagg_respawns_total", "respawns"],
  ["gpioagg_faults_total", "faults"],
  ["gpioagg_refusals_total", "refusals"],
]);
const SAMPLE = /^(gpioagg_\w+)\{(.*)\} (\S+)$/;
const NAME = /(?:^|,)aggregator="([^"]*)"/;

/**
 * Returns sums of the whole service, and those of each aggregator by its name.
 */
export function readMetrics(text) {
  const sums = { requests: 0, errors: 0, interrupts: 0, "changes lost": 0 };
  const aggregators = new Map();
  for (const row of text.split("\n")) {
    const [, metric, labels, value] = SAMPLE.exec(row) ?? [];
    if (metric === undefined) continue;
    const sum = SUMS.get(metric);
    if (sum !== undefined) sums[sum] += Number(value);
    if (sum === "requests" && labels.includes('result="error"')) {
      sums.errors += Number(value);
    }
    const part = OF_AGGREGATOR.get(metric);
    if (part === undefined) continue;
    const name = NAME.exec(labels)?.[1] ?? "";
    const known = aggregators.get(name) ??
      { respawns: 0, faults: 0, refusals: 0 };
    known[part] += Number(value);
    aggregators.set(name, known);
  }
  return { sums, aggregators };
}
