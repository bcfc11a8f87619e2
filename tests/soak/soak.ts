/**
 * Runs a soak: a real `gpioagg serve` with many aggregators, well-behaved guests
 * whose every answer is checked, guests that come, go and are killed, API
 * clients, reloads, hostile peers among them, stops of the service, and restarts.
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";
import { HOSTILE_KINDS } from "../bench/hostile_peer.ts";
import { ChildProcess } from "../environment/process.ts";
import { Random } from "../fuzz/ring_fuzz_random.ts";
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
import { type Sample, settledUsage, slopeOf, usageOf } from "./usage.ts";

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
/** Limit for an answer to an API client: the machine may be busy. */
const API_LIMIT_MS = 60_000;
/** Life of guests that come and go until they are killed. **Units**: ms. */
const LIFE_MS = 3000;
/** Duration of a kind of hostile peer. **Units**: milliseconds. */
const SPELL_MS = 4000;
const RELOAD_MS = 5000;
const CREATE_MS = 100;
/** Work between two restarts, and between two stops of at most so long. */
const RESTART_MS = 2000;
const PAUSE_EVERY_MS = 4000;
const MAX_PAUSE_MS = 500;
const SAMPLE_MS = 1000;
/** Aggregators that a reload brings or takes away, at most. */
const MAX_EXTRA = 6;

/** Counts of one run. */
class Tally {
  kills = 0;
  creations = 0;
  reloads = 0;
  lost = 0;
  hostileActs = 0;
  readonly problems: string[] = [];
  readonly kinds = new Set<string>();

  lose(what: string, error: unknown): void {
    this.lost++;
    if (this.problems.length < 10) this.problems.push(`${what}: ${error}`);
  }
}

/** Runs a soak. **Ownership**: ends all that it starts. */
export async function runSoak(options: SoakOptions): Promise<SoakReport> {
  await using stack = new AsyncDisposableStack();
  const { log = () => {}, seed, minutes, settledLooks } = options;
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-soak-" });
  stack.defer(() => Deno.remove(directory, { recursive: true }));
  const soak = plan(directory, options.aggregators, options.guests);
  const service = stack.use(await startService(soak));
  const client = apiClient(`${directory}/api.sock`);
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
      sample: () => {
        if (!isMeasured) return;
        const { residentMb } = usageOf(service.pid);
        samples.push({ atMs: performance.now() - begin, residentMb });
      },
    });
  await disturb(totalMs * WARM_UP, false);
  const warm = await atRest(guests, () => settled());
  log("warmed up");
  const rest = performance.now();
  await disturb(totalMs * (1 - WARM_UP - RESTARTING), true);
  const end = await atRest(guests, () => settled(warm.descriptors));
  log("restarting");
  await restarts(performance.now() + totalMs * RESTARTING, guests, {
    soak,
    service,
    random,
    tally,
  });
  const seconds = (performance.now() - rest) / 1000 + totalMs * WARM_UP / 1000;
  const restarted = await atRest(guests, () => settled(warm.descriptors));
  log("letting all go");
  const reports = await Promise.all(guests.map(reportOf));
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
    start,
    warm,
    end,
    restarted,
    after,
    peakMb: Math.max(0, ...samples.map(({ residentMb }) => residentMb)),
    slopeMbPerMinute: slopeOf(samples),
    problems: [
      ...tally.problems,
      ...reports.flatMap(({ problems }) => problems),
      ...lastWords === undefined ? await unsafeEnd(service) : [],
    ],
  };
}

async function startService(soak: SoakPlan): Promise<SoakService> {
  const { directory } = soak;
  for (let i = 0; i < TARGETS; i++) {
    const place = targetDirectory(soak, i);
    await Deno.mkdir(place);
    await Deno.symlink(`${directory}/api.sock`, `${place}/api.sock`);
  }
  const file = `${directory}/soak.yaml`;
  await Deno.writeTextFile(file, configText(soak, 0));
  return await SoakService.start([
    ...["--config", file],
    ...["--api", `${directory}/api.sock`],
    ...["--api-sockets", directory],
    ...["--audit-log", `${directory}/audit.log`],
  ]);
}

function apiClient(socket: string): ServiceClient {
  return new ServiceClient(socket, { limitMs: API_LIMIT_MS });
}

function startPeer(file: string, args: readonly string[]): ChildProcess {
  const path = file.startsWith("/") ? file : `${import.meta.dirname}/${file}`;
  return new ChildProcess({
    command: Deno.execPath(),
    args: ["run", "-q", "-P=unit", "--no-prompt", "--no-check", path, ...args],
    input: true,
    graceMs: 2000,
  });
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
async function reportOf(process: ChildProcess): Promise<GuestsReport> {
  await process.closeInput();
  const [line] = await process.waitFor(/^\{"event":"report".*$/m, {
    timeoutMs: END_LIMIT_MS,
  });
  return JSON.parse(line);
}

interface Restarting {
  readonly soak: SoakPlan;
  readonly service: SoakService;
  readonly random: Random;
  readonly tally: Tally;
}

interface Disturbance extends Restarting {
  readonly sample: () => void;
}

/**
 * Ends the service again and again, by a restart and by SIGKILL: the guests'
 * connections go on, and simulated lines begin anew.
 */
async function restarts(
  endMs: number,
  guests: readonly ChildProcess[],
  { soak, service, random, tally }: Restarting,
): Promise<void> {
  const goesOn = () => performance.now() < endMs;
  const passing = passingGuests(goesOn, { soak, random, tally });
  while (goesOn()) {
    const signal = random.oneIn(2) ? "SIGUSR2" : "SIGKILL";
    await atRest(guests, () => service.restart(signal), "begin");
    await spell(goesOn, RESTART_MS);
  }
  await passing;
}

/** Stops the service for moments. */
async function pauses(
  goesOn: () => boolean,
  { service, random }: Disturbance,
): Promise<void> {
  while (goesOn()) {
    await service.pause(random.below(MAX_PAUSE_MS));
    await spell(goesOn, PAUSE_EVERY_MS);
  }
}

/** Everything that may disturb, until a time; all of it is over afterwards. */
async function disturbUntil(
  endMs: number,
  disturbance: Disturbance,
): Promise<void> {
  const goesOn = () => performance.now() < endMs;
  await Promise.all([
    passingGuests(goesOn, disturbance),
    creations(goesOn, disturbance),
    reloads(goesOn, disturbance),
    samples(goesOn, disturbance),
    pauses(goesOn, disturbance),
    ...Array.from(
      { length: TARGETS },
      (_, i) => hostilePeers(i, goesOn, disturbance),
    ),
  ]);
}

/** Guests that come and go, and are killed in their midst. */
async function passingGuests(
  goesOn: () => boolean,
  { soak, random, tally }: Omit<Restarting, "service">,
): Promise<void> {
  while (goesOn()) {
    const peer = startPeer("passing_guest.ts", [
      soak.directory,
      String(soak.passing),
      String(random.uint32()),
    ]);
    await spell(goesOn, LIFE_MS);
    if (peer.status !== undefined && peer.status.code !== 0) {
      tally.problems.push(`a passing guest failed: ${peer.stderr}`);
    }
    peer.kill("SIGKILL");
    await peer[Symbol.asyncDispose]();
    tally.kills++;
  }
}

/** Aggregators of API clients, with and without leases. */
async function creations(
  goesOn: () => boolean,
  { soak, random, tally }: Disturbance,
): Promise<void> {
  const client = apiClient(`${soak.directory}/api.sock`);
  for (let i = 0; goesOn(); i++) {
    const name = `made${i}`;
    try {
      if (random.oneIn(2)) {
        await using made = await client.create({
          name,
          lines: ["sim/4,safe=0"],
        });
        if (made.name !== name) throw new Error(`it is called ${made.name}`);
      } else {
        await client.createLasting({ name, lines: ["sim/2"] });
        await client.show(name);
        await client.remove(name);
      }
      tally.creations++;
    } catch (error) {
      tally.lose(`the API client of ${name}`, error);
      // It may be there or not; the next one has another name.
      await client.remove(name).catch(() => {});
    }
    await sleep(CREATE_MS);
  }
}

/** Configurations that differ by aggregators without guests. */
async function reloads(
  goesOn: () => boolean,
  { soak, random, tally }: Disturbance,
): Promise<void> {
  const client = apiClient(`${soak.directory}/api.sock`);
  const reload = async (extra: number) => {
    try {
      await Deno.writeTextFile(
        `${soak.directory}/soak.yaml`,
        configText(soak, extra),
      );
      await client.reload();
      tally.reloads++;
    } catch (error) {
      tally.lose("a reload", error);
    }
  };
  while (goesOn()) {
    await reload(random.below(MAX_EXTRA + 1));
    await spell(goesOn, RELOAD_MS);
  }
  await reload(0);
}

async function samples(
  goesOn: () => boolean,
  { sample }: Disturbance,
): Promise<void> {
  while (goesOn()) {
    sample();
    await sleep(SAMPLE_MS);
  }
}

/** Hostile peers at one target: those of the benchmark in turn with ours. */
async function hostilePeers(
  target: number,
  goesOn: () => boolean,
  { soak, random, tally }: Disturbance,
): Promise<void> {
  const place = targetDirectory(soak, target);
  const bench = `${import.meta.dirname}/../bench/hostile_peer.ts`;
  for (let i = target; goesOn(); i++) {
    const isOurs = i % 2 === 0;
    const kind = isOurs
      ? "descriptors, memory, bodies, names"
      : random.pick(HOSTILE_KINDS);
    const peer = isOurs
      ? startPeer("hostile_peer.ts", [place, String(random.uint32())])
      : startPeer(bench, [kind, place]);
    tally.kinds.add(kind);
    await spell(goesOn, SPELL_MS);
    if (isOurs) await countActs(peer, tally);
    else peer.kill("SIGKILL");
    await peer[Symbol.asyncDispose]();
    // Sockets that a hostile QEMU listened at.
    for (const name of ["qmp.sock", "qtest.sock"]) {
      await Deno.remove(`${place}/${name}`).catch(() => {});
    }
  }
}

async function countActs(peer: ChildProcess, tally: Tally): Promise<void> {
  try {
    await peer.closeInput();
    const [line] = await peer.waitFor(/^\{"event":"report".*$/m, {
      timeoutMs: START_LIMIT_MS,
    });
    tally.hostileActs += JSON.parse(line).acts;
  } catch (error) {
    tally.problems.push(`a hostile peer could not go on: ${error}`);
  }
}

/** The service's end: outputs safe, status 0. */
async function unsafeEnd(service: SoakService): Promise<string[]> {
  const status = await service.end();
  return status === 0 ? [] : [`the service ended with wait status ${status}`];
}

async function spell(goesOn: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (goesOn() && performance.now() < end) await sleep(50);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
