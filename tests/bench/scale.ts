/**
 * Growth: round trips of many guests at once beside their floor, and the time
 * and memory of a file with many aggregators.
 *
 * @module
 */
import { LINES } from "./effort.ts";
import { Crowd, type CrowdRound } from "./crowd.ts";
import { cpuTimeUs, readMemory } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { median, medianRatio } from "./statistics.ts";

/** Guests at once, and aggregators of a file. */
const COUNTS = [1, 16, 64, 200];
/** Guests that are served by one thread and by a process each, in turns. */
const ISOLATED_COUNT = 4;
/** Lines of an aggregator of the file: 4000 of the largest one. */
const FILE_LINES = 20;
const ROUND_MS = 1000;
const MAX_TRIPS = 1_000_000;
const REST_MS = 3000;
/** Trips of the median guest as a multiple of the worst one's. */
const MOST_UNFAIR = 2;
const MEGABYTE = 1_000_000;
const KILOBYTE = 1000;

/** One point of a curve. */
export interface Point {
  readonly count: number;
  readonly value: number;
}

/** Curves that show how something grows. */
export interface Growth {
  readonly title: string;
  readonly unit: string;
  readonly curves: readonly { name: string; points: readonly Point[] }[];
}

/** Measures and curves of all counts. */
export async function measureScale(
  command: ServerCommand,
  directory: string,
  rounds: number,
  scale: number,
): Promise<{ measures: Measure[]; growth: Growth[] }> {
  const guests = [];
  for (const count of COUNTS) {
    guests.push(
      await measureGuests(command, directory, count, rounds, ROUND_MS * scale),
    );
  }
  const isolated = await measureIsolated(
    command,
    directory,
    rounds,
    ROUND_MS * scale,
  );
  const files = [];
  for (const count of COUNTS) {
    files.push(await measureFile(command, directory, count, rounds, scale));
  }
  const curve = <Each extends { count: number }>(
    name: string,
    list: readonly Each[],
    of: (each: Each) => number,
  ) => ({
    name,
    points: list.map((each) => ({ count: each.count, value: of(each) })),
  });
  const first = files[0]!;
  const last = files.at(-1)!;
  const more = last.count - first.count;
  return {
    measures: [
      ...guests.flatMap(({ measures }) => measures),
      ...isolated,
      ...files.flatMap(({ measures }) => measures),
      {
        name: "start-up of one more aggregator of a file",
        value: (last.startMs - first.startMs) / more,
        unit: "ms",
      },
      {
        name: "resident memory of one more",
        value: (last.resident - first.resident) / more / KILOBYTE,
        unit: "kB",
      },
    ],
    growth: [
      {
        title: "Round trips a second, all guests together",
        unit: "/s",
        curves: [
          curve("gpioagg", guests, ({ rate }) => rate),
          curve("eventfds alone", guests, ({ floorRate }) => floorRate),
        ],
      },
      {
        title: "Round trip of a guest",
        unit: "µs",
        curves: [
          curve("p99", guests, ({ p99 }) => p99),
          curve("p50", guests, ({ p50 }) => p50),
          curve("eventfds, p50", guests, ({ floorP50 }) => floorP50),
        ],
      },
      {
        title: `Start-up of a file, ${FILE_LINES} lines an aggregator`,
        unit: "ms",
        curves: [curve("first answer", files, ({ startMs }) => startMs)],
      },
      {
        title: "Resident memory",
        unit: "MB",
        curves: [
          curve("at rest", files, ({ resident }) => resident / MEGABYTE),
        ],
      },
    ],
  };
}

async function measureGuests(
  command: ServerCommand,
  directory: string,
  count: number,
  rounds: number,
  ms: number,
) {
  await using server = await Server.start(command, directory, count, LINES);
  await using floor = await Crowd.ofEventFds(directory, count);
  await using guests = await Crowd.ofGuests(server.sockets, LINES);
  const times = new Float64Array(MAX_TRIPS);
  for (let i = 0; i < 2; i++) {
    floor.round(ms / 4, times);
    guests.round(ms / 4, times);
  }
  const floors: CrowdRound[] = [];
  const crowds: CrowdRound[] = [];
  let cpuUs = 0;
  let trips = 0;
  for (let round = 0; round < rounds; round++) {
    floors.push(floor.round(ms, times));
    const before = cpuTimeUs(server.pid);
    const crowd = guests.round(ms, times);
    cpuUs += cpuTimeUs(server.pid) - before;
    trips += crowd.rate * ms / 1000;
    crowds.push(crowd);
  }
  const of = (list: readonly CrowdRound[], key: keyof CrowdRound) =>
    list.map((each) => each[key]);
  const rate = median(of(crowds, "rate"));
  const floorRate = median(of(floors, "rate"));
  const p50 = median(of(crowds, "p50"));
  const p99 = median(of(crowds, "p99"));
  const floorP50 = median(of(floors, "p50"));
  const title = `${count} guest${count === 1 ? "" : "s"} at once`;
  const measures: Measure[] = [
    {
      name: `${title}: round trips in all`,
      value: Math.round(rate),
      unit: "/s",
      floor: Math.round(floorRate),
      // The other way round: above 1 is slower, as everywhere.
      ratio: medianRatio(of(floors, "rate"), of(crowds, "rate")),
      note: "floor: as many pairs of eventfds that a bare Deno process " +
        "answers; the ratio is that of the times",
    },
    {
      name: `${title}: p50`,
      value: p50,
      unit: "µs",
      floor: floorP50,
      ratio: medianRatio(of(crowds, "p50"), of(floors, "p50")),
    },
    {
      name: `${title}: p99`,
      value: p99,
      unit: "µs",
      floor: median(of(floors, "p99")),
      ratio: medianRatio(of(crowds, "p99"), of(floors, "p99")),
    },
    {
      name: `${title}: server CPU of a request`,
      value: cpuUs / trips,
      unit: "µs",
    },
  ];
  if (count > 1) {
    measures.push({
      name: `${title}: median guest over the worst`,
      value: 1 / median(of(crowds, "worstPart")),
      unit: "",
      target: { most: MOST_UNFAIR, of: "value" },
      note: "round trips in the same time",
    });
  }
  return { count, measures, rate, floorRate, p50, p99, floorP50 };
}

/** Measures the gain of a process for each aggregator, with both kinds of guests. */
async function measureIsolated(
  command: ServerCommand,
  directory: string,
  rounds: number,
  ms: number,
): Promise<Measure[]> {
  const count = ISOLATED_COUNT;
  const places = ["together", "isolated"].map((name) => `${directory}/${name}`);
  for (const place of places) await Deno.mkdir(place);
  const [together, isolated] = places as [string, string];
  await using one = await Server.start(command, together, count, LINES);
  await using each = await Server.start(command, isolated, count, LINES, [
    "--isolate",
  ]);
  const measures: Measure[] = [];
  const kinds = [
    ["guests at once", "", Crowd.ofGuests],
    [
      "guests with a full ring",
      ", which cost little beside their requests",
      Crowd.ofDeepGuests,
    ],
  ] as const;
  for (const [title, cost, crowdOf] of kinds) {
    await using shared = await crowdOf(one.sockets, LINES);
    await using alone = await crowdOf(each.sockets, LINES);
    const times = new Float64Array(MAX_TRIPS);
    for (let i = 0; i < 2; i++) {
      shared.round(ms / 4, times);
      alone.round(ms / 4, times);
    }
    const floors: number[] = [];
    const rates: number[] = [];
    for (let round = 0; round < rounds; round++) {
      floors.push(shared.round(ms, times).rate);
      rates.push(alone.round(ms, times).rate);
    }
    measures.push({
      name: `${count} ${title}, isolate: process`,
      value: Math.round(median(rates)),
      unit: "/s",
      floor: Math.round(median(floors)),
      ratio: medianRatio(floors, rates),
      note: "floor: the same guests of one service; the ratio is that of " +
        `the times, on ${navigator.hardwareConcurrency} CPUs that the ` +
        `guests use too${cost}`,
    });
  }
  return measures;
}

async function measureFile(
  command: ServerCommand,
  directory: string,
  count: number,
  rounds: number,
  scale: number,
) {
  const config = `${directory}/${count}.yaml`;
  const sockets = Array.from(
    { length: count },
    (_, i) => `${directory}/f${count}-${i}.sock`,
  );
  await Deno.writeTextFile(
    config,
    "aggregators:\n" +
      sockets.map((socket, i) =>
        `  a${i}:\n    vhost-user: ${socket}\n    lines: [sim/${FILE_LINES}]\n`
      ).join(""),
  );
  const starts: number[] = [];
  let memory = { resident: 0, private: 0 };
  for (let round = 0; round < rounds; round++) {
    await using server = await Server.run(
      command,
      ["--config", config],
      sockets,
    );
    starts.push(server.startMs);
    if (round > 0) continue;
    await new Promise((resolve) => setTimeout(resolve, REST_MS * scale));
    memory = readMemory(server.pid);
  }
  const startMs = median(starts);
  const title = `file of ${count * FILE_LINES} lines in ${count} aggregator${
    count === 1 ? "" : "s"
  }`;
  const measures: Measure[] = [
    { name: `${title}: start-up`, value: startMs, unit: "ms" },
    {
      name: `${title}: resident memory`,
      value: memory.resident / MEGABYTE,
      unit: "MB",
    },
    { name: "… of it private", value: memory.private / MEGABYTE, unit: "MB" },
  ];
  return { count, measures, startMs, resident: memory.resident };
}
