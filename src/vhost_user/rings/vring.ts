/**
 * One ring: where it is, how it is kicked and called, and whether it runs.
 *
 * Two bits decide whether a ring runs, and they are independent: *started* (the
 * frontend handed over a kick) and *enabled*. A ring that has both, and all else
 * that it needs, is *active*: then the device has its queue. A ring that is
 * started but not enabled consumes nothing.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { PollSettings } from "../../reactor/event_loop.ts";
import type { VirtioDevice } from "../../virtio/device.ts";
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import type { InflightLog, LogRecord } from "../../virtio/queue/inflight.ts";
import { SplitQueue } from "../../virtio/queue/split_queue.ts";
import type { VringAddress } from "../messages/codec.ts";
import {
  compareWithLog,
  isRingBlank,
  isUsedRingBlank,
  readUsedIndex,
  type RingIdentity,
} from "../guest/guest_identity.ts";
import type { InflightRegion } from "../memory/inflight_region.ts";
import { badSize } from "../memory/advice.ts";
import { isRingSize, locateRing } from "./ring_address.ts";
import { RingFds, type RingFdsHost } from "./ring_fds.ts";
import {
  isOverwritten,
  makePause,
  type Pause,
  pauseRecord,
  resumedPause,
} from "./ring_pause.ts";
import { RingPoll } from "./ring_poll.ts";
import { planStart, type RingStart } from "./ring_start.ts";
import type { RingRecord, SessionFds } from "../session_record.ts";

/** Entries served per turn at most; the peer's time usually ends before. */
const BUDGET_PER_TURN = 256;

/** Needs of a ring. */
export interface RingHost extends RingFdsHost {
  /** Time for which it is looked at after a request; absent: never. */
  readonly polling?: PollSettings | undefined;
  /** The device that gets its queue. */
  readonly device: VirtioDevice;
  /** The driver's ring makes no sense; it stands still until its next start. */
  ringFaulted(index: number, fault: string): void;
  /** Serving the ring threw, which it must not: the session cannot go on. */
  ringBroke(index: number, error: unknown): void;
}

/** One ring of a session. **Ownership**: owns its fds. */
export class Vring implements Disposable {
  readonly #index: number;
  readonly #host: RingHost;
  readonly #device: VirtioDevice;
  /** Entries, 0 before SET_VRING_NUM. */
  size = 0;
  /** Addresses of the ring, in the frontend's own address space. */
  address: VringAddress | undefined;
  /**
   * Position at which the driver goes on, as the frontend set it or we left it.
   */
  base = 0;
  /** Set if SET_VRING_ENABLE (or its absence from the protocol) enabled it. */
  isEnabled = false;

  readonly #fds: RingFds;
  #queue: SplitQueue | undefined;
  #running: RingStart | undefined;
  #pause: Pause | undefined;
  /** The region that has, or may have, the log of the running ring. */
  #region: InflightRegion | undefined;
  /** Set if the ring's past in this session is void: the device was reset. */
  #isForgotten = false;
  #willGoOn = false;
  readonly #poll: RingPoll | undefined;

  /** Makes a ring that is stopped and disabled. */
  constructor(index: number, host: RingHost) {
    this.#index = index;
    this.#host = host;
    this.#device = host.device;
    const { loop, polling, share } = host;
    this.#poll = polling && new RingPoll(this, polling, loop, share);
    this.#fds = new RingFds(index, host, this.serve);
  }

  /** Descriptors of the frontend that it has. */
  get descriptors(): number {
    return this.#fds.count;
  }

  /**
   * True if the frontend handed over a kick and has not stopped the ring since.
   */
  get isStarted(): boolean {
    return this.#fds.hasKick;
  }

  /** True while the device has the ring's queue. */
  get isActive(): boolean {
    return this.#queue !== undefined;
  }

  /** True if it would run if it could. */
  get isWanted(): boolean {
    return this.isStarted && this.isEnabled && this.size !== 0 &&
      this.address !== undefined;
  }

  /** True if it runs and a part of it lies between two guest addresses. */
  liesIn(start: number, end: number): boolean {
    const { place } = this.#running ?? {};
    if (!this.isActive || place === undefined) return false;
    // Each part lies in one region.
    return [place.descriptorAddress, place.availAddress, place.usedAddress]
      .some((address) => address >= start && address < end);
  }

  /**
   * Serves the ring for one turn. Made once: this is what a kick runs, and
   * nothing on its way allocates.
   */
  readonly serve = (): void => {
    this.process();
    if (this.#poll !== undefined && this.#queue !== undefined) {
      this.#poll.begin(this.#queue);
    }
  };

  /** Serves the ring for one turn, whatever announced that. */
  process(): void {
    if (this.#queue === undefined) return;
    try {
      const hasMore = this.#device.processQueue(
        this.#index,
        BUDGET_PER_TURN,
        this.#host.share,
      );
      if (hasMore) this.goOnLater();
    } catch (error) {
      this.#host.ringBroke(this.#index, error);
    }
  }

  /** Serves the ring once more when the frontend's turn comes. */
  goOnLater(): void {
    if (this.#willGoOn) return;
    this.#willGoOn = true;
    this.#host.share.defer(this.#goOn);
  }

  readonly #goOn = (): void => {
    this.#willGoOn = false;
    this.process();
  };

  readonly #onFault = (fault: string): void => {
    this.#fds.tellError();
    this.#host.ringFaulted(this.#index, fault);
  };

  /**
   * Takes a new kick, which starts the ring.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   * @throws {OsError} If the kernel will not watch it.
   */
  setKick(fd: OwnedFd): string | undefined {
    return this.#fds.setKick(fd);
  }

  /**
   * Takes a new call, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setCall(fd: OwnedFd | undefined): string | undefined {
    const fault = this.#fds.setCall(fd);
    if (fault !== undefined) return fault;
    // The old one may have received what the new one's owner waits for: an
    // interrupt too many costs a look at the ring, one too few hangs the guest.
    if (this.isActive) this.#fds.notify();
    return undefined;
  }

  /**
   * Takes a new fd for errors, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setErr(fd: OwnedFd | undefined): string | undefined {
    return this.#fds.setErr(fd);
  }

  /**
   * Looks at a ring that is wanted and not active.
   *
   * @returns What starting it would mean, or why it cannot be started.
   */
  prepare(memory: GuestMemory, features: bigint): RingStart | string {
    return planStart(this, this.#pause, this.#isForgotten, memory, features);
  }

  /**
   * Returns true if the ring is paused and its memory has changed since in a way
   * that its driver has no right to: another driver has begun, or the memory is
   * used for something else. A guest that is paused changes nothing.
   */
  isOverwritten(memory: GuestMemory): boolean {
    return this.#pause !== undefined && isOverwritten(this.#pause, memory);
  }

  /**
   * Returns "used" if a driver has made anything of a running ring's memory,
   * "foreign" if it has kicked and nothing is there.
   */
  judgeMemory(memory: GuestMemory): "used" | "foreign" | "unknown" {
    const place = this.isActive ? this.#running?.place : undefined;
    if (place === undefined) return "unknown";
    if (!isRingBlank(memory, place, this.size)) return "used";
    return this.#fds.wasKicked ? "foreign" : "unknown";
  }

  /** True if the running ring was used before it was started. */
  get wasUsed(): boolean {
    const start = this.isActive ? this.#running : undefined;
    return start !== undefined && (start.usedIndex !== 0 || start.base !== 0);
  }

  /** Number of the device's run that the ring was paused in, if it is paused. */
  get pausedRun(): number | undefined {
    return this.#pause?.run;
  }

  /** True if the ring runs, and went on where it was paused. */
  get isResumed(): boolean {
    return this.isActive && this.#running?.kind === "resumed";
  }

  /**
   * Compares the ring with the region's log of it.
   *
   * @returns "unknown" if the ring is not complete yet, has no log, or nothing
   * ever came of it.
   */
  compare(memory: GuestMemory, region: InflightRegion): RingIdentity {
    const log = region.record(this.#index, this.size);
    if (log === undefined || this.address === undefined) return "unknown";
    const place = locateRing(memory, this.address, this.size);
    return typeof place === "string"
      ? "unknown"
      : compareWithLog(memory, place, this.size, log);
  }

  /** Returns true if the ring is complete, and as a driver begins it. */
  isUntouched(memory: GuestMemory): boolean {
    if (this.base !== 0 || this.size === 0 || this.address === undefined) {
      return false;
    }
    const place = locateRing(memory, this.address, this.size);
    return typeof place !== "string" &&
      isUsedRingBlank(memory, place, this.size);
  }

  /**
   * Gives the queue to the device, and serves what waits in it: a kick that came
   * before is not coming again.
   *
   * @param start Result of {@linkcode Vring.prepare}.
   * @param region Where what is in flight is kept, if the frontend wants that.
   * @returns Why the ring cannot be started.
   */
  start(
    start: RingStart,
    memory: GuestMemory,
    region: InflightRegion | undefined,
  ): string | undefined {
    const { features, kind, place } = start;
    const log = region?.covers(this.#index)
      ? this.#openLog(region, start, memory)
      : undefined;
    if (typeof log === "string") return log;
    // A log that survived a crash knows better than the frontend where the ring
    // stands; in every other case the base is to be believed.
    const resubmit = kind === "resumed"
      ? this.#pause!.taken
      : log?.isOld
      ? undefined
      : [];
    // Answers in order need no log: what is not used is not taken.
    const isLater = region?.isOwn === true && log?.isOld === false &&
      (kind !== "resumed" || this.#pause!.taken.count === 0) &&
      this.#device.answersInOrder?.(this.#index) === true;
    // From here on the log is this ring's to write.
    region?.forgetRecord(this.#index);
    const queue = SplitQueue.create({
      memory,
      size: this.size,
      ...place,
      features,
      nextAvail: this.base,
      notify: this.#fds.notify,
      onFault: this.#onFault,
      ...(resubmit === undefined ? {} : { resubmit }),
      ...log === undefined
        ? {}
        : isLater
        ? { laterLog: log.log }
        : { inflight: log.log, record: log.record },
    });
    if (typeof queue === "string") return queue;
    if (isLater) region.forget(this.#index);
    this.#region = region;
    this.#pause = undefined;
    this.#queue = queue;
    this.#running = start;
    this.#device.startQueue(this.#index, queue);
    // The previous back end of this ring may have died between publishing an
    // entry and notifying the driver, which would then wait for ever.
    if (kind === "first" && !isUsedRingBlank(memory, place, this.size)) {
      this.#fds.notify();
    }
    this.serve();
    return undefined;
  }

  /**
   * Opens the ring's log. What it says counts only for a ring of which nothing
   * else is known; otherwise the queue makes it agree with what is known.
   */
  #openLog(
    region: InflightRegion,
    { kind }: RingStart,
    memory: GuestMemory,
  ): { log: InflightLog; isOld: boolean; record?: LogRecord } | string {
    const left = kind === "resumed" ? this.#pause?.log : undefined;
    if (left?.region === region) return { log: left.log, isOld: false };
    const log = region.open(this.#index, this.size);
    if (typeof log === "string") return log;
    if (kind !== "first") return { log, isOld: false };
    // What another guest's driver gave away is not this one's to get back.
    if (this.compare(memory, region) === "other") region.wipe(this.#index);
    const record = region.record(this.#index, this.size);
    return record === undefined
      ? { log, isOld: false }
      : { log, isOld: true, record };
  }

  /**
   * Takes the queue from the device and remembers where the ring stands: a
   * pause is not a reset. Does nothing to a ring that is not active.
   *
   * @param run Number of the device's run.
   */
  pause(run = 0): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    this.#queue = undefined;
    this.#poll?.stop();
    try {
      queue.flush();
      this.#device.stopQueue(this.#index);
    } finally {
      queue.close();
    }
    this.base = queue.nextAvail;
    this.#pause = makePause(queue, this.#running!, this.#region, run);
  }

  /** Describes the ring for the next process, and names its descriptors. */
  record(fds: SessionFds): RingRecord {
    this.#fds.collect(fds);
    const { size, base, isEnabled, isActive, address } = this;
    const pause = this.#pause && pauseRecord(this.#pause);
    return { size, base, isEnabled, isActive, address, pause };
  }

  /**
   * Goes on from an earlier process, with its memory and before its descriptors.
   *
   * @returns Why it cannot.
   */
  resume(
    record: RingRecord,
    memory: GuestMemory,
    region: InflightRegion,
  ): string | undefined {
    const { size, address, pause } = record;
    if (size !== 0 && !isRingSize(size)) return badSize(size);
    this.size = size;
    this.address = address;
    this.base = record.base;
    this.isEnabled = record.isEnabled;
    if (pause !== undefined) {
      this.#pause = resumedPause(pause, this.#index, region);
    }
    if (!record.isActive) return undefined;
    if (address === undefined) return "a ring that ran has no addresses";
    const place = locateRing(memory, address, size);
    if (typeof place === "string") return place;
    // Unless a log says otherwise, what is not used was not taken.
    this.base = readUsedIndex(memory, place);
    return undefined;
  }

  /** Takes its descriptors out of an earlier process's. */
  takeFds(fds: Map<string, OwnedFd>): string | undefined {
    return this.#fds.resume(fds);
  }

  /**
   * Stops the ring, as GET_VRING_BASE does: it waits for a new kick.
   *
   * @param run Number of the device's run.
   */
  stop(run?: number): void {
    // The kick first, so that nothing serves the ring once its base is reported.
    this.#fds.endKick();
    this.pause(run);
  }

  /** Makes the ring's past void: whatever is started next is a new ring. */
  forget(): void {
    this.#pause = undefined;
    this.#isForgotten = true;
  }

  /** Stops and forgets the ring, as a reset of the device does. */
  reset(isEnabled: boolean): void {
    this.stop();
    this.forget();
    this.base = 0;
    this.isEnabled = isEnabled;
  }

  /** Stops the ring and closes its fds. Idempotent. */
  [Symbol.dispose](): void {
    this.stop();
    this.#fds[Symbol.dispose]();
  }
}
