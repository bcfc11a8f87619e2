/**
 * Runs a soak: a real `gpioagg serve` with many aggregators, well-behaved guests
 * whose every answer is checked, guests that come, go and are killed, API
 * clients, reloads, hostile peers among them, stops of the service, and restarts.
 *
 * @module
 */
import type { ChildProcess } from "../environment/process.ts";
import { Random } from "../fuzz/ring_fuzz_random.ts";
import { diskPaths, DiskWitness } from "./disk_witness.ts";
import {
  apiClient,
  disturbUntil,
  fillings,
  passingGuests,
  spell,
  startPeer,
  type Surroundings,
  Tally,
} from "./disturbances.ts";
import type { GuestsReport } from "./guests_peer.ts";
import {
  CELL,
  configText,
  plan,
  type SoakPlan,
  targetDirectory,
  TARGETS,
} from "./plan.ts";
import type { SoakReport } from "./report.ts";
import { SoakService } from "./service.ts";
import type { SmallDisk } from "./small_disk.ts";
import { fitSlope, readUsage, type Sample, settledUsage } from "./usage.ts";

/** Options of a run. */
export interface SoakOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly aggregators: number;
  /** Well-behaved guests, at most. */
  readonly guests: number;
  /**
   * Looks without a change until what is used counts as settled; fewer than
   * usual for a short run.
   */
  readonly settledLooks?: number;
  /** Limit of the heap of each of the service's isolates. **Units**: MB. */
  readonly heapMb?: number | undefined;
  /** Disk that the service writes to, which is filled and freed. */
  readonly disk?: SmallDisk | undefined;
  /** Told what begins. */
  readonly log?: (text: string) => void;
}

/** Processes that well-behaved guests are divided among. */
const GUEST_PROCESSES = 4;
/** Part of the time after which memory should not grow any more. */
const WARM_UP = 0.35;
/** Part of the time in which the service is restarted: memory begins anew. */
const RESTARTING = 0.15;
const START_LIMIT_MS = 120_000;
const END_LIMIT_MS = 60_000;
/** Work between two restarts. **Units**: milliseconds. */
const RESTART_MS = 2000;

/** Runs a soak. **Ownership**: ends all that it starts. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  await using stack = new AsyncDisposableStack();
  const { log = () => {}, seed, minutes, settledLooks } = options;
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-soak-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const paths = options.disk === undefined
    ? undefined
    : diskPaths(options.disk);
  const soak = plan(
    directory,
    options.aggregators,
    options.guests,
    paths ?? { api: `${directory}/api.sock` },
  );
  const service = stack.use(await startService(soak, paths, options.heapMb));
  const disk = options.disk === undefined
    ? undefined
    : new DiskWitness(options.disk, service);
  const client = apiClient(soak.api);
  const poke = () => client.show(`c0${CELL[0]}`);
  const settled = (most?: number) =>
    settledUsage(service.pid, poke, settledLooks, most);
  const start = await settled();
  log(`serving ${options.aggregators} aggregators, process ${service.pid}`);
  const guests: ChildProcess[] = [];
  const perProcess = Math.ceil(soak.cells / GUEST_PROCESSES);
  for (let first = 0; first < soak.cells; first += perProcess) {
    const count = Math.min(perProcess, soak.cells - first);
    const args = [directory, first, count, seed + first].map(String);
    guests.push(stack.use(startPeer("guests_peer.ts", args)));
  }
  for (const each of guests) {
    await each.waitFor('"event":"ready"', { timeoutMs: START_LIMIT_MS });
  }
  log(`${soak.cells * CELL.length} guests at work`);
  const begin = performance.now();
  const totalMs = minutes * 60_000;
  const samples: Sample[] = [];
  const tally = new Tally();
  const random = new Random(seed);
  const disturb = (ms: number, isMeasured: boolean) =>
    disturbUntil(performance.now() + ms, {
      soak,
      service,
      random,
      tally,
      disk,
      sample: () => {
        if (!isMeasured) return;
        const { residentMb } = readUsage(service.pid);
        samples.push({ atMs: performance.now() - begin, residentMb });
      },
    });
  await disturb(totalMs * WARM_UP, false);
  const usageAtRest = (most?: number) =>
    atRest(guests, async () => {
      await disk?.settle(client);
      return await settled(most);
    });
  const warm = await usageAtRest();
  log("warmed up");
  const rest = performance.now();
  await disturb(totalMs * (1 - WARM_UP - RESTARTING), true);
  const end = await usageAtRest(warm.descriptors);
  log("restarting");
  await restarts(performance.now() + totalMs * RESTARTING, guests, {
    soak,
    service,
    random,
    tally,
    disk,
  });
  const seconds = (performance.now() - rest) / 1000 + totalMs * WARM_UP / 1000;
  const restarted = await usageAtRest(warm.descriptors);
  log("letting all go");
  const reports = await Promise.all(guests.map(readReport));
  const after = await settled(start.descriptors);
  const sum = (of: (report: GuestsReport) => number) =>
    reports.reduce((total, report) => total + of(report), 0);
  const { lastWords } = service;
  if (lastWords !== undefined) {
    tally.problems.push(`the service ended: ${lastWords}`);
  }
  return {
    aggregators: options.aggregators,
    guests: soak.cells * CELL.length,
    seconds,
    rounds: sum(({ rounds }) => rounds),
    requests: sum(({ requests }) => requests),
    lost: sum(({ lost }) => lost) + tally.lost,
    wrong: sum(({ wrong }) => wrong),
    slowestMs: Math.max(...reports.map(({ slowestMs }) => slowestMs)),
    returns: sum(({ returns }) => returns),
    kills: tally.kills,
    creations: tally.creations,
    reloads: tally.reloads,
    restarts: service.restarts,
    pauses: service.pauses,
    hostileActs: tally.hostileActs,
    hostileKinds: tally.kinds.size,
    ...(disk === undefined ? {} : {
      disk: {
        fills: disk.fills,
        diverted: disk.diverted,
        lostMessages: disk.lostMessages,
        lostEdges: disk.countLostEdges(),
      },
    }),
    start,
    warm,
    end,
    restarted,
    after,
    peakMb: Math.max(0, ...samples.map(({ residentMb }) => residentMb)),
    slope: fitSlope(samples),
    problems: [
      ...tally.problems,
      ...disk?.problems ?? [],
      ...reports.flatMap(({ problems }) => problems),
      ...lastWords === undefined ? await unsafeEnd(service) : [],
    ],
  };
}

async function startService(
  soak: SoakPlan,
  paths: ReturnType<typeof diskPaths> | undefined,
  heapMb: number | undefined,
): Promise<SoakService> {
  const { directory } = soak;
  for (let i = 0; i < TARGETS; i++) {
    const place = targetDirectory(soak, i);
    await Deno.mkdir(place);
    await Deno.symlink(soak.api, `${place}/api.sock`);
  }
  const file = `${directory}/soak.yaml`;
  await Deno.writeTextFile(file, configText(soak, 0));
  return await SoakService.start([
    ...["--config", file],
    ...["--api", soak.api],
    ...["--api-sockets", directory],
    ...["--audit-log", paths?.audit ?? `${directory}/audit.log`],
  ], { log: paths?.log, heapMb });
}

/**
 * Does something while the guests are connected and ask for nothing.
 *
 * @param word Tells them to go on, or to begin with new values.
 */
async function atRest<T>(
  guests: readonly ChildProcess[],
  action: () => Promise<T>,
  word: "work" | "begin" = "work",
): Promise<T> {
  for (const each of guests) {
    const from = each.stdout.length;
    await each.write("rest\n");
    await each.waitFor('"event":"resting"', { timeoutMs: END_LIMIT_MS, from });
  }
  const result = await action();
  for (const each of guests) await each.write(`${word}\n`);
  return result;
}

/** Ends a process of guests, and takes what they saw. */
async function readReport(process: ChildProcess): Promise<GuestsReport> {
  await process.closeInput();
  const [line] = await process.waitFor(/^\{"event":"report".*$/m, {
    timeoutMs: END_LIMIT_MS,
  });
  return JSON.parse(line);
}

/**
 * Ends the service again and again, by a restart and by SIGKILL: the guests'
 * connections go on, and simulated lines begin anew. Its disk may be full.
 */
async function restarts(
  endMs: number,
  guests: readonly ChildProcess[],
  { soak, service, random, tally, disk }: Surroundings,
): Promise<void> {
  const goesOn = () => performance.now() < endMs;
  const others = [passingGuests(goesOn, { soak, random, tally })];
  if (disk !== undefined) others.push(fillings(goesOn, { random }, disk));
  while (goesOn()) {
    const signal = random.oneIn(2) ? "SIGUSR2" : "SIGKILL";
    await atRest(guests, () => service.restart(signal), "begin");
    await spell(goesOn, RESTART_MS);
  }
  await Promise.all(others);
}

/** The service's end: outputs safe, status 0. */
async function unsafeEnd(service: SoakService): Promise<string[]> {
  const status = await service.end();
  return status === 0 ? [] : [`the service ended with wait status ${status}`];
}
