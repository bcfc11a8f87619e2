/**
 * Cost of a hostile peer for a guest beside it: round trips of a well-behaved
 * guest alone and beside each kind of peer, in turns, and the time until the
 * API answers.
 *
 * Each turn has a time, not a number of round trips: a peer that delays others
 * makes results worse, not the run longer.
 *
 * @module
 */
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { ChildProcess } from "../environment/process.ts";
import { LIKE_QEMU } from "./effort.ts";
import { cpuTimeUs } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { roundTrips } from "./round_trip.ts";
import type { ServerCommand } from "./server.ts";
import { besideFloor, median, type Round } from "./statistics.ts";

const PEER = `${import.meta.dirname}/hostile_peer.ts`;
const START_LIMIT_MS = 20_000;
const API_LIMIT_MS = 2000;
const GUEST_LINES = 8;
const HOSTILE_LINES = 1000;
/** Time of round trips, alone and beside, per round. **Units**: ms. */
const TURN_MS = 1000;
/** Room for more round trips than a turn has time for. */
const MAX_TRIPS = 400_000;
/** Time until a peer's start is over. **Units**: milliseconds. */
const SETTLE_MS = 300;
/** A process rests that computes less than this in a period, which is awaited. */
const REST_US = 10_000;
const REST_MS = 200;
const REST_LIMIT_MS = 10_000;
/** Questions to the API per turn, and the time after which none follows. */
const QUESTIONS = 10;
const QUESTIONS_MS = 1000;
/** Targets: times the round trip alone, µs, and ms. */
const MOST_RATIO = 2;
const MOST_P99_US = 1000;
const MOST_API_MS = 50;

/** Measures some kinds of peers, one after another. */
export async function measureHostile(
  command: ServerCommand,
  directory: string,
  kinds: readonly string[],
  rounds: number,
  scale: number,
): Promise<Measure[]> {
  const measures: Measure[] = [];
  for (const kind of kinds) {
    // A server of its own: nothing of one peer is left for the next.
    const place = await Deno.makeTempDir({ dir: directory });
    measures.push(...await measureKind(command, place, kind, rounds, scale));
  }
  return measures;
}

async function measureKind(
  [program, ...args]: ServerCommand,
  directory: string,
  kind: string,
  rounds: number,
  scale: number,
): Promise<Measure[]> {
  await using server = await started({
    command: program,
    args: [
      ...args,
      "serve",
      ...["--json", "--api", `${directory}/api.sock`],
      ...["--socket-path", `${directory}/hostile.sock`],
      ...["--line", `sim/${HOSTILE_LINES}`],
      "--qemu-pins",
      `qtest=${directory}/qtest.sock,qmp=${directory}/qmp.sock`,
      ...["--line", "sim/8"],
      ...["--socket-path", `${directory}/good.sock`],
      ...["--line", `sim/${GUEST_LINES}`],
    ],
  }, '"event":"ready"');
  using frontend = Frontend.open(`${directory}/good.sock`, {
    timeoutMs: 5000,
    protocolFeatures: LIKE_QEMU,
  });
  const { requests } = GpioDriver.attach(frontend);
  const times = new Float64Array(MAX_TRIPS);
  const trips = () => roundTrips(requests, GUEST_LINES, times, TURN_MS * scale);
  const api = `${directory}/api.sock`;
  // Compilers settle before anything counts.
  for (let i = 0; i < 3; i++) {
    trips();
    slowestAnswerMs(api);
  }
  const alone: Round[] = [];
  const beside: Round[] = [];
  let slowestAlone = 0;
  let slowest = 0;
  for (let round = 0; round < rounds; round++) {
    // What the last peer left, such as a backlog of connections, is no peace.
    waitForRest(server.pid);
    alone.push(trips());
    slowestAlone = Math.max(slowestAlone, slowestAnswerMs(api));
    // Sockets that the last one listened at.
    for (const name of ["qmp.sock", "qtest.sock"]) {
      await Deno.remove(`${directory}/${name}`).catch(() => {});
    }
    await using _peer = await started({
      command: Deno.execPath(),
      args: ["run", "-q", "-P=unit", "--no-prompt", PEER, kind, directory],
      graceMs: 0,
    }, "ready");
    pollFd(-1, 0, SETTLE_MS);
    beside.push(trips());
    slowest = Math.max(slowest, slowestAnswerMs(api));
  }
  const of = (list: readonly Round[], which: keyof Round) =>
    list.map((each) => each[which]);
  return [
    {
      name: `${kind}: p50`,
      ...besideFloor(of(beside, "p50"), of(alone, "p50")),
      target: { most: MOST_RATIO, of: "ratio" },
    },
    {
      name: `${kind}: p99`,
      value: median(of(beside, "p99")),
      unit: "µs",
      floor: median(of(alone, "p99")),
      target: { most: MOST_P99_US, of: "value" },
    },
    {
      name: `${kind}: slowest round trip`,
      value: Math.max(...of(beside, "max")),
      unit: "µs",
      floor: Math.max(...of(alone, "max")),
    },
    {
      name: `${kind}: API, slowest answer`,
      value: slowest,
      unit: "ms",
      floor: slowestAlone,
      target: { most: MOST_API_MS, of: "value" },
    },
  ];
}

/** Waits until a process has nothing to do any more. */
function waitForRest(pid: number): void {
  const end = performance.now() + REST_LIMIT_MS;
  let before = cpuTimeUs(pid);
  while (performance.now() < end) {
    pollFd(-1, 0, REST_MS);
    const after = cpuTimeUs(pid);
    if (after - before < REST_US) return;
    before = after;
  }
}

/** Starts a process and waits until it says so. */
async function started(
  options: ConstructorParameters<typeof ChildProcess>[0],
  word: string,
): Promise<ChildProcess> {
  const process = new ChildProcess(options);
  try {
    await process.waitFor(word, { timeoutMs: START_LIMIT_MS });
    return process;
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns the time of the slowest of some answers of the API. **Units**: ms. */
function slowestAnswerMs(path: string): number {
  const from = performance.now();
  let slowest = 0;
  for (let i = 0; i < QUESTIONS; i++) {
    slowest = Math.max(slowest, answerMs(path));
    if (performance.now() - from > QUESTIONS_MS) break;
  }
  return slowest;
}

/** Time that the API takes for the state of one aggregator. **Units**: ms. */
function answerMs(path: string): number {
  const from = performance.now();
  using socket = connectUnix(path);
  send(
    socket.fd,
    new TextEncoder().encode(
      "GET /v1/aggregators/good HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    ),
  );
  const answer = new Uint8Array(1 << 16);
  while (performance.now() < from + API_LIMIT_MS) {
    if (pollFd(socket.fd, POLLIN, 100) === 0) continue;
    if (receiveBytes(socket.fd, answer) >= 0) break;
  }
  return performance.now() - from;
}
