import { assertEquals, assertStringIncludes } from "@std/assert";
import { faultsOf, type SoakReport, tableOf } from "./report.ts";
import { slopeOf, type Usage } from "./usage.ts";

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
  seconds: 60,
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
  slopeMbPerMinute: 0,
  problems: [],
};

Deno.test("faultsOf() finds nothing in a service that held", () => {
  assertEquals(faultsOf(REPORT), []);
  assertStringIncludes(tableOf(REPORT), "own memory, MB             120");
  assertStringIncludes(tableOf({ ...REPORT, rounds: 0 }), "lost requests");
  const after = { ...USAGE, threadNames: new Map([["deno", 7], ["late", 1]]) };
  assertStringIncludes(
    tableOf({ ...REPORT, after }),
    "from start to left: descriptors, threads (deno -1, late +1)",
  );
});

Deno.test("faultsOf() names what was lost, wrong or left", () => {
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
      [{ end: { ...USAGE, residentMb: 200 } }, "memory grew from 120 to 200"],
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
  ) assertEquals(faultsOf({ ...REPORT, ...change }), [fault]);
});

Deno.test("slopeOf() is in MB per minute", () => {
  const samples = [0, 1, 2, 3].map((i) => ({
    atMs: i * 1000,
    residentMb: 100 + i,
  }));
  assertEquals(slopeOf(samples), 60);
  assertEquals(slopeOf(samples.slice(0, 1)), 0);
});
