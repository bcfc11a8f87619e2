/**
 * Two versions of gpioagg in turns: what a change costs on the hot path. Both
 * have the same frontend, so only the servers differ.
 *
 * @module
 */
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import type { RequestQueue } from "../../src/vhost_frontend/request_queue.ts";
import { DEPTH, type Effort, LIKE_QEMU, LINES } from "./effort.ts";
import { pin } from "./pin.ts";
import { cpuTimeUs } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { roundTrips, throughput } from "./round_trip.ts";
import { Server, type ServerCommand } from "./server.ts";
import { besideFloor } from "./statistics.ts";

/** One of the two, with a frontend and what it measured. */
class Contestant implements AsyncDisposable {
  readonly tripsUs: number[] = [];
  readonly deepUs: number[] = [];
  readonly tripCpuUs: number[] = [];
  readonly deepCpuUs: number[] = [];
  readonly #server: Server;
  readonly #frontend: Frontend;
  readonly #requests: RequestQueue;

  private constructor(server: Server) {
    this.#server = server;
    this.#frontend = Frontend.open(server.sockets[0]!, {
      timeoutMs: 5000,
      protocolFeatures: LIKE_QEMU,
    });
    this.#requests = GpioDriver.attach(this.#frontend).requests;
  }

  static async start(
    command: ServerCommand,
    directory: string,
  ): Promise<Contestant> {
    await Deno.mkdir(directory);
    return new Contestant(await Server.start(command, directory, 1, LINES));
  }

  get pid(): number {
    return this.#server.pid;
  }

  warmUp(times: Float64Array, requests: number): void {
    roundTrips(this.#requests, LINES, times);
    throughput(this.#requests, LINES, DEPTH, requests);
  }

  measure(times: Float64Array, requests: number): void {
    const start = cpuTimeUs(this.pid);
    this.tripsUs.push(roundTrips(this.#requests, LINES, times).p50);
    const between = cpuTimeUs(this.pid);
    this.deepUs.push(throughput(this.#requests, LINES, DEPTH, requests));
    this.tripCpuUs.push((between - start) / times.length);
    this.deepCpuUs.push((cpuTimeUs(this.pid) - between) / requests);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#frontend[Symbol.dispose]();
    await this.#server[Symbol.asyncDispose]();
  }
}

/**
 * Measures both in turns: each round one after the other, who is first in
 * turns too.
 *
 * @returns Measures of `command`; their floors are those of `other`.
 */
export async function measureBeside(
  command: ServerCommand,
  other: ServerCommand,
  directory: string,
  effort: Effort,
  oneCpu: boolean,
): Promise<Measure[]> {
  await using ours = await Contestant.start(command, `${directory}/ours`);
  await using theirs = await Contestant.start(other, `${directory}/theirs`);
  if (oneCpu) pin([Deno.pid, ours.pid, theirs.pid]);
  const times = new Float64Array(effort.roundTrips);
  const order = [ours, theirs];
  for (let i = 0; i < 3; i++) {
    for (const one of order) one.warmUp(times, effort.requests / 4);
  }
  for (let round = 0; round < effort.rounds; round++) {
    for (const one of order) one.measure(times, effort.requests);
    order.reverse();
  }
  const row = (name: string, values: number[], floors: number[]): Measure => ({
    name,
    ...besideFloor(values, floors),
    note: "floor: the other gpioagg, in turns",
  });
  return [
    row("round trip p50, depth 1", ours.tripsUs, theirs.tripsUs),
    row(`request at depth ${DEPTH}`, ours.deepUs, theirs.deepUs),
    row("server CPU of a request, depth 1", ours.tripCpuUs, theirs.tripCpuUs),
    row(
      `server CPU of a request, depth ${DEPTH}`,
      ours.deepCpuUs,
      theirs.deepCpuUs,
    ),
  ];
}
