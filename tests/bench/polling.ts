/**
 * Round trips with a service that polls (`--poll`): the frontend polls as well,
 * or it waits for its call.
 *
 * @module
 */
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { type Effort, LIKE_QEMU, LINES } from "./effort.ts";
import { MemoryPingPong } from "./memory_ping_pong.ts";
import { pin } from "./pin.ts";
import type { PingPong } from "./ping_pong.ts";
import { cpuTimeUs, sleepCounts, wakeUps } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { polledTrips, roundTrips } from "./round_trip.ts";
import { Server, type ServerCommand } from "./server.ts";
import { besideFloor, medianRatio, type Round } from "./statistics.ts";

/** Longer than a frontend needs for its next request on a busy machine. */
const POLL = ["--poll", "1ms", "--poll-share", "100%"];

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/**
 * Measures both kinds of frontends in turns with their floors.
 *
 * @param floor Two processes that wake each other.
 */
export async function measurePolling(
  command: ServerCommand,
  directory: string,
  floor: PingPong,
  effort: Effort,
  oneCpu: boolean,
): Promise<Measure[]> {
  const socket = `${directory}/polling.sock`;
  const lines = ["--line", `sim/${LINES}`];
  await using server = await Server.run(
    command,
    [...POLL, "--socket-path", socket, ...lines],
    [socket],
  );
  await using memory = await MemoryPingPong.start(directory);
  // Two sides that look at memory need a CPU each.
  if (oneCpu) pin([server.pid, memory.pid], 1);
  using frontend = Frontend.open(socket, {
    timeoutMs: 5000,
    protocolFeatures: LIKE_QEMU,
  });
  const { requests } = GpioDriver.attach(frontend);
  const times = new Float64Array(effort.roundTrips);
  const floors: Round[] = [];
  const memories: Round[] = [];
  const calls: Round[] = [];
  const polled: Round[] = [];
  const called: Round[] = [];
  const cpu = { polled: 0, called: 0, floor: 0 };
  for (let round = -3; round < effort.rounds; round++) {
    // Both sides' compilers settle before anything counts.
    if (round === 0) cpu.polled = cpu.called = cpu.floor = 0;
    const isCounted = round >= 0;
    const add = (list: Round[], one: Round) => isCounted && list.push(one);
    add(memories, memory.round(times));
    add(calls, memory.calledRound(times));
    const start = cpuTimeUs(server.pid);
    add(polled, polledTrips(requests, LINES, times));
    const between = cpuTimeUs(server.pid);
    add(called, roundTrips(requests, LINES, times));
    const end = cpuTimeUs(server.pid);
    const before = cpuTimeUs(floor.pid);
    add(floors, floor.round("epoll", times));
    cpu.floor += cpuTimeUs(floor.pid) - before;
    cpu.polled += between - start;
    cpu.called += end - between;
  }
  const p50 = (list: readonly Round[]) => list.map((each) => each.p50);
  const count = effort.rounds * effort.roundTrips;
  // As with the other measure: Deno's helper threads end after ten seconds.
  sleep(effort.settleMs);
  const before = sleepCounts(server.pid);
  sleep(effort.idleMs);
  const idle = wakeUps(before, sleepCounts(server.pid));
  return [
    {
      name: "both sides poll, p50",
      ...besideFloor(p50(polled), p50(memories)),
      target: { most: 5, of: "ratio" },
      note:
        `GET_VALUE with serve ${POLL.join(" ")} and a frontend that looks ` +
        "at its used ring; floor: two Deno processes that look at two words " +
        "of shared memory",
    },
    {
      name: "… server CPU of a request",
      value: cpu.polled / count,
      unit: "µs",
    },
    {
      name: "the service polls, p50",
      ...besideFloor(p50(called), p50(floors)),
      target: { most: 0.6, of: "ratio" },
      note: "the same with a frontend that waits for its call; floor: the " +
        "ping-pong by eventfds",
    },
    {
      name: "… server CPU of a request",
      value: cpu.called / count,
      unit: "µs",
      floor: cpu.floor / count,
    },
    {
      name: "… beside a floor that polls, p50",
      ...besideFloor(p50(called), p50(calls)),
      note: "floor: one Deno process looks at a word and calls the other by " +
        `an eventfd; it takes ${
          medianRatio(p50(calls), p50(floors)).toFixed(2)
        } times as long as the ping-pong by eventfds`,
    },
    {
      name: "wake-ups at rest, polling",
      value: idle,
      unit: "",
      target: { most: 0, of: "value" },
      note: `of all threads of that server in ${effort.idleMs / 1000} s, ` +
        "once nothing is asked any more",
    },
  ];
}
