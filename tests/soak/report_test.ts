import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { formatTable, listFaults, type SoakReport } from "./report.ts";
import { fitSlope, type Usage } from "./usage.ts";

const USAGE: Usage = {
  descriptors: 100,
  kinds: new Map([["socket", 90], ["anon_inode:[eventfd]", 10]]),
  mappings: 500,
  residentMb: 120,
  threads: 8,
  threadNames: new Map([["deno", 8]]),
  children: 0,
};

const REPORT: SoakReport = {
  aggregators: 200,
  guests: 64,
  seconds: 150,
  rounds: 6000,
  requests: 100_000,
  lost: 0,
  wrong: 0,
  slowestMs: 100,
  returns: 10,
  kills: 5,
  creations: 50,
  reloads: 4,
  restarts: 3,
  pauses: 9,
  hostileActs: 1000,
  hostileKinds: 5,
  start: USAGE,
  warm: USAGE,
  end: USAGE,
  restarted: USAGE,
  after: USAGE,
  peakMb: 300,
  slope: { perMinute: 0, error: 1 },
  problems: [],
};

Deno.test("listFaults() finds nothing in a service that held", () => {
  assertEquals(listFaults(REPORT), []);
  assertStringIncludes(formatTable(REPORT), "own memory, MB             120");
  assertStringIncludes(formatTable({ ...REPORT, rounds: 0 }), "lost requests");
  const after = { ...USAGE, threadNames: new Map([["deno", 7], ["late", 1]]) };
  assertStringIncludes(
    formatTable({ ...REPORT, after }),
    "from start to left: descriptors, threads (deno -1, late +1)",
  );
});

Deno.test("listFaults() names what was lost, wrong or left", () => {
  for (
    const [change, fault] of [
      [{ lost: 1 }, "1 requests were lost"],
      [{ wrong: 2 }, "2 values were wrong"],
      [{ requests: 0 }, "no request was made"],
      [
        { restarted: { ...USAGE, children: 1 } },
        "child processes over restarts grew from 0 to 1",
      ],
      [
        {
          end: {
            ...USAGE,
            descriptors: 101,
            kinds: new Map([["socket", 92], ["anon_inode:[eventfd]", 9]]),
          },
        },
        "descriptors grew from 100 to 101 (socket +2, anon_inode:[eventfd] -1)",
      ],
      [{ end: { ...USAGE, mappings: 900 } }, "mappings grew from 500 to 900"],
      [
        {
          end: { ...USAGE, residentMb: 200 },
          slope: { perMinute: 40, error: 5 },
        },
        "memory grew from 120 to 200",
      ],
      [
        {
          end: { ...USAGE, threads: 20, threadNames: new Map([["deno", 20]]) },
        },
        "threads grew from 8 to 20 (deno +12)",
      ],
      [
        { end: { ...USAGE, children: 1 } },
        "child processes grew from 0 to 1",
      ],
      [
        { after: { ...USAGE, descriptors: 110 } },
        "descriptors of guests that are gone grew from 100 to 110",
      ],
      [{ problems: ["the service ended"] }, "the service ended"],
    ] as const
  ) assertEquals(listFaults({ ...REPORT, ...change }), [fault]);
});

Deno.test("garbage that was not collected yet is no leak", () => {
  const end = { ...USAGE, residentMb: 200 };
  for (const perMinute of [-20, 9]) {
    const slope = { perMinute, error: 5 };
    assertEquals(listFaults({ ...REPORT, end, slope }), []);
  }
  const slope = { perMinute: 40, error: 5 };
  assertEquals(listFaults({ ...REPORT, end, slope, seconds: 20 }), []);
});

Deno.test("fitSlope() is that of the smallest sizes, with its error", () => {
  const samplesOf = (sizes: readonly number[]) =>
    sizes.map((residentMb, i) => ({ atMs: i * 1000, residentMb }));
  const rising = fitSlope(samplesOf([100, 101, 102, 103]));
  assertEquals(rising, { perMinute: 60, error: 0 });
  assertEquals(fitSlope(samplesOf([100])), { perMinute: 0, error: Infinity });
  assertEquals(fitSlope(samplesOf([100, 101])).error, Infinity);
  // Collections at ever later times.
  const saw = Array.from({ length: 200 }, (_, i) => 100 + i * i / 50 % 90);
  const { perMinute, error } = fitSlope(samplesOf(saw));
  assert(Math.abs(perMinute) < 2 * error, `${perMinute} ± ${error}`);
  const leak = fitSlope(samplesOf(saw.map((size, i) => size + i)));
  assert(leak.perMinute > 2 * leak.error, `${leak.perMinute} ± ${leak.error}`);
});
