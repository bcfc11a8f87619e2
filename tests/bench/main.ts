/**
 * `deno task bench`: what a request costs, and what serving costs at rest.
 *
 * Everything is measured through this project's own frontend against a real
 * `gpioagg serve` process with simulated lines, and beside its floor: the same
 * machine, in the same run, in turns.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { measureBeside } from "./beside.ts";
import { measureExposures, measureKernelChips } from "./exposures.ts";
import { measureForms } from "./forms.ts";
import { isAdapter, measureKernelChip } from "./kernel_chips.ts";
import { measureGuests } from "./real_guests.ts";
import { measureStockKernels } from "./real_kernel_chip.ts";
import { measureHostile } from "./hostile.ts";
import { HOSTILE_KINDS } from "./hostile_peer.ts";
import { edgesToCall } from "./edge.ts";
import { DEPTH, type Effort, LIKE_QEMU, LINES } from "./effort.ts";
import { PingPong } from "./ping_pong.ts";
import { drawPicture } from "./growth_picture.ts";
import { measureScale } from "./scale.ts";
import {
  cpuTimeUs,
  readMemory,
  sleepCounts,
  wakeUps,
} from "./process_usage.ts";
import { measurePolling } from "./polling.ts";
import { formatTable, isGood, type Measure } from "./report.ts";
import { roundTrips, throughput } from "./round_trip.ts";
import {
  CHECKOUT_COMMAND,
  programCommand,
  Server,
  type ServerCommand,
} from "./server.ts";
import { measurePlays } from "./play.ts";
import { pin } from "./pin.ts";
import { measureRelayKills } from "./relay_kills.ts";
import { measureRestarts } from "./restart.ts";
import { besideFloor, median, type Round } from "./statistics.ts";
import { bareStartMs } from "./start_up.ts";

const USAGE = `Usage: deno task bench [--json] [--check] [--quick]
                       [--one-cpu] [--executable PATH] [--beside PATH]
                       [--rounds N]
       deno task bench --hostile [--only KIND] [--quick] [--json] [--check]
                       [--rounds N]
       deno task bench --scale [--picture FILE] [--quick] [--json] [--check]
                       [--rounds N]
       deno task bench --guest [--quick] [--json] [--rounds N]
       deno task bench --kernel-chip ljca|cp2112 [--restless] [--quick]
                       [--json] [--rounds N]
       deno task bench --restart [--json] [--check] [--rounds N]
       deno task bench --play [--quick] [--json] [--check] [--rounds N]

  --json             one JSON object instead of the table
  --check            exit with 1 when a target is missed
  --one-cpu          all processes on CPU 0 (by taskset): where waking another
                     CPU is slow, as in many VMs, results depend on where the
                     scheduler puts them; this makes runs comparable
  --quick            a tenth of the requests, or of the time: for seeing that
                     all works
  --executable PATH  measure this gpioagg instead of the checkout, and its start
                     and memory beside the checkout's
  --beside PATH      only the requests, in turns with another gpioagg, such as
                     scripts/gpioagg of an older checkout: what did a change
                     cost?
  --hostile          instead: round trips of a guest alone and beside each kind
                     of hostile peer, and how long the API takes meanwhile
  --only KIND        the hostile peers of this kind alone
  --scale            instead: 1 to 200 guests at once, and the start and memory
                     of files with 1 to 200 aggregators
  --picture FILE     draws how they grow, as SVG
  --guest            instead: each exposure in a real guest of QEMU, from its
                     input to its program, from there to its output, and both;
                     and kernel chips by USB of Debian's own kernels
  --kernel-chip ADAPTER
                     instead: a chip of this machine's kernel that is made of
                     this USB adapter, beside virtio-gpio; by root, with the
                     module vhci-hcd
  --restless         no guest rests after a request that took long: for
                     emulation, where each does
  --restart          instead: pauses of a guest over restarts of a service with
                     a spare process, a round each, and a fifth as many
                     SIGKILLs; its sockets are in TMPDIR: a tmpfs is what /run is
  --play             instead: lateness of a play's steps, beside a bare timer
  --rounds N         rounds of each measure, 15 unless told`;

/** Most rounds of a kind of hostile peer, or of a number of guests. */
const SLOW_ROUNDS = 5;

const MEGABYTE = 1_000_000;

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: readonly string[]): Promise<number> {
  const given = parseArgs([...args], {
    boolean: [
      ...["json", "check", "quick", "one-cpu", "help"],
      ...["hostile", "scale", "guest", "restart", "play", "restless"],
    ],
    string: [
      ...["executable", "beside", "rounds", "only", "picture"],
      "kernel-chip",
    ],
    alias: { help: "h" },
    default: { rounds: "15" },
    unknown: (arg: string) => {
      throw new Error(`Unknown argument ${arg}\n${USAGE}`);
    },
  });
  if (given.only !== undefined && !HOSTILE_KINDS.includes(given.only)) {
    throw new Error(`--only is one of: ${HOSTILE_KINDS.join(", ")}`);
  }
  const adapter = given["kernel-chip"];
  if (adapter !== undefined && !isAdapter(adapter)) {
    throw new Error("--kernel-chip is ljca or cp2112");
  }
  if (given.help) {
    console.log(USAGE);
    return 0;
  }
  const scale = given.quick ? 0.1 : 1;
  const effort: Effort = {
    rounds: Number(given.rounds),
    roundTrips: 4000 * scale,
    requests: 200_000 * scale,
    edges: 500 * scale,
    settleMs: given.quick ? 500 : 11_000,
    restMs: given.quick ? 500 : 5000,
    idleMs: 5000 * scale,
    starts: given.quick ? 1 : 5,
  };
  const command: ServerCommand = given.executable !== undefined
    ? [given.executable]
    : given.restless
    ? programCommand("restless_server.ts")
    : CHECKOUT_COMMAND;
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-bench-" });
  try {
    const slowRounds = Math.min(effort.rounds, SLOW_ROUNDS);
    const measures = given.hostile
      ? await measureHostile(
        command,
        directory,
        given.only === undefined ? HOSTILE_KINDS : [given.only],
        slowRounds,
        scale,
      )
      : given.scale
      ? await measureGrowth(
        command,
        directory,
        slowRounds,
        scale,
        given.picture,
      )
      : given.guest
      ? [
        ...await measureGuests(command, directory, effort),
        ...await measureStockKernels(effort, given.quick),
      ]
      : adapter !== undefined
      ? await measureKernelChip(command, directory, effort, adapter)
      : given.play
      ? await measurePlays(command, directory, slowRounds, 1000 * scale)
      : given.restart
      ? await measureRestarts(command, directory, effort.rounds)
      : given.beside === undefined
      ? await measureAll(command, directory, effort, given["one-cpu"])
      : await measureBeside(
        command,
        [given.beside],
        directory,
        effort,
        given["one-cpu"],
      );
    if (given.json) console.log(JSON.stringify({ measures }, null, 1));
    else console.log(formatTable(measures));
    return given.check && !measures.every(isGood) ? 1 : 0;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function measureGrowth(
  command: ServerCommand,
  directory: string,
  rounds: number,
  scale: number,
  picture: string | undefined,
): Promise<Measure[]> {
  const { measures, growth } = await measureScale(
    command,
    directory,
    rounds,
    scale,
  );
  if (picture !== undefined) {
    await Deno.writeTextFile(picture, drawPicture(growth));
  }
  return measures;
}

async function measureAll(
  command: ServerCommand,
  directory: string,
  effort: Effort,
  oneCpu: boolean,
): Promise<Measure[]> {
  await using floor = await PingPong.start(directory);
  const measures: Measure[] = [];
  {
    await using server = await Server.start(command, directory, 1, LINES);
    const atRest = memoryAtRest(server, effort);
    if (oneCpu) pin([Deno.pid, floor.pid, server.pid]);
    measures.push(...measureRing(server, floor, effort));
    measures.push(measureInflight(server, effort));
    measures.push(...measureMemory(server, floor, atRest));
  }
  measures.push(...await measureExposures(command, directory, effort));
  measures.push(...await measureKernelChips(directory, effort));
  measures.push(...await measureRelayKills(directory, effort.starts * 4));
  measures.push(
    ...await measurePolling(command, directory, floor, effort, oneCpu),
  );
  measures.push(await measureMany(command, directory, effort));
  measures.push(await measureStart(command, directory, effort));
  if (command !== CHECKOUT_COMMAND) {
    measures.push(
      ...await measureForms(command, CHECKOUT_COMMAND, directory, effort),
    );
  }
  return measures;
}

function measureRing(
  server: Server,
  floor: PingPong,
  effort: Effort,
): Measure[] {
  using frontend = Frontend.open(server.sockets[0]!, {
    timeoutMs: 5000,
    protocolFeatures: LIKE_QEMU,
  });
  const driver = GpioDriver.attach(frontend);
  const { requests } = driver;
  const times = new Float64Array(effort.roundTrips);
  // Both sides' compilers settle before anything counts.
  for (let i = 0; i < 3; i++) {
    floor.round("epoll", times);
    floor.round("read", times);
    roundTrips(requests, LINES, times);
    throughput(requests, LINES, DEPTH, effort.requests / 4);
  }
  const floors: Round[] = [];
  const reads: Round[] = [];
  const trips: Round[] = [];
  const deep: number[] = [];
  const cpu = { deep: 0, single: 0, floor: 0 };
  for (let round = 0; round < effort.rounds; round++) {
    const start = cpuTimeUs(floor.pid);
    floors.push(floor.round("epoll", times));
    cpu.floor += cpuTimeUs(floor.pid) - start;
    const before = cpuTimeUs(server.pid);
    trips.push(roundTrips(requests, LINES, times));
    const between = cpuTimeUs(server.pid);
    deep.push(throughput(requests, LINES, DEPTH, effort.requests));
    cpu.single += between - before;
    cpu.deep += cpuTimeUs(server.pid) - between;
    reads.push(floor.round("read", times));
  }
  const p50 = (list: readonly Round[]) => list.map((each) => each.p50);
  const p99 = (list: readonly Round[]) => list.map((each) => each.p99);
  const tripCount = effort.rounds * effort.roundTrips;
  const wakeShares = p50(floors).map((each) => each / DEPTH);
  return [
    {
      name: "round trip p50, depth 1",
      ...besideFloor(p50(trips), p50(floors)),
      target: { most: 1.2, of: "ratio" },
      note:
        "GET_VALUE from kick to call; floor: two Deno processes that wake " +
        "each other by eventfd, each with `write` and an edge-triggered " +
        "`epoll_wait` without a `read`",
    },
    {
      name: "round trip p99, depth 1",
      ...besideFloor(p99(trips), p99(floors)),
    },
    {
      name: "ping-pong by read, p50",
      ...besideFloor(p50(reads), p50(floors)),
      note: "for information: the floor's two processes with a blocking " +
        "`read` of the eventfd instead of epoll",
    },
    {
      name: `request at depth ${DEPTH}`,
      ...besideFloor(deep, wakeShares),
      target: { most: 0.4, of: "value" },
      note: `wall time of one request with ${DEPTH} under way, GET_VALUE and ` +
        "SET_VALUE in turns, indirect descriptors, event index, no in-flight " +
        `log (as with QEMU); floor: a ${DEPTH}th of a ping-pong`,
    },
    {
      name: `requests a second, depth ${DEPTH}`,
      value: Math.round(1_000_000 / median(deep)),
      unit: "/s",
    },
    {
      name: `server CPU of a request, depth ${DEPTH}`,
      value: cpu.deep / (effort.rounds * effort.requests),
      unit: "µs",
    },
    {
      name: "server CPU of a request, depth 1",
      value: cpu.single / tripCount,
      unit: "µs",
      floor: cpu.floor / tripCount,
      note: "floor: the ping-pong's other process for one wake-up",
    },
    measureEdges(driver, server, effort),
    measureIdle(driver, server, effort),
  ];
}

/** The same with all that reconnecting frontends negotiate. */
function measureInflight(server: Server, effort: Effort): Measure {
  using frontend = Frontend.open(server.sockets[0]!, { timeoutMs: 30_000 });
  const { requests } = GpioDriver.attach(frontend);
  throughput(requests, LINES, DEPTH, effort.requests / 4);
  const rounds = Array.from(
    { length: Math.ceil(effort.rounds / 3) },
    () => throughput(requests, LINES, DEPTH, effort.requests),
  );
  return {
    name: "… with the in-flight log",
    value: median(rounds),
    unit: "µs",
    note: "wall time of one request with INFLIGHT_SHMFD negotiated, as Cloud " +
      "Hypervisor does",
  };
}

function measureEdges(
  driver: GpioDriver,
  server: Server,
  effort: Effort,
): Measure {
  const control = defaultControlPath(server.sockets[0]!);
  const { edge, answer } = edgesToCall(driver, control, effort.edges);
  return {
    name: "edge to call p50",
    value: edge.p50,
    unit: "µs",
    floor: answer.p50,
    note: "from a request on the control socket that moves a simulated line " +
      "to the call for the guest's interrupt; floor: a control request that " +
      "moves nothing, to its answer",
  };
}

function measureIdle(
  driver: GpioDriver,
  server: Server,
  effort: Effort,
): Measure {
  // At rest does not mean unused: every line waits for an interrupt.
  // Deno's helper threads end after ten seconds without work: each wakes up
  // once for that, and never again.
  sleep(effort.settleMs);
  const before = sleepCounts(server.pid);
  sleep(effort.idleMs);
  return {
    name: "wake-ups at rest",
    value: wakeUps(before, sleepCounts(server.pid)),
    unit: "",
    target: { most: 0, of: "value" },
    note: `of all threads of the server in ${effort.idleMs / 1000} s, with a ` +
      `guest attached and ${driver.lineCount} interrupts armed`,
  };
}

function measureMemory(
  server: Server,
  floor: PingPong,
  atRest: { resident: number; private: number },
): Measure[] {
  const bare = readMemory(floor.pid);
  const used = readMemory(server.pid);
  return [
    {
      name: "memory at rest, 1 aggregator",
      value: atRest.resident / MEGABYTE,
      unit: "MB",
      floor: bare.resident / MEGABYTE,
      target: { most: 60, of: "value" },
      note:
        "resident set, seconds after start; floor: the ping-pong's other process, " +
        "a bare Deno program",
    },
    {
      name: "… of it private",
      value: atRest.private / MEGABYTE,
      unit: "MB",
      floor: bare.private / MEGABYTE,
    },
    {
      name: "… after the requests above",
      value: used.resident / MEGABYTE,
      unit: "MB",
    },
  ];
}

/** Starting leaves what V8 lets go of a moment later: up to half as much more. */
function memoryAtRest(
  server: Server,
  { restMs }: Effort,
): { resident: number; private: number } {
  sleep(restMs);
  return readMemory(server.pid);
}

function sleep(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

async function measureMany(
  command: ServerCommand,
  directory: string,
  effort: Effort,
): Promise<Measure> {
  await using server = await Server.start(command, directory, 16, LINES);
  return {
    name: "memory at rest, 16 aggregators",
    value: memoryAtRest(server, effort).resident / MEGABYTE,
    unit: "MB",
  };
}

async function measureStart(
  command: ServerCommand,
  directory: string,
  effort: Effort,
): Promise<Measure> {
  const starts: number[] = [];
  const bare: number[] = [];
  for (let i = 0; i < effort.starts; i++) {
    bare.push(await bareStartMs());
    await using server = await Server.start(command, directory, 1, LINES);
    starts.push(server.startMs);
  }
  return {
    name: "start-up",
    ...besideFloor(starts, bare, "ms"),
    note: "from the start of the process to its first answer on the " +
      "vhost-user socket; floor: a Deno program that does nothing, start to end",
  };
}
