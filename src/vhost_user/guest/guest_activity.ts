/**
 * Evidence that a guest runs although its rings are stopped: a VMM that pauses
 * its guest runs none of its virtual CPUs, one that restarts it does.
 *
 * A VMM may well be busy while its guest is paused: it writes a dump, or copies
 * a disk. So the times of all its threads together say nothing. What counts:
 * * guest time, which only a virtual CPU of KVM has;
 * * without KVM, the threads that QEMU names as virtual CPUs;
 * * where it names none, threads that were there when the rings stopped, but for
 *   the main one, which does all kinds of work.
 *
 * @module
 */
import type { PeerTimes, ProcessTimes } from "../../peer/peer_process.ts";

/** Guest time that a paused guest cannot have. **Units**: milliseconds. */
const MIN_GUEST_MS = 30;
/** Time over which a thread must be busy. **Units**: milliseconds. */
const WINDOW_MS = 500;
/** Part of a CPU that a thread uses at least to count as busy. */
const BUSY = 0.5;

const VIRTUAL_CPU = /^(CPU \d+|ALL CPUs)\/(KVM|TCG)/;

interface Sample {
  readonly at: number;
  readonly times: PeerTimes;
}

/** Watches one VMM from the moment at which its rings stopped. */
export class GuestActivity {
  readonly #read: () => PeerTimes | undefined;
  readonly #now: () => number;
  readonly #samples: Sample[] = [];
  #first: PeerTimes | undefined;
  /** A little later than the first: what ran on while the rings stopped is in it. */
  #settled: PeerTimes | undefined;

  /**
   * Takes the first look.
   *
   * @param now Monotonic milliseconds.
   */
  constructor(read: () => PeerTimes | undefined, now: () => number) {
    this.#read = read;
    this.#now = now;
    this.#first = read();
    if (this.#first !== undefined) {
      this.#samples.push({ at: now(), times: this.#first });
    }
  }

  /** Looks again; returns why the guest must be running, if it must. */
  look(): string | undefined {
    const first = this.#first;
    const times = first && this.#read();
    if (first === undefined || times === undefined) return undefined;
    const at = this.#now();
    const settled = this.#settled ??= times;
    const guestMs = times.process.guestMs - settled.process.guestMs;
    if (guestMs >= MIN_GUEST_MS) {
      return `its virtual CPUs ran for ${guestMs} ms since`;
    }
    const samples = this.#samples;
    samples.push({ at, times });
    while (samples.length > 2 && at - samples[1]!.at >= WINDOW_MS) {
      samples.shift();
    }
    const begin = samples[0]!;
    const elapsedMs = at - begin.at;
    return elapsedMs < WINDOW_MS
      ? undefined
      : busyThread(first, begin.times, times, elapsedMs);
  }
}

function busyThread(
  first: PeerTimes,
  begin: PeerTimes,
  end: PeerTimes,
  elapsedMs: number,
): string | undefined {
  // Guest time says it better.
  if (end.process.guestMs > 0) return undefined;
  const isNamed = [...end.threads.values()].some(isVirtualCpu);
  for (const [tid, now] of end.threads) {
    const before = begin.threads.get(tid);
    const isOld = first.threads.get(tid)?.startTime === now.startTime;
    if (before === undefined || !isOld) continue;
    const counts = isNamed
      ? isVirtualCpu(now)
      : tid !== end.pid || end.threads.size === 1;
    const share = (now.busyMs - before.busyMs) / elapsedMs;
    if (counts && share > BUSY) {
      return `its VMM is busy (${now.name}, ${
        Math.round(share * 100)
      } % of a CPU)`;
    }
  }
  return undefined;
}

function isVirtualCpu({ name }: ProcessTimes): boolean {
  return VIRTUAL_CPU.test(name);
}
