/**
 * All rings of a session, and what they share: the memory, the negotiated
 * features, the in-flight region, and the device itself.
 *
 * Each method is one request of the frontend; what it returns is the rule that
 * the request breaks, and nothing has changed then unless it says so.
 *
 * **Reset or pause?** A ring that stops (GET_VRING_BASE, or SET_VRING_ENABLE 0,
 * which is all that UML and libkrun send) is paused: what the device holds of it
 * is remembered, and goes on when the ring is started where it was left. A ring
 * that is started anywhere else belongs to a guest that was rebooted, or a
 * driver that was loaded again: then the old guest's state goes first, once,
 * when no ring runs.
 *
 * @module
 */
import { closeElsewhere } from "../../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { ChainFault } from "../../virtio/queue/chain_fault.ts";
import type { VirtioDevice } from "../../virtio/device.ts";
import { RING_FEATURES_MASK } from "../../virtio/queue/features.ts";
import {
  badBase,
  badSize,
  noRegion,
  unofferedFeatures,
} from "../memory/advice.ts";
import type {
  InflightDescription,
  RegionDescription,
  VringAddress,
} from "../messages/codec.ts";
import { GuestState } from "./guest_state.ts";
import { InflightRegion } from "../memory/inflight_region.ts";
import { MAX_MEM_SLOTS, MemoryTable } from "../memory/memory_table.ts";
import type { NamedFds } from "../messages/named_fds.ts";
import {
  VHOST_USER_F_PROTOCOL_FEATURES_MASK,
  VHOST_VRING_F_LOG_MASK,
} from "../messages/protocol.ts";
import { isRingSize, isSameAddress, locateRing } from "./ring_address.ts";
import {
  recordRings,
  resumeRings,
  type RingSetParts,
} from "./ring_set_record.ts";
import { RingStarter, type RingStarterHost } from "./ring_starter.ts";
import type {
  InflightRecord,
  RingSetRecord,
  SessionFds,
} from "../session_record.ts";
import type { StateMemory } from "../memory/state_memory.ts";
import { Vring } from "./vring.ts";

const MAX_RING_INDEX = 0xffff;

/** Needs of a set of rings. */
interface RingSetHost extends RingStarterHost {
  /** The device is about to use pages of the guest that do not exist. */
  pagesTaken(pages: number): void;
  /** The guest's first chain with this fault was given back unserved. */
  chainRefused(index: number, fault: ChainFault): void;
  /** Memory in which the next process finds what the device holds. */
  readonly state?: StateMemory | undefined;
  /** Names of descriptors of memory. */
  readonly named: NamedFds;
}

/**
 * The rings of one session. **Ownership**: owns the mappings and the rings' fds;
 * the device is lent, and left without queues and without the guest's state.
 */
export class RingSet implements Disposable {
  readonly #host: RingSetHost;
  readonly #device: VirtioDevice;
  readonly #rings: readonly Vring[];
  #table: MemoryTable;
  readonly #guest: GuestState;
  readonly #starter: RingStarter;
  /** Faults of chains that were reported, as bits. */
  #refusals = 0;
  /** The frontend's in-flight region, if there is one. */
  #inflight: InflightRecord | undefined;

  /** Makes rings that are all stopped and disabled, without memory. */
  constructor(host: RingSetHost) {
    this.#host = host;
    this.#device = host.device;
    this.#table = new MemoryTable(this.#pagesTaken, host.named);
    this.#guest = new GuestState(host.device);
    this.#guest.setRegion(host.state?.region());
    this.#rings = Array.from(
      { length: host.device.queueCount },
      (_, index) => new Vring(index, host),
    );
    this.#starter = new RingStarter({
      host,
      rings: this.#rings,
      guest: this.#guest,
      memory: () => this.#table.size === 0 ? undefined : this.#table.memory,
    });
    this.#device.onRefusedChain = this.#onRefusedChain;
    this.#device.onMore = (index) => this.#rings[index]?.goOnLater();
  }

  readonly #pagesTaken = (pages: number): void => this.#host.pagesTaken(pages);

  readonly #onRefusedChain = (index: number, fault: ChainFault): void => {
    const bit = 1 << fault;
    if ((this.#refusals & bit) !== 0) return;
    this.#refusals |= bit;
    this.#host.chainRefused(index, fault);
  };

  /** The virtio features that are offered, the protocol's own bit among them. */
  get offeredFeatures(): bigint {
    return this.#device.deviceFeatures | RING_FEATURES_MASK |
      VHOST_USER_F_PROTOCOL_FEATURES_MASK;
  }

  /** Number of rings. */
  get count(): number {
    return this.#rings.length;
  }

  /** True if any ring runs. While none does, the device is suspended. */
  get isAnyActive(): boolean {
    return this.#starter.isAnyActive;
  }

  /** Descriptors of the frontend that the rings have. */
  get descriptors(): number {
    return this.#rings.reduce((sum, { descriptors }) => sum + descriptors, 0);
  }

  /** True if any ring was started and not stopped, enabled or not. */
  get isAnyStarted(): boolean {
    return this.#rings.some((ring) => ring.isStarted);
  }

  /**
   * Names memory of the frontend's that an access found to be gone; undefined if
   * all is there.
   */
  get missingMemory(): string | undefined {
    const address = this.#table.faultAddress;
    if (address !== undefined) {
      return `guest memory at 0x${address.toString(16)}`;
    }
    const offset = this.#guest.region?.fault;
    return offset === undefined
      ? undefined
      : `the in-flight region at offset ${offset}`;
  }

  /**
   * SET_FEATURES. Which rings are enabled outlives it. A ring that is enabled by
   * it and cannot run is a broken rule too; the features are recorded then.
   */
  setFeatures(features: bigint): string | undefined {
    const unknown = features & ~this.offeredFeatures;
    if (unknown !== 0n) return unofferedFeatures(unknown);
    const changed = (features ^ this.#starter.features) &
      ~VHOST_USER_F_PROTOCOL_FEATURES_MASK;
    if (changed !== 0n && this.#starter.isAnyActive) {
      return "features cannot change while a ring runs";
    }
    if (changed !== 0n) this.#guest.forgetFeatures();
    this.#starter.features = features;
    if ((features & VHOST_USER_F_PROTOCOL_FEATURES_MASK) !== 0n) {
      return undefined;
    }
    // A frontend that knows nothing of SET_VRING_ENABLE (QEMU before 7.2).
    for (const ring of this.#rings) ring.isEnabled = true;
    return this.#starter.startAll();
  }

  /** SET_MEM_TABLE, also under running rings. Takes no fd over. */
  setMemory(
    descriptions: readonly RegionDescription[],
    fds: readonly OwnedFd[],
  ): string | undefined {
    const table = MemoryTable.map(
      descriptions,
      fds,
      this.#pagesTaken,
      this.#host.named,
    );
    if (typeof table === "string") return table;
    let isUsed = false;
    try {
      // If one throws, some ring may still reach into the old memory.
      for (const ring of this.#rings) ring.pause(this.#starter.run);
      isUsed = true;
    } finally {
      if (!isUsed) table.unmap();
    }
    this.#table.unmap();
    this.#table = table;
    this.#starter.goOn();
    return undefined;
  }

  /** ADD_MEM_REG. Takes no fd over. */
  addRegion(
    description: RegionDescription,
    fd: OwnedFd,
  ): string | undefined {
    if (this.#table.size >= MAX_MEM_SLOTS) {
      return `there are ${MAX_MEM_SLOTS} regions at most`;
    }
    const problem = this.#table.addMapped(description, fd);
    if (problem === undefined) this.#starter.goOn();
    return problem;
  }

  /** REM_MEM_REG. A ring that lies in it waits until its memory is back. */
  removeRegion(description: RegionDescription): string | undefined {
    const region = this.#table.find(description);
    if (region === undefined) return noRegion(description.guestAddress);
    const { guestAddress, size } = description;
    for (const ring of this.#rings) {
      if (ring.liesIn(guestAddress, guestAddress + size)) {
        ring.pause(this.#starter.run);
      }
    }
    this.#table.remove(region);
    this.#starter.goOn();
    return undefined;
  }

  /** SET_VRING_NUM. */
  setSize(index: number, size: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (!isRingSize(size)) return badSize(size);
    if (ring.isActive && size !== ring.size) {
      return "the size of a ring cannot change while it runs";
    }
    ring.size = size;
    return undefined;
  }

  /** SET_VRING_ADDR. */
  setAddress(address: VringAddress): string | undefined {
    const ring = this.#ring(address.index);
    if (typeof ring === "string") return ring;
    if ((address.flags & VHOST_VRING_F_LOG_MASK) !== 0) {
      return "logging of writes was not offered";
    }
    if (ring.isActive) {
      return isSameAddress(ring.address!, address)
        ? undefined
        : "a ring cannot move while it runs";
    }
    // What is not known yet is checked when the ring starts.
    if (ring.size !== 0 && this.#table.size !== 0) {
      const located = locateRing(this.#table.memory, address, ring.size);
      if (typeof located === "string") return located;
    }
    ring.address = address;
    return this.#starter.start(ring);
  }

  /** SET_VRING_BASE. */
  setBase(index: number, base: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (base > MAX_RING_INDEX) return badBase(base);
    if (ring.isActive) return "the base of a ring cannot change while it runs";
    ring.base = base;
    return undefined;
  }

  /** GET_VRING_BASE: stops the ring. Returns its base, or the broken rule. */
  takeBase(index: number): number | string {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    this.#starter.stop(ring, true);
    return ring.base;
  }

  /** SET_VRING_KICK: starts the ring. Takes the fd over, whatever comes of it. */
  setKick(index: number, fd: OwnedFd | undefined): string | undefined {
    // Polling would wake this process for ever, for a guest that is idle; no
    // frontend is known to ask for it.
    if (fd === undefined) return "polling instead of a kick is not served";
    const ring = this.#ringFor(fd, index);
    return typeof ring === "string"
      ? ring
      : ring.setKick(fd) ?? this.#starter.start(ring);
  }

  /** SET_VRING_CALL. Takes the fd over, whatever comes of it. */
  setCall(index: number, fd: OwnedFd | undefined): string | undefined {
    const ring = this.#ringFor(fd, index);
    return typeof ring === "string" ? ring : ring.setCall(fd);
  }

  /** SET_VRING_ERR. Takes the fd over, whatever comes of it. */
  setErr(index: number, fd: OwnedFd | undefined): string | undefined {
    const ring = this.#ringFor(fd, index);
    return typeof ring === "string" ? ring : ring.setErr(fd);
  }

  /** SET_VRING_ENABLE. */
  setEnabled(index: number, value: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (value > 1) return `a ring is enabled (1) or disabled (0), not ${value}`;
    ring.isEnabled = value === 1;
    if (ring.isEnabled) return this.#starter.start(ring);
    this.#starter.stop(ring, false);
    return undefined;
  }

  /** SET_INFLIGHT_FD. Takes no fd over. */
  setInflight(
    description: InflightDescription,
    fd: OwnedFd,
  ): string | undefined {
    if (this.#starter.isAnyActive) {
      return "the in-flight region cannot change while a ring runs";
    }
    const region = InflightRegion.map(fd, description);
    if (typeof region === "string") return region;
    this.#starter.cancel();
    this.#host.pagesTaken(region.absentPages());
    this.#guest.setRegion(region);
    const file = this.#host.named.bring("inflight", fd.fd);
    this.#inflight = { ...description, file };
    return undefined;
  }

  get #parts(): RingSetParts {
    return {
      rings: this.#rings,
      table: this.#table,
      guest: this.#guest,
      named: this.#host.named,
    };
  }

  /** Describes the rings for the next process, and names the descriptors. */
  record(fds: SessionFds): RingSetRecord {
    const numbers = {
      features: this.#starter.features,
      run: this.#starter.run,
      inflight: this.#inflight,
    };
    return recordRings(this.#parts, numbers, fds);
  }

  /**
   * Goes on from an earlier process, see {@linkcode resumeRings}.
   *
   * @returns Why it cannot.
   */
  resume(
    record: RingSetRecord,
    fds: Map<string, OwnedFd>,
  ): string | undefined {
    const unknown = record.features & ~this.offeredFeatures;
    if (unknown !== 0n) return unofferedFeatures(unknown);
    this.#starter.features = record.features;
    this.#starter.run = record.run;
    this.#inflight = record.inflight;
    return resumeRings(this.#parts, record, fds) ?? this.#starter.startAll();
  }

  /** Stops all rings and discards the guest's state: RESET_DEVICE, or status 0. */
  resetDevice(): void {
    const isEnabled = this.#starter.features !== 0n &&
      (this.#starter.features & VHOST_USER_F_PROTOCOL_FEATURES_MASK) === 0n;
    for (const ring of this.#rings) ring.reset(isEnabled);
    this.#starter.discardGuest("its VMM reset the device");
  }

  /** True if the frontend has started a ring and handed over no memory. */
  get lacksMemory(): boolean {
    return this.#table.size === 0 && this.isAnyStarted;
  }

  /**
   * Returns "used" once a driver is seen in the memory, "foreign" if one kicks
   * and nothing is in the memory: what is seen here is not what it writes to.
   */
  judgeMemory(): "used" | "foreign" | "unknown" {
    const { memory } = this.#table;
    const found = this.#rings.map((ring) => ring.judgeMemory(memory));
    if (found.includes("used")) return "used";
    return found.includes("foreign") ? "foreign" : "unknown";
  }

  /** True while no ring runs and the device holds a guest's state. */
  get isPaused(): boolean {
    return this.#guest.isKnown && !this.#starter.isAnyActive;
  }

  /**
   * Returns true if the memory of a paused ring was written to, which a guest
   * that is paused cannot do.
   */
  isAnyOverwritten(): boolean {
    return this.#rings.some((ring) => ring.isOverwritten(this.#table.memory));
  }

  /**
   * Gives up a guest whose rings are all stopped: the device is reset, so that
   * lines go where their rules say. The rings are remembered. A guest that goes
   * on after all is served again, with the interrupts it had; an output is
   * driven again by the guest's next request for it, never before.
   */
  abandonGuest(): void {
    if (!this.isPaused) return;
    this.#guest.abandon();
  }

  /**
   * Stops all rings, discards the guest's state, unmaps all and closes all fds.
   * Idempotent.
   */
  [Symbol.dispose](): void {
    this.#device.onRefusedChain = undefined;
    this.#device.onMore = undefined;
    for (const ring of this.#rings) ring[Symbol.dispose]();
    this.#starter.cancel();
    // The region first: its record of the guest is for the next back end.
    this.#guest.setRegion(undefined);
    this.#table.unmap();
    this.#table = new MemoryTable(this.#pagesTaken, this.#host.named);
    this.#starter.discardGuest();
  }

  #ring(index: number): Vring | string {
    return this.#rings[index] ??
      `there are ${this.#rings.length} rings, and no ring ${index}`;
  }

  /** The ring that takes `fd` over; where there is none, the fd is closed. */
  #ringFor(fd: OwnedFd | undefined, index: number): Vring | string {
    const ring = this.#ring(index);
    if (typeof ring === "string" && fd !== undefined) closeElsewhere([fd]);
    return ring;
  }
}
