/**
 * A vhost-user frontend: what a VMM does with a backend, without the VM.
 *
 * It shares no code with the backend but constants and layouts, says things in
 * the order of any known frontend, and, through {@linkcode Frontend.client},
 * {@linkcode Frontend.rings} and {@linkcode Frontend.memory}, anything wrong
 * that a test sends.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import {
  PROTOCOL_FEATURE_BACKEND_REQ_MASK,
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK,
  PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK,
  PROTOCOL_FEATURE_MQ_MASK,
  PROTOCOL_FEATURE_RESET_DEVICE_MASK,
  PROTOCOL_FEATURE_STATUS_MASK,
  VHOST_USER_F_PROTOCOL_FEATURES_MASK,
} from "../vhost_user/messages/protocol.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_VERSION_1_MASK,
  VIRTIO_GPIO_F_IRQ_MASK,
} from "../virtio/queue/features.ts";
import { Client, type InflightRegion } from "./client.ts";
import { connectBackend, Connection } from "./connection.ts";
import type { DriverRing } from "./driver_ring.ts";
import { RuleViolation } from "./errors.ts";
import {
  DeviceStatus,
  SUPPORTED_FEATURES,
  SUPPORTED_PROTOCOL_FEATURES,
} from "./features.ts";
import {
  DEFAULT_REGIONS,
  FrontendMemory,
  type Region,
  type RegionPlan,
} from "./memory.ts";
import type { FrontendOptions } from "./frontend_options.ts";
import { FrontendQueues, type ResumePoint } from "./frontend_queues.ts";
import { CallPoint, type KickPoint } from "./notifier.ts";
import {
  type DeviceStep,
  type Order,
  ORDERS,
  type RingStep,
  type Step,
} from "./orders.ts";

/** A frontend with its guest memory and rings. **Ownership**: owns them all. */
export class Frontend implements Disposable {
  /** The order in force. */
  readonly order: Order;
  /** The guest's memory. */
  readonly memory: FrontendMemory;
  /** Virtio features in force. */
  readonly features: bigint;
  /** Limit for each wait. **Units**: milliseconds. */
  readonly timeoutMs: number;

  readonly #options: FrontendOptions;
  readonly #queues = new FrontendQueues();
  readonly #stack = new DisposableStack();
  /** Regions that this backend was given one by one. */
  readonly #backendRegions = new Set<Region>();
  #client: Client;
  #subject: string;
  #offered = 0n;
  #protocolOffered = 0n;
  #backendQueueCount: number | undefined;
  #memorySlots: number | undefined;
  #inflight: InflightRegion | undefined;
  #backendRequests: Connection | undefined;
  #running = false;

  private constructor(target: string | OwnedFd, options: FrontendOptions) {
    this.#options = options;
    this.order = ORDERS[options.order ?? "qemu"];
    this.timeoutMs = options.timeoutMs ?? 2000;
    this.#subject = typeof target === "string" ? target : `fd ${target.fd}`;
    this.#client = this.#connect(target);
    try {
      this.#take(this.order.opening);
      this.features = this.#offered & (options.features ?? SUPPORTED_FEATURES);
      this.memory = this.#stack.use(
        FrontendMemory.create(options.regions ?? DEFAULT_REGIONS),
      );
      this.#queues.add(this.#queueCount, {
        memory: this.memory,
        order: this.order,
        socketFd: this.#client.connection.fd,
        size: options.queueSize ?? 256,
        eventIndex: this.has(VIRTIO_F_EVENT_IDX_MASK),
        regions: options.ringRegions ?? [],
      });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Connects and negotiates; rings lie ready and run from
   * {@linkcode Frontend.start} on.
   *
   * @param target The socket's path, or a connected socket. **Ownership**: the
   * frontend's from here on.
   * @throws {ConnectionError} If there is no backend, or it hangs up.
   * @throws {WaitTimeoutError} If it does not answer.
   * @throws {RuleViolation} If it answers what no backend may.
   */
  static open(
    target: string | OwnedFd,
    options: FrontendOptions = {},
  ): Frontend {
    return new Frontend(target, options);
  }

  /** Virtio features that the backend offers. */
  get offeredFeatures(): bigint {
    return this.#offered;
  }

  /** Protocol features that the backend offers. */
  get offeredProtocolFeatures(): bigint {
    return this.#protocolOffered;
  }

  /** Protocol features in force. */
  get protocolFeatures(): bigint {
    return this.#client.protocolFeatures;
  }

  /** Number of rings that the backend can serve, if it reported one. */
  get backendQueueCount(): number | undefined {
    return this.#backendQueueCount;
  }

  /** Number of regions that the backend can hold, if it reported one. */
  get memorySlots(): number | undefined {
    return this.#memorySlots;
  }

  /** The backend's name in messages: the socket's path. */
  get subject(): string {
    return this.#subject;
  }

  /** The messages of the present connection, for saying anything. */
  get client(): Client {
    return this.#client;
  }

  /** The rings, by queue number. */
  get rings(): readonly DriverRing[] {
    return this.#queues.all.map(({ ring }) => ring);
  }

  /** The channel on which the backend asks; nothing without BACKEND_REQ. */
  get backendRequests(): Connection | undefined {
    return this.#backendRequests;
  }

  /** The in-flight region, once there is one. */
  get inflight(): InflightRegion | undefined {
    return this.#inflight;
  }

  /** True while rings run. */
  get running(): boolean {
    return this.#running;
  }

  /** Returns true if these virtio features are all in force. */
  has(features: bigint): boolean {
    return (this.features & features) === features;
  }

  /** Returns true if these protocol features are all in force. */
  hasProtocol(features: bigint): boolean {
    return (this.protocolFeatures & features) === features;
  }

  /**
   * Reads the configuration space.
   *
   * @returns The bytes, or nothing when the backend refuses the range.
   */
  readConfig(offset: number, size: number): Uint8Array | undefined {
    return this.#client.getConfig(offset, size);
  }

  /** Lets all rings run, from where they last were. */
  start(): void {
    this.#take(this.order.starting);
    this.#running = true;
  }

  /**
   * Has the backend stop all rings, and notes where they are: the guest is
   * paused, not reset. GET_VRING_BASE is sent whatever the order's habit.
   *
   * @returns Each ring's next available index, as the backend has it.
   */
  pause(): readonly number[] {
    this.#take([["disable"], ["getBase"]]);
    this.#running = false;
    return this.#queues.all.map(({ base }) => base);
  }

  /** Lets rings run again that were paused. */
  resume(): void {
    this.start();
  }

  /**
   * Stops as the order's frontend does when the guest's driver goes, and
   * empties the rings: the next start is a fresh driver's.
   */
  stop(): void {
    this.#take(this.order.stopping);
    this.#running = false;
    this.#queues.reset();
  }

  /**
   * Resets the device: by STATUS where negotiated, else by RESET_DEVICE where
   * negotiated, and stops the rings in any case.
   */
  reset(): void {
    if (this.hasProtocol(PROTOCOL_FEATURE_STATUS_MASK)) {
      this.#client.setStatus(0);
    } else if (this.hasProtocol(PROTOCOL_FEATURE_RESET_DEVICE_MASK)) {
      this.#client.resetDevice();
    }
    this.stop();
  }

  /** Hangs up without a message, as a VMM that crashes. */
  disconnect(): void {
    this.#queues.watchSocket(undefined);
    this.#client[Symbol.dispose]();
    this.#backendRequests?.[Symbol.dispose]();
    this.#backendRequests = undefined;
    this.#backendRegions.clear();
    this.#running = false;
  }

  /**
   * Connects to the next backend, with memory and rings as they are; with the
   * in-flight region of the last one, where there is one. {@linkcode start}
   * lets the rings run on.
   *
   * @param from Where each ring goes on: behind the last used entry (as QEMU
   * has it), behind the last available one (as Cloud Hypervisor), or at given
   * indices. A backend with the in-flight region knows better than either.
   */
  reconnect(target: string | OwnedFd, from: ResumePoint = "used"): void {
    this.disconnect();
    if (typeof target === "string") this.#subject = target;
    this.#client = this.#connect(target);
    this.#take(this.order.opening);
    if ((this.#offered & this.features) !== this.features) {
      throw new RuleViolation(
        "a backend that a frontend reconnects to offers what the last one did",
        `0x${this.#offered.toString(16)}, in force are ` +
          `0x${this.features.toString(16)}`,
      );
    }
    this.#queues.watchSocket(this.#client.connection.fd);
    this.#queues.resume(from);
  }

  /** Sends the memory table again, as it now is; rings may run meanwhile. */
  updateMemory(): void {
    this.#client.setMemoryTable(this.memory.regions);
  }

  /** Adds a region to guest memory; the backend learns of it at once. */
  addMemory(plan: RegionPlan): Region {
    const region = this.memory.add(plan);
    if (this.hasProtocol(PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK)) {
      this.#client.addMemoryRegion(region);
      this.#backendRegions.add(region);
    } else this.updateMemory();
    return region;
  }

  /** Takes a region away from the backend and from guest memory. */
  removeMemory(region: Region): void {
    if (this.hasProtocol(PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK)) {
      this.#client.removeMemoryRegion(region);
      this.#backendRegions.delete(region);
    } else {
      const left = this.memory.regions.filter((each) => each !== region);
      this.#client.setMemoryTable(left);
    }
    this.memory.remove(region);
  }

  /** Kicks a ring. */
  kick(index: number): void {
    this.#queues.at(index).kick.kick();
  }

  /**
   * Returns the receiving end of a ring's calls, for hot loops that wait
   * themselves.
   */
  callPoint(index: number): CallPoint {
    return this.#queues.at(index).call;
  }

  /** Returns the sending end of a ring's kicks, for hot loops. */
  kickPoint(index: number): KickPoint {
    return this.#queues.at(index).kick;
  }

  /**
   * Sleeps until a ring has used entries.
   *
   * **Blocking**: for `timeoutMs` at most.
   *
   * @returns How many there are; 0 when the time was up.
   */
  waitUsed(index: number, timeoutMs: number): number {
    return this.#queues.waitUsed(index, timeoutMs);
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]();
    this.#backendRequests?.[Symbol.dispose]();
    this.#inflight?.fd.close();
    this.#queues[Symbol.dispose]();
    this.#stack.dispose();
  }

  #connect(target: string | OwnedFd): Client {
    const socket = typeof target === "string" ? connectBackend(target) : target;
    return new Client(
      new Connection(socket, this.#subject, this.timeoutMs),
      this.#options.acknowledge ?? this.order.acknowledge,
    );
  }

  #take(steps: readonly Step[]): void {
    for (const step of steps) {
      if (typeof step === "string") {
        this.#takeDeviceStep(step);
        continue;
      }
      const backwards = this.order.stopsBackwards && step[0] === "disable";
      // Some steps are taken before there are rings.
      const count = this.#queues.all.length || this.#queueCount;
      for (let i = 0; i < count; i++) {
        const index = backwards ? count - 1 - i : i;
        for (const ringStep of step) this.#takeRingStep(ringStep, index);
      }
    }
  }

  /** Rings that there are, or will be. */
  get #queueCount(): number {
    const accepted = this.#options.features ?? SUPPORTED_FEATURES;
    return this.#options.queueCount ??
      ((this.#offered & accepted & VIRTIO_GPIO_F_IRQ_MASK) !== 0n ? 2 : 1);
  }

  #takeDeviceStep(step: DeviceStep): void {
    const client = this.#client;
    switch (step) {
      case "owner":
        return client.setOwner();
      case "features":
        this.#offered = client.getFeatures();
        return;
      case "protocol": {
        if ((this.#offered & VHOST_USER_F_PROTOCOL_FEATURES_MASK) === 0n) {
          return;
        }
        this.#protocolOffered = client.getProtocolFeatures();
        const wanted = this.#options.protocolFeatures ??
          SUPPORTED_PROTOCOL_FEATURES;
        return client.setProtocolFeatures(this.#protocolOffered & wanted);
      }
      case "queueCount":
        if (this.hasProtocol(PROTOCOL_FEATURE_MQ_MASK)) {
          this.#backendQueueCount = client.getQueueCount();
        }
        return;
      case "memorySlots":
        if (this.hasProtocol(PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK)) {
          this.#memorySlots = client.getMaxMemorySlots();
        }
        return;
      case "backendRequests":
        return this.#openBackendRequests();
      case "driverFeatures":
        return this.#acceptFeatures();
      case "memory":
        return this.#sendMemory();
      case "inflight":
        return this.#sendInflight();
      case "driverOk":
        return this.#addStatus(DeviceStatus.DriverOk);
    }
  }

  #takeRingStep(step: RingStep, index: number): void {
    const client = this.#client;
    if (step === "dummyCall") {
      // QEMU gives the ring an fd that has no listener, long before the
      // ring exists: the backend has its own copy, this one is closed again.
      using dummy = new CallPoint("eventfd");
      return client.setVringCall(index, dummy.backendFd);
    }
    const queue = this.#queues.at(index);
    const { ring } = queue;
    switch (step) {
      case "size":
        return client.setVringSize(index, ring.size);
      case "base":
        return client.setVringBase(index, queue.base);
      case "address":
        return client.setVringAddress(index, {
          descriptors: this.memory.toUserAddress(ring.descriptorAddress),
          avail: this.memory.toUserAddress(ring.availAddress),
          used: this.memory.toUserAddress(ring.usedAddress),
        });
      case "kick":
        return client.setVringKick(index, queue.kick.fd);
      case "call":
        return client.setVringCall(index, queue.call.backendFd);
      case "enable":
      case "disable":
        // Without protocol features, rings are enabled from the start.
        if (!this.has(VHOST_USER_F_PROTOCOL_FEATURES_MASK)) return;
        return client.setVringEnable(index, step === "enable");
      case "getBase":
        queue.base = client.getVringBase(index);
        return;
    }
  }

  #acceptFeatures(): void {
    if (!this.has(VIRTIO_F_VERSION_1_MASK)) {
      throw new RuleViolation(
        "a virtio-gpio device offers VIRTIO_F_VERSION_1",
        `features 0x${this.#offered.toString(16)}`,
      );
    }
    this.#client.setFeatures(this.features);
    this.#addStatus(
      DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk,
    );
  }

  #addStatus(bits: number): void {
    if (!this.hasProtocol(PROTOCOL_FEATURE_STATUS_MASK)) return;
    const wanted = this.#client.getStatus() | bits;
    this.#client.setStatus(wanted);
    const status = this.#client.getStatus();
    if ((status & wanted) !== wanted) {
      throw new RuleViolation(
        "the device keeps the status that the driver sets",
        `0x${status.toString(16)} after 0x${wanted.toString(16)}`,
      );
    }
  }

  #sendMemory(): void {
    const bySlots = this.order.memorySlots === true &&
      this.hasProtocol(PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK);
    if (!bySlots) return this.updateMemory();
    for (const region of this.memory.regions) {
      if (this.#backendRegions.has(region)) continue;
      this.#client.addMemoryRegion(region);
      this.#backendRegions.add(region);
    }
  }

  #sendInflight(): void {
    if (!this.hasProtocol(PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK)) return;
    this.#inflight ??= this.#client.getInflight(
      this.#queues.all.length,
      this.#queues.at(0).ring.size,
    );
    this.#client.setInflight(this.#inflight);
  }

  #openBackendRequests(): void {
    if (!this.hasProtocol(PROTOCOL_FEATURE_BACKEND_REQ_MASK)) return;
    this.#backendRequests ??= this.#client.openBackendRequests(
      `${this.#subject} (backend requests)`,
      this.timeoutMs,
    );
  }
}
