/**
 * Lateness of the steps of a play, by the record of their edges, beside that of
 * a bare kernel timer.
 *
 * @module
 */
import { clockNs } from "../../ffi/clock.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { TimerFd } from "../../ffi/timer_fd.ts";
import { ServiceClient } from "../../src/client/client.ts";
import { PlayClock } from "../../src/cli/play/play_clock.ts";
import { playPlan } from "../../src/cli/play/play_plan.ts";
import { until } from "../environment/wait.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { besideFloor, type Round, summarize } from "./statistics.ts";

/** Time between two steps. **Units**: nanoseconds. */
const STEP_NS = 2e6;
/** Time before the first step of the floor. **Units**: nanoseconds. */
const LEAD_NS = 100e6;
/** **Units**: nanoseconds. */
const NS_PER_US = 1000;
/** Lateness that a play is to keep within. **Units**: microseconds. */
const MOST_US = 1000;

/** Measures plays of `steps` steps in turns with a bare timer. */
export async function measurePlays(
  command: ServerCommand,
  directory: string,
  rounds: number,
  steps: number,
): Promise<Measure[]> {
  const api = `${directory}/play.sock`;
  await using _server = await Server.start(command, directory, 1, 1, [
    ...["--api", api],
  ]);
  const client = new ServiceClient(api);
  await until("the control API", async () => {
    return await client.list().then(() => true, () => false);
  });
  const plays: Round[] = [];
  const floors: Round[] = [];
  // The compilers settle before anything counts.
  await onePlay(client, steps);
  for (let round = 0; round < rounds; round++) {
    floors.push(bareTimer(steps));
    plays.push(await onePlay(client, steps));
  }
  const makeMeasure = (
    name: string,
    of: (round: Round) => number,
  ): Measure => ({
    name,
    ...besideFloor(plays.map(of), floors.map(of)),
  });
  return [
    {
      ...makeMeasure("lateness of a play's step, p50", ({ p50 }) => p50),
      target: { most: MOST_US, of: "value" },
      note:
        `${steps} steps, one each ${STEP_NS / 1e6} ms, by the times in the ` +
        "record; floor: the same times by a bare timerfd",
    },
    makeMeasure("the same, p99", ({ p99 }) => p99),
    makeMeasure("the same, worst of a play", ({ max }) => max),
  ];
}

async function onePlay(client: ServiceClient, count: number): Promise<Round> {
  const [one] = await client.list();
  const { name: aggregator, lines } = one!;
  const first = lines[0]!.value === 1 ? 0 : 1;
  const clock = new PlayClock();
  const { startNs } = await playPlan(client, {
    parts: [{
      aggregator,
      lines: [lines[0]!.name],
      steps: Array.from({ length: count }, (_, i) => ({
        afterNs: i * STEP_NS,
        line: 0,
        value: (first + i & 1) as 0 | 1,
      })),
    }],
    durationNs: count * STEP_NS,
    leftOut: [],
  }, {
    loop: false,
    signal: new AbortController().signal,
    now: () => clock.nowNs,
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  });
  const { edges } = await client.history({ from: String(startNs) });
  if (edges.length !== count) {
    throw new Error(`The record has ${edges.length} edges of ${count} steps`);
  }
  return summarize(
    Float64Array.from(
      edges,
      ({ time }, i) =>
        Number(BigInt(time) - startNs - BigInt(i * STEP_NS)) / NS_PER_US,
    ),
  );
}

function bareTimer(count: number): Round {
  using timer = new TimerFd();
  const start = Number(clockNs("monotonic")) + LEAD_NS;
  return summarize(Float64Array.from({ length: count }, (_, i) => {
    const dueNs = start + i * STEP_NS;
    timer.set(dueNs);
    pollFd(timer.fd, POLLIN, -1);
    return (Number(clockNs("monotonic")) - dueNs) / NS_PER_US;
  }));
}
