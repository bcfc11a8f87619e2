/**
 * Disturbances of the service of a soak, each kind until its time is over.
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";
import { HOSTILE_KINDS } from "../bench/hostile_peer.ts";
import { ChildProcess } from "../environment/process.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import type { DiskWitness } from "./disk_witness.ts";
import { configText, type SoakPlan, targetDirectory, TARGETS } from "./plan.ts";
import type { SoakService } from "./service.ts";

const START_LIMIT_MS = 120_000;
/** Limit for an answer to an API client: the machine may be busy. */
const API_LIMIT_MS = 60_000;
/** Life of guests that come and go until they are killed. **Units**: ms. */
const LIFE_MS = 3000;
/** Duration of a kind of hostile peer. **Units**: milliseconds. */
const SPELL_MS = 4000;
const RELOAD_MS = 5000;
const CREATE_MS = 100;
/** Work between two stops of the service of at most so long. */
const PAUSE_EVERY_MS = 4000;
const MAX_PAUSE_MS = 500;
const SAMPLE_MS = 1000;
/** Longest time for which the disk is full, or has room. **Units**: ms. */
const DISK_MS = 3000;
/** Aggregators that a reload brings or takes away, at most. */
const MAX_EXTRA = 6;

/** Counts of one run. */
export class Tally {
  kills = 0;
  /** Aggregators that API clients made, or tried to. */
  tries = 0;
  creations = 0;
  reloads = 0;
  lost = 0;
  hostileActs = 0;
  readonly problems: string[] = [];
  readonly kinds = new Set<string>();

  /** Counts a call that failed. */
  lose(what: string, error: unknown): void {
    this.lost++;
    if (this.problems.length < 10) this.problems.push(`${what}: ${error}`);
  }
}

/** Parts of a run that each kind may use. */
export interface Surroundings {
  readonly soak: SoakPlan;
  readonly service: SoakService;
  readonly random: Random;
  readonly tally: Tally;
  /** Absent if no disk is filled. */
  readonly disk: DiskWitness | undefined;
}

/** The same, with what is measured. */
export interface Disturbance extends Surroundings {
  readonly sample: () => void;
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

/** Fills the disk and frees it again. */
export async function fillings(
  goesOn: () => boolean,
  { random }: Pick<Surroundings, "random">,
  disk: DiskWitness,
): Promise<void> {
  while (goesOn()) {
    disk.fill(random);
    await spell(goesOn, random.below(DISK_MS));
    disk.free();
    await disk.collect();
    await spell(goesOn, random.below(DISK_MS));
  }
}

/** Everything that may disturb, until a time; all of it is over afterwards. */
export async function disturbUntil(
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
    ...(disturbance.disk === undefined
      ? []
      : [fillings(goesOn, disturbance, disturbance.disk)]),
    ...Array.from(
      { length: TARGETS },
      (_, i) => hostilePeers(i, goesOn, disturbance),
    ),
  ]);
}

/** Guests that come and go, and are killed in their midst. */
export async function passingGuests(
  goesOn: () => boolean,
  { soak, random, tally }: Pick<Surroundings, "soak" | "random" | "tally">,
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
  { soak, random, tally, disk }: Disturbance,
): Promise<void> {
  const client = apiClient(soak.api);
  while (goesOn()) {
    const name = `made${tally.tries++}`;
    try {
      if (random.oneIn(2)) {
        await using made = await client.create({
          name,
          lines: ["sim/4,safe=0"],
        });
        disk?.done("create", name);
        if (made.name !== name) throw new Error(`it is called ${made.name}`);
      } else {
        await client.createLasting({ name, lines: ["sim/2"] });
        disk?.done("create", name);
        await client.show(name);
        await client.remove(name);
        disk?.done("remove", name);
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
  const client = apiClient(soak.api);
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

/** Returns a client that waits for a busy machine. */
export function apiClient(socket: string): ServiceClient {
  return new ServiceClient(socket, { limitMs: API_LIMIT_MS });
}

/** Starts a program of this folder, or of another one by its whole path. */
export function startPeer(file: string, args: readonly string[]): ChildProcess {
  const path = file.startsWith("/") ? file : `${import.meta.dirname}/${file}`;
  return new ChildProcess({
    command: Deno.execPath(),
    args: ["run", "-q", "-P=unit", "--no-prompt", "--no-check", path, ...args],
    input: true,
    graceMs: 2000,
  });
}

/** Waits for a time, or until it is over. */
export async function spell(goesOn: () => boolean, ms: number): Promise<void> {
  const end = performance.now() + ms;
  while (goesOn() && performance.now() < end) await sleep(50);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
