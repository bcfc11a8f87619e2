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
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import { RING_FEATURES_MASK } from "../virtio/features.ts";
import type {
  InflightDescription,
  RegionDescription,
  VringAddress,
} from "./codec.ts";
import { InflightRegion } from "./inflight_region.ts";
import {
  isSameRegion,
  type MappedRegion,
  mapRegion,
  MemoryTable,
} from "./memory_table.ts";
import {
  MAX_VRING_SIZE,
  VHOST_USER_F_PROTOCOL_FEATURES_MASK,
  VHOST_VRING_F_LOG_MASK,
} from "./protocol.ts";
import { locateRing, type RingHost, type RingStart, Vring } from "./vring.ts";

/** Regions that ADD_MEM_REG may make: as many as KVM has slots on most hosts. */
export const MAX_MEM_SLOTS = 509;

const MAX_RING_INDEX = 0xffff;

/**
 * The rings of one session. **Ownership**: owns the mappings and the rings' fds;
 * the device is lent, and left without queues and without the guest's state.
 */
export class RingSet implements Disposable {
  readonly #host: RingHost;
  readonly #device: VirtioDevice;
  readonly #rings: readonly Vring[];
  #table: MemoryTable = MemoryTable.EMPTY;
  #region: InflightRegion | undefined;
  #features = 0n;
  /** Whether the device knows the features; a reset makes it forget them. */
  #hasToldFeatures = false;
  /** Whether the device keeps the guest's state in the region's tail. */
  #keepsState = false;
  /** Whether the device may hold a guest's state. */
  #isDirty = false;

  /** Makes rings that are all stopped and disabled, without memory. */
  constructor(host: RingHost) {
    this.#host = host;
    this.#device = host.device;
    this.#rings = Array.from(
      { length: host.device.queueCount },
      (_, index) => new Vring(index, host),
    );
  }

  /** The virtio features that are offered, the protocol's own bit among them. */
  get offeredFeatures(): bigint {
    return this.#device.deviceFeatures | RING_FEATURES_MASK |
      VHOST_USER_F_PROTOCOL_FEATURES_MASK;
  }

  /** How many rings there are. */
  get count(): number {
    return this.#rings.length;
  }

  /** Whether any ring runs. While none does, the device is suspended. */
  get isAnyActive(): boolean {
    return this.#rings.some((ring) => ring.isActive);
  }

  /** Whether any ring was started and not stopped, enabled or not. */
  get isAnyStarted(): boolean {
    return this.#rings.some((ring) => ring.isStarted);
  }

  /**
   * SET_FEATURES. Which rings are enabled outlives it. A ring that is enabled by
   * it and cannot run is a broken rule too; the features are recorded then.
   */
  setFeatures(features: bigint): string | undefined {
    const unknown = features & ~this.offeredFeatures;
    if (unknown !== 0n) {
      return `features 0x${unknown.toString(16)} were never offered`;
    }
    const changed = (features ^ this.#features) &
      ~VHOST_USER_F_PROTOCOL_FEATURES_MASK;
    if (changed !== 0n && this.isAnyActive) {
      return "features cannot change while a ring runs";
    }
    if (changed !== 0n) this.#hasToldFeatures = false;
    this.#features = features;
    if ((features & VHOST_USER_F_PROTOCOL_FEATURES_MASK) !== 0n) {
      return undefined;
    }
    // A frontend that knows nothing of SET_VRING_ENABLE (QEMU before 7.2).
    for (const ring of this.#rings) ring.isEnabled = true;
    return this.#startAll();
  }

  /** SET_MEM_TABLE, also under running rings. Takes no fd over. */
  setMemory(
    descriptions: readonly RegionDescription[],
    fds: readonly OwnedFd[],
  ): string | undefined {
    const regions: MappedRegion[] = [];
    let table: MemoryTable | string | undefined;
    try {
      for (const [i, description] of descriptions.entries()) {
        const region = mapRegion(description, fds[i]!);
        if (typeof region === "string") return region;
        regions.push(region);
      }
      table = MemoryTable.of(regions);
      if (typeof table === "string") return table;
    } finally {
      if (!(table instanceof MemoryTable)) unmap(regions);
    }
    this.#exchange(table);
    return undefined;
  }

  /** ADD_MEM_REG. Takes no fd over. */
  addRegion(
    description: RegionDescription,
    fd: OwnedFd,
  ): string | undefined {
    if (this.#table.regions.length >= MAX_MEM_SLOTS) {
      return `there are ${MAX_MEM_SLOTS} regions at most`;
    }
    const region = mapRegion(description, fd);
    if (typeof region === "string") return region;
    const table = MemoryTable.of([...this.#table.regions, region]);
    if (typeof table === "string") {
      unmap([region]);
      return table;
    }
    this.#exchange(table);
    return undefined;
  }

  /** REM_MEM_REG. A ring that lies in it waits until its memory is back. */
  removeRegion(description: RegionDescription): string | undefined {
    const { regions } = this.#table;
    const gone = regions.find((region) =>
      isSameRegion(region.description, description)
    );
    if (gone === undefined) {
      return `there is no such region at guest address 0x${
        description.guestAddress.toString(16)
      }`;
    }
    const table = MemoryTable.of(regions.filter((region) => region !== gone));
    if (typeof table === "string") return table;
    this.#exchange(table);
    return undefined;
  }

  /**
   * Puts the rings on another memory: whatever runs is paused, the old memory is
   * unmapped where the new table lacks it, and the rings go on with what they
   * had in flight.
   */
  #exchange(table: MemoryTable): void {
    const before = this.#table.regions;
    const after = table.regions;
    try {
      for (const ring of this.#rings) ring.pause();
    } catch (error) {
      // Some ring may still reach into the old memory: that stays, then.
      unmap(after.filter((region) => !before.includes(region)));
      throw error;
    }
    this.#table = table;
    unmap(before.filter((region) => !after.includes(region)));
    for (const [index, ring] of this.#rings.entries()) {
      const fault = this.#start(ring);
      if (fault !== undefined) this.#host.ringFaulted(index, fault);
    }
  }

  /** SET_VRING_NUM. */
  setSize(index: number, size: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (size < 1 || size > MAX_VRING_SIZE || (size & (size - 1)) !== 0) {
      return `a ring has a power of two of entries, up to ${MAX_VRING_SIZE}, not ${size}`;
    }
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
      return isSamePlace(ring.address!, address)
        ? undefined
        : "a ring cannot move while it runs";
    }
    // What is not known yet is checked when the ring starts.
    if (ring.size !== 0 && this.#table.regions.length !== 0) {
      const place = locateRing(this.#table.memory, address, ring.size);
      if (typeof place === "string") return place;
    }
    ring.address = address;
    return this.#start(ring);
  }

  /** SET_VRING_BASE. */
  setBase(index: number, base: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (base > MAX_RING_INDEX) return `${base} is no index of a split ring`;
    if (ring.isActive) return "the base of a ring cannot change while it runs";
    ring.base = base;
    return undefined;
  }

  /** GET_VRING_BASE: stops the ring. Returns its base, or the broken rule. */
  takeBase(index: number): number | string {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    ring.stop();
    return ring.base;
  }

  /** SET_VRING_KICK: starts the ring. Takes the fd over, whatever comes of it. */
  setKick(index: number, fd: OwnedFd | undefined): string | undefined {
    // Polling would wake this process for ever, for a guest that is idle; no
    // frontend is known to ask for it.
    if (fd === undefined) return "polling instead of a kick is not served";
    const ring = this.#ring(index);
    if (typeof ring === "string") {
      fd.close();
      return ring;
    }
    return ring.setKick(fd) ?? this.#start(ring);
  }

  /** SET_VRING_CALL. Takes the fd over, whatever comes of it. */
  setCall(index: number, fd: OwnedFd | undefined): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring !== "string") return ring.setCall(fd);
    fd?.close();
    return ring;
  }

  /** SET_VRING_ERR. Takes the fd over, whatever comes of it. */
  setErr(index: number, fd: OwnedFd | undefined): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring !== "string") return ring.setErr(fd);
    fd?.close();
    return ring;
  }

  /** SET_VRING_ENABLE. */
  setEnabled(index: number, value: number): string | undefined {
    const ring = this.#ring(index);
    if (typeof ring === "string") return ring;
    if (value > 1) return `a ring is enabled (1) or disabled (0), not ${value}`;
    ring.isEnabled = value === 1;
    if (ring.isEnabled) return this.#start(ring);
    ring.pause();
    return undefined;
  }

  /** SET_INFLIGHT_FD. Takes no fd over. */
  setInflight(
    description: InflightDescription,
    fd: OwnedFd,
  ): string | undefined {
    if (this.isAnyActive) {
      return "the in-flight region cannot change while a ring runs";
    }
    const region = InflightRegion.map(fd, description);
    if (typeof region === "string") return region;
    this.#dropRegion();
    this.#region = region;
    return undefined;
  }

  /** Stops all rings and discards the guest's state: RESET_DEVICE, or status 0. */
  resetDevice(): void {
    const isEnabled = this.#features !== 0n &&
      (this.#features & VHOST_USER_F_PROTOCOL_FEATURES_MASK) === 0n;
    for (const ring of this.#rings) ring.reset(isEnabled);
    this.#discardGuest();
  }

  /**
   * Stops all rings, discards the guest's state, unmaps all and closes all fds.
   * Idempotent.
   */
  [Symbol.dispose](): void {
    for (const ring of this.#rings) ring[Symbol.dispose]();
    // The region first: what it says of the guest is for whoever is next.
    this.#dropRegion();
    this.#table.unmap();
    this.#table = MemoryTable.EMPTY;
    this.#discardGuest();
  }

  #ring(index: number): Vring | string {
    return this.#rings[index] ??
      `there are ${this.#rings.length} rings, and no ring ${index}`;
  }

  #startAll(): string | undefined {
    let first: string | undefined;
    for (const ring of this.#rings) {
      const fault = this.#start(ring);
      first ??= fault;
    }
    return first;
  }

  /** Starts a ring if it is complete; returns why it cannot run then. */
  #start(ring: Vring): string | undefined {
    if (!ring.isWanted || ring.isActive || this.#table.regions.length === 0) {
      return undefined;
    }
    const { memory } = this.#table;
    const start = ring.prepare(memory, this.#features);
    if (typeof start === "string") return start;
    if (start.kind === "anew" && !this.isAnyActive) this.#discardGuest();
    if (!this.#isDirty) this.#begin(start.kind);
    if (!this.#hasToldFeatures) {
      this.#hasToldFeatures = true;
      this.#device.setFeatures(
        this.#features & ~VHOST_USER_F_PROTOCOL_FEATURES_MASK,
      );
    }
    this.#keepState(start.kind === "first" && !this.#isDirty);
    this.#isDirty = true;
    return ring.start(start, memory, this.#region);
  }

  /** Tells the device whose rings are about to run. */
  #begin(kind: RingStart["kind"]): void {
    const isNew = kind !== "first" || this.#isOtherGuest();
    this.#device.guestBegins?.(isNew);
  }

  /**
   * Whether the guest is none that an earlier session or process may have
   * served. Of the guest that the region tells of nothing is left then: a ring
   * that looks as it did may have been begun anew.
   */
  #isOtherGuest(): boolean {
    const region = this.#region;
    const { memory } = this.#table;
    const found = region === undefined
      ? []
      : this.#rings.map((ring) => ring.compare(memory, region));
    if (found.includes("other")) {
      for (const [index] of this.#rings.entries()) {
        if (region!.covers(index)) region!.wipe(index);
      }
      return true;
    }
    // Every driver uses the first ring from the first moment on.
    return !found.includes("same") && this.#rings[0]!.isUntouched(memory);
  }

  /**
   * Has the device keep the guest's state in the region, where that has a tail.
   * Before the first ring runs, so that the guest's own words come after.
   *
   * @param mayBeSame Whether the guest may be one that an earlier session, or
   * another process, left without noticing.
   */
  #keepState(mayBeSame: boolean): void {
    const region = this.#region;
    if (this.#keepsState || region === undefined) return;
    this.#keepsState = true;
    const tail = region.tail(this.#device.stateBytes);
    if (tail === undefined) return;
    this.#device.keepState(tail, mayBeSame && this.#isSameGuest(region));
  }

  /** Whether the rings are those of the logs, by all that is known of them. */
  #isSameGuest(region: InflightRegion): boolean {
    const found = this.#rings.map((ring) =>
      ring.compare(this.#table.memory, region)
    );
    return found.includes("same") && !found.includes("other");
  }

  #dropRegion(): void {
    if (this.#keepsState) this.#device.keepState(undefined, false);
    this.#keepsState = false;
    this.#region?.[Symbol.dispose]();
    this.#region = undefined;
  }

  /** Resets the device if a guest has used it; no ring may be active. */
  #discardGuest(): void {
    for (const ring of this.#rings) ring.forget();
    // Otherwise the device itself erases what is kept.
    if (!this.#keepsState) this.#region?.tail(this.#device.stateBytes)?.fill(0);
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#hasToldFeatures = false;
    this.#device.reset();
  }
}

function isSamePlace(a: VringAddress, b: VringAddress): boolean {
  return a.descriptor === b.descriptor && a.available === b.available &&
    a.used === b.used;
}

function unmap(regions: readonly MappedRegion[]): void {
  for (const { file } of regions) file[Symbol.dispose]();
}
