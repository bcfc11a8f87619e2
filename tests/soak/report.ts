/**
 * Findings of a soak, as a table and as a verdict.
 *
 * @module
 */
import type { Slope, Usage } from "./usage.ts";

/** Cost of a disk that is full again and again. */
export interface DiskReport {
  readonly fills: number;
  /** Entries of the audit log that came by standard error. */
  readonly diverted: number;
  /** Messages for which standard error had no room, as it counts them. */
  readonly lostMessages: number;
  /** Edges that the file of edges lacks, as it counts them. */
  readonly lostEdges: number;
}

/** Happenings of a soak on simulated chips. */
export interface ChipReport {
  /** Chips that came back, and those of them under another number. */
  readonly plugs: number;
  readonly renames: number;
  /** Times that the wall clock was set. */
  readonly jumps: number;
  /** Forces that ended in time. */
  readonly forces: number;
}

/** Findings of a soak. */
export interface SoakReport {
  readonly aggregators: number;
  readonly guests: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly requests: number;
  /** Requests without an answer, connections that ended, API calls that failed. */
  readonly lost: number;
  readonly wrong: number;
  /** The longest round of a cell. **Units**: milliseconds. */
  readonly slowestMs: number;
  /** Well-behaved guests that left and returned. */
  readonly returns: number;
  /** Processes of guests that were killed. */
  readonly kills: number;
  /** Aggregators that API clients made and removed. */
  readonly creations: number;
  readonly reloads: number;
  /** Restarts of the service, and SIGKILLs. */
  readonly restarts: number;
  /** Times that it was stopped for a moment. */
  readonly pauses: number;
  readonly hostileActs: number;
  readonly hostileKinds: number;
  /** Absent if no disk was filled. */
  readonly disk?: DiskReport;
  /** Absent if there were no chips. */
  readonly chips?: ChipReport;
  /** Before the first guest came. */
  readonly start: Usage;
  /** With the well-behaved guests, and nothing else. */
  readonly warm: Usage;
  /** The same, before the restarts. */
  readonly end: Usage;
  /** The same, of the last process. */
  readonly restarted: Usage;
  /** Once all have gone. */
  readonly after: Usage;
  /** The largest memory of its own while hostile peers were there. */
  readonly peakMb: number;
  /** Growth of the memory of its own after the warm-up. */
  readonly slope: Slope;
  /** Violations that were seen, in words. */
  readonly problems: readonly string[];
}

/** Mappings that code and heaps of V8 may need more at one time than another. */
const MAPPING_SLACK = 300;
/** Garbage that is not collected yet. **Units**: MB. */
const RESIDENT_SLACK_MB = 60;
/** In a shorter run memory has not settled. */
const MEMORY_SECONDS = 120;
/** Threads of Deno's pool that wait for work. */
const THREAD_SLACK = 6;

/** Returns the violations; empty if the service held. */
export function listFaults(report: SoakReport): string[] {
  const { warm, end, restarted, start, after } = report;
  const faults: string[] = [];
  if (report.requests === 0) faults.push("no request was made");
  if (report.lost > 0) faults.push(`${report.lost} requests were lost`);
  if (report.wrong > 0) faults.push(`${report.wrong} values were wrong`);
  const grew = (
    what: string,
    before: number,
    now: number,
    slack: number,
    detail = "",
  ) => {
    if (now <= before + slack) return;
    faults.push(`${what} grew from ${round(before)} to ${round(now)}${detail}`);
  };
  grew(
    "descriptors",
    warm.descriptors,
    end.descriptors,
    0,
    changes(warm.kinds, end.kinds),
  );
  grew(
    "descriptors over restarts",
    warm.descriptors,
    restarted.descriptors,
    0,
    changes(warm.kinds, restarted.kinds),
  );
  grew(
    "child processes over restarts",
    warm.children,
    restarted.children,
    0,
  );
  grew("mappings", warm.mappings, end.mappings, MAPPING_SLACK);
  // Two looks may differ by garbage; a leak also shows in the time between.
  const { perMinute, error } = report.slope;
  if (report.seconds >= MEMORY_SECONDS && perMinute > 2 * error) {
    grew("memory", warm.residentMb, end.residentMb, RESIDENT_SLACK_MB);
  }
  grew(
    "threads",
    warm.threads,
    end.threads,
    THREAD_SLACK,
    changes(warm.threadNames, end.threadNames),
  );
  grew("child processes", start.children, end.children, 0);
  grew(
    "descriptors of guests that are gone",
    start.descriptors,
    after.descriptors,
    2,
    changes(start.kinds, after.kinds),
  );
  return [...faults, ...report.problems];
}

type Kinds = ReadonlyMap<string, number>;

/** Kinds that became more or fewer, such as " (socket +1)". */
function changes(before: Kinds, now: Kinds): string {
  const list = [...new Set([...before.keys(), ...now.keys()])]
    .map((kind) => ({
      kind,
      change: (now.get(kind) ?? 0) - (before.get(kind) ?? 0),
    }))
    .filter(({ change }) => change !== 0)
    .map(({ kind, change }) => `${kind} ${change > 0 ? "+" : ""}${change}`);
  return list.length === 0 ? "" : ` (${list.join(", ")})`;
}

/** The table. */
export function formatTable(report: SoakReport): string {
  const { start, warm, end, restarted, after } = report;
  const usage = (
    name: string,
    of: (usage: Usage) => number,
  ) => [
    name,
    ...[start, warm, end, restarted, after].map((each) => round(of(each))),
  ];
  const rows = [
    ["", "start", "warm", "end", "restarted", "left"],
    usage("descriptors", ({ descriptors }) => descriptors),
    usage("mappings", ({ mappings }) => mappings),
    usage("own memory, MB", ({ residentMb }) => residentMb),
    usage("threads", ({ threads }) => threads),
    usage("child processes", ({ children }) => children),
  ];
  const left = [
    `descriptors${changes(start.kinds, after.kinds)}`,
    `threads${changes(start.threadNames, after.threadNames)}`,
  ].join(", ");
  const facts: readonly (readonly [string, number])[] = [
    ["aggregators", report.aggregators],
    ["well-behaved guests", report.guests],
    ["seconds", report.seconds],
    ["rounds a second", report.rounds / report.seconds],
    ["checked requests", report.requests],
    ["lost requests", report.lost],
    ["wrong values", report.wrong],
    ["slowest round of four guests, ms", report.slowestMs],
    ["guests that left and returned", report.returns],
    ["processes of guests killed", report.kills],
    ["aggregators made and removed", report.creations],
    ["reloads", report.reloads],
    ["moments for which the service was stopped", report.pauses],
    ["restarts and SIGKILLs of the service", report.restarts],
    ["kinds of hostile peers", report.hostileKinds],
    ["acts of hostile peers", report.hostileActs],
    ...(report.disk === undefined ? [] : [
      ["times that the service's disk was filled", report.disk.fills],
      ["audit entries on standard error instead", report.disk.diverted],
      ["messages lost by it, counted", report.disk.lostMessages],
      ["edges missing in the last file, counted", report.disk.lostEdges],
    ] as const),
    ...(report.chips === undefined ? [] : [
      ["chips that came back", report.chips.plugs],
      ["chips that came back under another number", report.chips.renames],
      ["times that the wall clock was set", report.chips.jumps],
      ["forces that ended in time all the same", report.chips.forces],
    ] as const),
    ["own memory beside them, MB at most", report.peakMb],
    ["growth of it, MB a minute", report.slope.perMinute],
    ["standard error of the growth", report.slope.error],
  ];
  const width = Math.max(...facts.map(([name]) => name.length));
  return [
    ...facts.map(([name, value]) =>
      `${name.padEnd(width)}  ${round(value).padStart(10)}`
    ),
    "",
    ...rows.map(([name = "", ...values]) =>
      name.padEnd(20) + values.map((value) => value.padStart(10)).join("")
    ),
    "",
    "start: no guest yet; warm, end and, after the restarts, restarted: only " +
    "the well-behaved guests; left: none any more",
    `change from start to left: ${left}`,
  ].join("\n");
}

function round(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}
