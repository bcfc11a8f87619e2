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
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import { DESCRIPTOR } from "../virtio/descriptor_chain.ts";
import type { GuestMemory } from "../virtio/guest_memory.ts";
import type { InflightLog } from "../virtio/inflight.ts";
import {
  AVAIL_HEADER,
  SplitQueue,
  USED_ELEMENT,
  USED_HEADER,
} from "../virtio/split_queue.ts";
import type { VringAddress } from "./codec.ts";
import type { InflightRegion } from "./inflight_region.ts";
import { CallFd, KickFd } from "./notify_fds.ts";

/** Entries that a ring may have served in one turn, so that others come to it. */
export const BUDGET_PER_TURN = 256;

/** Ring indices count modulo one more. */
const MAX_RING_INDEX = 0xffff;

/** What a ring needs around it. */
export interface RingHost {
  /** The loop that its kick is watched in. */
  readonly loop: EventLoop;
  /** The device that gets its queue. */
  readonly device: VirtioDevice;
  /** The driver's ring makes no sense; it stands still until its next start. */
  ringFaulted(index: number, fault: string): void;
  /** Serving the ring threw, which it must not: the session cannot go on. */
  ringBroke(index: number, error: unknown): void;
}

/** Where a ring lies in guest-physical memory. */
export interface RingPlace {
  /** The descriptor table. */
  readonly descriptorAddress: number;
  /** The available ring. */
  readonly availAddress: number;
  /** The used ring. */
  readonly usedAddress: number;
}

/** How a ring was left when it stopped running. */
interface Pause {
  readonly place: RingPlace;
  readonly size: number;
  readonly features: bigint;
  readonly nextAvail: number;
  readonly usedIndex: number;
  readonly heads: readonly number[];
}

/** What starting a ring would mean. */
export interface RingStart {
  /** Where it lies. */
  readonly place: RingPlace;
  /** `used.idx` as it stands in guest memory. **Units**: entries, modulo 2^16. */
  readonly usedIndex: number;
  /** The negotiated features. */
  readonly features: bigint;
  /**
   * `first`: nothing is known of the ring in this session. `resumed`: it goes on
   * where it was paused. `anew`: it was paused elsewhere, so the guest was
   * rebooted or its driver loaded again. `fresh`: the device was reset since.
   */
  readonly kind: "first" | "resumed" | "anew" | "fresh";
}

/** One ring of a session. **Ownership**: owns its fds. */
export class Vring implements Disposable {
  readonly #index: number;
  readonly #host: RingHost;
  readonly #device: VirtioDevice;
  /** Entries, 0 before SET_VRING_NUM. */
  size = 0;
  /** Where it is, in the frontend's addresses. */
  address: VringAddress | undefined;
  /** Where the driver goes on, as the frontend set it or we left it. */
  base = 0;
  /** Whether SET_VRING_ENABLE (or its absence from the protocol) enabled it. */
  isEnabled = false;

  #kick: KickFd | undefined;
  #watch: Watch | undefined;
  #call: CallFd | undefined;
  #err: CallFd | undefined;
  #queue: SplitQueue | undefined;
  #running: RingStart | undefined;
  #pause: Pause | undefined;
  /** Whether the ring's past in this session is void: the device was reset. */
  #isForgotten = false;
  #willGoOn = false;

  /** Makes a ring that is stopped and disabled. */
  constructor(index: number, host: RingHost) {
    this.#index = index;
    this.#host = host;
    this.#device = host.device;
  }

  /** Whether the frontend handed over a kick and has not stopped the ring since. */
  get isStarted(): boolean {
    return this.#kick !== undefined;
  }

  /** Whether the device has the ring's queue. */
  get isActive(): boolean {
    return this.#queue !== undefined;
  }

  /** Whether it would run if it could. */
  get isWanted(): boolean {
    return this.isStarted && this.isEnabled && this.size !== 0 &&
      this.address !== undefined;
  }

  /**
   * Serves the ring for one turn. Made once: this is what a kick runs, and
   * nothing on its way allocates.
   */
  readonly serve = (): void => {
    if (this.#queue === undefined) return;
    try {
      const hasMore = this.#device.processQueue(this.#index, BUDGET_PER_TURN);
      if (hasMore && !this.#willGoOn) {
        this.#willGoOn = true;
        this.#host.loop.defer(this.#goOn);
      }
    } catch (error) {
      this.#host.ringBroke(this.#index, error);
    }
  };

  readonly #goOn = (): void => {
    this.#willGoOn = false;
    this.serve();
  };

  readonly #takeKick = (events: number): void => {
    if (this.#kick?.take(events) === false) this.#endWatch();
    this.serve();
  };

  readonly #notify = (): void => {
    // Absent when the driver polls.
    if (this.#call !== undefined) this.#call.signal();
  };

  readonly #onFault = (fault: string): void => {
    this.#err?.signal();
    this.#host.ringFaulted(this.#index, fault);
  };

  /**
   * Takes a new kick, which starts the ring.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   * @throws {OsError} If the kernel will not watch it.
   */
  setKick(fd: OwnedFd): string | undefined {
    const kick = KickFd.open(fd);
    if (typeof kick === "string") return kick;
    let watch: Watch;
    try {
      watch = this.#host.loop.watch(
        kick.fd,
        kick.events,
        kick.mustBeTaken ? this.#takeKick : this.serve,
      );
    } catch (error) {
      kick[Symbol.dispose]();
      throw error;
    }
    this.#endKick();
    this.#kick = kick;
    this.#watch = watch;
    return undefined;
  }

  /**
   * Takes a new call, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setCall(fd: OwnedFd | undefined): string | undefined {
    const call = fd === undefined ? undefined : CallFd.open(fd);
    if (typeof call === "string") return call;
    this.#call?.[Symbol.dispose]();
    this.#call = call;
    // The old one may have been told what the new one's owner waits for: an
    // interrupt too many costs a look at the ring, one too few hangs the guest.
    if (this.isActive) this.#notify();
    return undefined;
  }

  /**
   * Takes a new fd for errors, or none.
   *
   * @returns Why the fd cannot be one; it is closed then, as when this throws.
   */
  setErr(fd: OwnedFd | undefined): string | undefined {
    const err = fd === undefined ? undefined : CallFd.open(fd);
    if (typeof err === "string") return err;
    this.#err?.[Symbol.dispose]();
    this.#err = err;
    return undefined;
  }

  /**
   * Looks at a ring that is wanted and not active.
   *
   * @returns What starting it would mean, or why it cannot be started.
   */
  prepare(memory: GuestMemory, features: bigint): RingStart | string {
    if (this.address === undefined) return "it has no addresses yet";
    const place = locateRing(memory, this.address, this.size);
    if (typeof place === "string") return place;
    const usedIndex = readUsedIndex(memory, place.usedAddress);
    const pause = this.#pause;
    if (pause === undefined) {
      const kind = this.#isForgotten ? "fresh" : "first";
      return { place, usedIndex, features, kind };
    }
    // The frontend names where the driver goes on; the ring itself says whether
    // it is still the one that was left.
    const isSame = this.base === pause.nextAvail && this.size === pause.size &&
      usedIndex === pause.usedIndex && features === pause.features &&
      place.descriptorAddress === pause.place.descriptorAddress &&
      place.availAddress === pause.place.availAddress &&
      place.usedAddress === pause.place.usedAddress;
    return { place, usedIndex, features, kind: isSame ? "resumed" : "anew" };
  }

  /**
   * Whether the ring that lies there is the one that the region's log tells of,
   * so that its guest never noticed that nobody served it. The log alone cannot
   * say: a frontend may hand it over although its guest was rebooted.
   *
   * @returns "unknown" if the ring is not complete yet, has no log, or nothing
   * ever came of it.
   */
  compare(
    memory: GuestMemory,
    region: InflightRegion,
  ): "same" | "other" | "unknown" {
    const log = region.glance(this.#index, this.size);
    if (log === undefined || this.address === undefined) return "unknown";
    const place = locateRing(memory, this.address, this.size);
    if (typeof place === "string") return "unknown";
    const usedIndex = readUsedIndex(memory, place.usedAddress);
    if (log.usedIndex === 0 && usedIndex === 0 && log.inFlight === 0) {
      return "unknown";
    }
    // As a driver begins; the log's end may lie just before a wrap.
    if (usedIndex === 0 && this.base === 0 && log.usedIndex !== 0) {
      return "other";
    }
    // A process that was killed had published a batch at most that the log does
    // not show, and what is in flight is what the driver is still waiting for.
    const unlogged = (usedIndex - log.usedIndex) & MAX_RING_INDEX;
    const awaited = (readAvailIndex(memory, place.availAddress) - usedIndex) &
      MAX_RING_INDEX;
    return unlogged <= this.size && awaited <= this.size &&
        log.inFlight - unlogged <= awaited
      ? "same"
      : "other";
  }

  /** Whether the ring is complete, and as a driver begins it. */
  isUntouched(memory: GuestMemory): boolean {
    if (this.base !== 0 || this.size === 0 || this.address === undefined) {
      return false;
    }
    const place = locateRing(memory, this.address, this.size);
    return typeof place !== "string" &&
      readUsedIndex(memory, place.usedAddress) === 0;
  }

  /**
   * Gives the queue to the device, and serves what waits in it: a kick that came
   * before is not coming again.
   *
   * @param start What {@linkcode Vring.prepare} said.
   * @param region Where what is in flight is kept, if the frontend wants that.
   * @returns Why the ring cannot be started.
   */
  start(
    start: RingStart,
    memory: GuestMemory,
    region: InflightRegion | undefined,
  ): string | undefined {
    const { features, kind, place, usedIndex } = start;
    const log = region?.covers(this.#index)
      ? this.#openLog(region, start, memory)
      : undefined;
    if (typeof log === "string") return log;
    // A log that survived a crash knows better than the frontend where the ring
    // stands; in every other case the base is to be believed.
    const resubmit = kind === "resumed"
      ? this.#pause!.heads
      : log?.isOld
      ? undefined
      : [];
    const queue = SplitQueue.create({
      memory,
      size: this.size,
      ...place,
      features,
      nextAvail: this.base,
      notify: this.#notify,
      onFault: this.#onFault,
      ...(resubmit === undefined ? {} : { resubmit }),
      ...(log === undefined ? {} : { inflight: log.log }),
    });
    if (typeof queue === "string") return queue;
    this.#pause = undefined;
    this.#queue = queue;
    this.#running = start;
    this.#device.startQueue(this.#index, queue);
    // Whoever served this ring before us may have died between publishing an
    // entry and telling the driver, who would then wait for ever.
    if (kind === "first" && usedIndex !== 0) this.#notify();
    this.serve();
    return undefined;
  }

  /** Opens the ring's log and makes it agree with what we know better. */
  #openLog(
    region: InflightRegion,
    { kind, usedIndex }: RingStart,
    memory: GuestMemory,
  ): { log: InflightLog; isOld: boolean } | string {
    const log = region.open(this.#index, this.size);
    if (typeof log === "string") return log;
    if (kind === "first") {
      // What another guest's driver gave away is not this one's to get back.
      if (this.compare(memory, region) === "other") region.wipe(this.#index);
      return { log, isOld: region.holds(this.#index, this.size) };
    }
    if (kind !== "resumed") {
      region.wipe(this.#index);
      return { log, isOld: false };
    }
    const heads = this.#pause!.heads;
    const known = new Set(log.recover(usedIndex));
    // Differs when the frontend brought another region while the ring rested:
    // what that one says of this ring is not so.
    if (
      known.size !== heads.length || !heads.every((head) => known.has(head))
    ) region.wipe(this.#index);
    return { log, isOld: false };
  }

  /**
   * Takes the queue from the device and remembers where the ring stands: a
   * pause is no reset. Does nothing to a ring that is not active.
   */
  pause(): void {
    const queue = this.#queue;
    if (queue === undefined) return;
    this.#queue = undefined;
    try {
      queue.flush();
      this.#device.stopQueue(this.#index);
    } finally {
      queue.close();
    }
    const { features, place } = this.#running!;
    this.base = queue.nextAvail;
    this.#pause = {
      place,
      size: this.size,
      features,
      nextAvail: queue.nextAvail,
      usedIndex: readUsedIndex(queue.memory, place.usedAddress),
      heads: queue.inFlightHeads(),
    };
  }

  /** Stops the ring, as GET_VRING_BASE does: it waits for a new kick. */
  stop(): void {
    // The kick first, so that nothing serves the ring once its base is told.
    this.#endKick();
    this.pause();
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
    this.#call?.[Symbol.dispose]();
    this.#call = undefined;
    this.#err?.[Symbol.dispose]();
    this.#err = undefined;
  }

  #endKick(): void {
    this.#endWatch();
    this.#kick?.[Symbol.dispose]();
    this.#kick = undefined;
  }

  #endWatch(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }
}

/**
 * Translates the frontend's addresses, each part of the ring as a range.
 *
 * @returns The place, or which part is wrong.
 */
export function locateRing(
  memory: GuestMemory,
  address: VringAddress,
  size: number,
): RingPlace | string {
  const descriptorAddress = translate(
    memory,
    "descriptor table",
    address.descriptor,
    size * DESCRIPTOR.size,
    16,
  );
  if (typeof descriptorAddress === "string") return descriptorAddress;
  const availAddress = translate(
    memory,
    "available ring",
    address.available,
    AVAIL_HEADER.size + size * 2,
    2,
  );
  if (typeof availAddress === "string") return availAddress;
  const usedAddress = translate(
    memory,
    "used ring",
    address.used,
    USED_HEADER.size + size * USED_ELEMENT.size,
    4,
  );
  if (typeof usedAddress === "string") return usedAddress;
  return { descriptorAddress, availAddress, usedAddress };
}

/** The ring's `used.idx`; the place was translated as a range before. */
function readUsedIndex(memory: GuestMemory, usedAddress: number): number {
  return readIndex(memory, usedAddress + USED_HEADER.at.idx);
}

/** The ring's `avail.idx`; the place was translated as a range before. */
function readAvailIndex(memory: GuestMemory, availAddress: number): number {
  return readIndex(memory, availAddress + AVAIL_HEADER.at.idx);
}

function readIndex(memory: GuestMemory, at: number): number {
  const region = memory.locate(at, 2);
  return region < 0
    ? 0
    : memory.view(region).getUint16(at - memory.start(region), LITTLE_ENDIAN);
}

function translate(
  memory: GuestMemory,
  what: string,
  address: number,
  length: number,
  alignment: number,
): number | string {
  const where = `the ${what} at user address 0x${address.toString(16)}`;
  if (address % alignment !== 0) {
    return `${where} is not aligned to ${alignment} bytes`;
  }
  const guest = Number.isSafeInteger(address) &&
      Number.isSafeInteger(address + length)
    ? memory.userToGuest(address, length)
    : undefined;
  return guest ??
    `${where} does not lie in the memory table with all of its ${length} bytes`;
}
