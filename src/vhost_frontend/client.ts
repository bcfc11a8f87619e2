/**
 * The vhost-user messages that a frontend sends, one method each, with every
 * answer checked to the byte.
 *
 * **Source**: QEMU docs/interop/vhost-user.rst.
 *
 * @module
 */
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import {
  CONFIG_HEADER,
  FrontendRequest as Request,
  INFLIGHT,
  INFLIGHT_PACKED_BYTES,
  NEED_REPLY_MASK,
  PROTOCOL_FEATURE_REPLY_ACK_MASK,
  REPLY_FLAGS,
  requestName,
  VERSION,
} from "../vhost_user/messages/protocol.ts";
import { Connection, type Reply } from "./connection.ts";
import { ConnectionError, RuleViolation } from "./errors.ts";
import {
  decodeInflight,
  decodeU64,
  decodeVringState,
  encodeConfig,
  encodeInflight,
  encodeMemoryRegion,
  encodeMemoryTable,
  encodeMessage,
  encodeU64,
  encodeVringAddress,
  encodeVringFd,
  encodeVringState,
  type VringAddress,
} from "./messages.ts";
import type { Region } from "./memory.ts";

/** Which messages ask for an acknowledgement, once REPLY_ACK is negotiated. */
export type AckHabit = "never" | "effects" | "always";

/** The backend's in-flight region. **Ownership**: its holder owns `fd`. */
export interface InflightRegion {
  /** The shared memory. */
  readonly fd: OwnedFd;
  /** **Units**: bytes. */
  readonly size: number;
  /** Offset of the region in the memory. **Units**: bytes. */
  readonly offset: number;
  /** Rings that it has room for. */
  readonly queueCount: number;
  /** Entries of each ring. */
  readonly queueSize: number;
}

/** Departures of {@linkcode Client.sendRaw} from a well-formed message. */
interface RawMessage {
  /** The whole flags word instead of version 1. */
  readonly flags?: number;
  /** Payload size that the header claims. **Units**: bytes. */
  readonly size?: number;
  /** Descriptors to send along. **Ownership**: stays the caller's. */
  readonly fds?: readonly number[];
}

/**
 * Messages whose effect must be there before the guest goes on, which the
 * frontends of habit "effects" wait for. SET_VRING_ENABLE is one: the guest's
 * kicks go by another way and would overtake it.
 */
const EFFECT_REQUESTS: ReadonlySet<number> = new Set([
  Request.SET_MEM_TABLE,
  Request.ADD_MEM_REG,
  Request.REM_MEM_REG,
  Request.SET_VRING_ADDR,
  Request.SET_VRING_ENABLE,
]);

/** One session's messages. **Ownership**: owns the connection. */
export class Client implements Disposable {
  /** Protocol feature bits in force. */
  protocolFeatures = 0n;

  constructor(readonly connection: Connection, readonly habit: AckHabit) {}

  // ---- negotiation

  /** GET_FEATURES. */
  getFeatures(): bigint {
    return this.#askU64(Request.GET_FEATURES);
  }

  /** SET_FEATURES. */
  setFeatures(features: bigint): void {
    this.#tellU64(Request.SET_FEATURES, features);
  }

  /** GET_PROTOCOL_FEATURES. */
  getProtocolFeatures(): bigint {
    return this.#askU64(Request.GET_PROTOCOL_FEATURES);
  }

  /** SET_PROTOCOL_FEATURES; they are in force from the next message on. */
  setProtocolFeatures(features: bigint): void {
    this.#tellU64(Request.SET_PROTOCOL_FEATURES, features);
    this.protocolFeatures = features;
  }

  /** SET_OWNER. */
  setOwner(): void {
    this.tell(Request.SET_OWNER, new Uint8Array(0));
  }

  /** GET_QUEUE_NUM: how many rings the backend can serve. */
  getQueueCount(): number {
    return Number(this.#askU64(Request.GET_QUEUE_NUM));
  }

  /** GET_MAX_MEM_SLOTS. */
  getMaxMemorySlots(): number {
    return Number(this.#askU64(Request.GET_MAX_MEM_SLOTS));
  }

  /** SET_BACKEND_REQ_FD: where the backend sends its own requests. */
  setBackendRequestFd(fd: number): void {
    this.tell(Request.SET_BACKEND_REQ_FD, new Uint8Array(0), [fd]);
  }

  /**
   * Makes the channel for the backend's own requests.
   *
   * @param subject The channel's name in messages.
   * @returns Our end. **Ownership**: the caller's.
   */
  openBackendRequests(subject: string, timeoutMs: number): Connection {
    const [ours, theirs] = socketPair();
    try {
      const connection = new Connection(ours, subject, timeoutMs);
      this.setBackendRequestFd(theirs.fd);
      return connection;
    } finally {
      theirs.close();
    }
  }

  // ---- memory

  /** SET_MEM_TABLE with all of the regions. */
  setMemoryTable(regions: readonly Region[]): void {
    this.tell(
      Request.SET_MEM_TABLE,
      encodeMemoryTable(regions),
      regions.map((region) => region.fd.fd),
    );
  }

  /** ADD_MEM_REG. */
  addMemoryRegion(region: Region): void {
    this.tell(
      Request.ADD_MEM_REG,
      encodeMemoryRegion(region),
      [region.fd.fd],
    );
  }

  /** REM_MEM_REG, without the file descriptor that some frontends send. */
  removeMemoryRegion(region: Region): void {
    this.tell(Request.REM_MEM_REG, encodeMemoryRegion(region));
  }

  // ---- rings

  /** SET_VRING_NUM. */
  setVringSize(index: number, size: number): void {
    this.tell(Request.SET_VRING_NUM, encodeVringState(index, size));
  }

  /** SET_VRING_ADDR. */
  setVringAddress(index: number, address: VringAddress): void {
    this.tell(
      Request.SET_VRING_ADDR,
      encodeVringAddress(index, address),
    );
  }

  /** SET_VRING_BASE. */
  setVringBase(index: number, base: number): void {
    this.tell(Request.SET_VRING_BASE, encodeVringState(index, base));
  }

  /** GET_VRING_BASE: stops the ring; yields the next available index. */
  getVringBase(index: number): number {
    const request = Request.GET_VRING_BASE;
    const payload = this.ask(request, encodeVringState(index, 0), 8);
    const state = decodeVringState(payload);
    if (state.index !== index) {
      throw new RuleViolation(
        "GET_VRING_BASE answers for the ring that was asked about",
        `ring ${state.index} instead of ${index}`,
      );
    }
    return state.value;
  }

  /** SET_VRING_KICK; without an fd the ring is to be polled. */
  setVringKick(index: number, fd?: number): void {
    this.#tellVringFd(Request.SET_VRING_KICK, index, fd);
  }

  /** SET_VRING_CALL; without an fd there is no listener. */
  setVringCall(index: number, fd?: number): void {
    this.#tellVringFd(Request.SET_VRING_CALL, index, fd);
  }

  /** SET_VRING_ERR. */
  setVringError(index: number, fd?: number): void {
    this.#tellVringFd(Request.SET_VRING_ERR, index, fd);
  }

  /** SET_VRING_ENABLE. */
  setVringEnable(index: number, enabled: boolean): void {
    this.tell(
      Request.SET_VRING_ENABLE,
      encodeVringState(index, enabled ? 1 : 0),
    );
  }

  // ---- device

  /**
   * GET_CONFIG.
   *
   * @returns The bytes, or nothing when the backend refuses the range.
   */
  getConfig(offset: number, size: number): Uint8Array | undefined {
    const request = Request.GET_CONFIG;
    const reply = this.exchange(
      request,
      encodeConfig(offset, size, 0, new Uint8Array(size)),
    );
    if (reply.payload.length === 0) return undefined;
    this.#expectSize(reply, CONFIG_HEADER.size + size);
    return reply.payload.subarray(CONFIG_HEADER.size);
  }

  /** SET_CONFIG, as a driver's write (flags 0). */
  setConfig(offset: number, bytes: Uint8Array): void {
    this.tell(
      Request.SET_CONFIG,
      encodeConfig(offset, bytes.length, 0, bytes),
    );
  }

  /** SET_STATUS: the virtio device status; 0 resets the device. */
  setStatus(status: number): void {
    this.#tellU64(Request.SET_STATUS, BigInt(status));
  }

  /** GET_STATUS. */
  getStatus(): number {
    return Number(this.#askU64(Request.GET_STATUS));
  }

  /** RESET_DEVICE. */
  resetDevice(): void {
    this.tell(Request.RESET_DEVICE, new Uint8Array(0));
  }

  /** GET_INFLIGHT_FD: has the backend make an in-flight region. */
  getInflight(queueCount: number, queueSize: number): InflightRegion {
    const request = Request.GET_INFLIGHT_FD;
    const reply = this.exchange(
      request,
      encodeInflight(0, 0, queueCount, queueSize),
      [],
      1,
    );
    const [fd] = reply.fds;
    try {
      // Both sizes are in the wild: the C struct's and the packed one.
      if (reply.payload.length !== INFLIGHT_PACKED_BYTES) {
        this.#expectSize(reply, INFLIGHT.size);
      }
      const { size, offset } = decodeInflight(reply.payload);
      if (fd === undefined || size === 0) {
        throw new RuleViolation(
          "GET_INFLIGHT_FD answers with a region and its file descriptor",
          `${reply.fds.length} descriptors, ${size} bytes`,
        );
      }
      return { fd, size, offset, queueCount, queueSize };
    } catch (error) {
      fd?.close();
      throw error;
    }
  }

  /**
   * SET_INFLIGHT_FD: gives the backend the region of this or an earlier life.
   */
  setInflight(region: InflightRegion): void {
    this.tell(
      Request.SET_INFLIGHT_FD,
      encodeInflight(
        region.size,
        region.offset,
        region.queueCount,
        region.queueSize,
      ),
      [region.fd.fd],
    );
  }

  // ---- any message

  /**
   * Sends a message that has an answer of its own, and takes the answer. Its
   * payload must be `size` bytes.
   */
  ask(request: number, payload: Uint8Array, size: number): Uint8Array {
    const reply = this.exchange(request, payload);
    this.#expectSize(reply, size);
    return reply.payload;
  }

  /**
   * Sends a message that has no answer of its own; waits for the
   * acknowledgement where the habit asks for one.
   *
   * @throws {RuleViolation} If the backend acknowledges with a failure.
   */
  tell(
    request: number,
    payload: Uint8Array,
    fds: readonly number[] = [],
  ): void {
    const wantsReply =
      (this.protocolFeatures & PROTOCOL_FEATURE_REPLY_ACK_MASK) !== 0n &&
      (this.habit === "always" ||
        this.habit === "effects" && EFFECT_REQUESTS.has(request));
    if (!wantsReply) {
      this.sendRaw(request, payload, { fds });
      return;
    }
    const result = this.acknowledge(request, payload, fds);
    if (result !== 0n) {
      throw new RuleViolation(
        `a valid ${requestName(request)} is acknowledged with 0`,
        `${result}`,
      );
    }
  }

  /**
   * Sends any message with NEED_REPLY and yields the acknowledgement: 0 for
   * success. Needs REPLY_ACK.
   */
  acknowledge(
    request: number,
    payload: Uint8Array,
    fds: readonly number[] = [],
  ): bigint {
    this.sendRaw(request, payload, {
      flags: VERSION | NEED_REPLY_MASK,
      fds,
    });
    const reply = this.receiveReply(request);
    this.#expectSize(reply, 8);
    return decodeU64(reply.payload);
  }

  /** Sends a message and takes what the backend answers to it. */
  exchange(
    request: number,
    payload: Uint8Array,
    fds: readonly number[] = [],
    fdsExpected = 0,
  ): Reply {
    // A message that has an answer of its own has no second one: frontends
    // that set NEED_REPLY here too must not be answered twice.
    const flags = this.habit === "always" &&
        (this.protocolFeatures & PROTOCOL_FEATURE_REPLY_ACK_MASK) !== 0n
      ? VERSION | NEED_REPLY_MASK
      : VERSION;
    this.sendRaw(request, payload, { flags, fds });
    return this.receiveReply(request, fdsExpected);
  }

  /**
   * Sends a message unchecked, however wrong it is.
   *
   * @param request The code in the header.
   * @param payload What follows the header, whatever size it claims.
   */
  sendRaw(request: number, payload: Uint8Array, raw: RawMessage = {}): void {
    const { flags = VERSION, size = payload.length, fds } = raw;
    try {
      this.connection.send(encodeMessage(request, flags, size, payload), fds);
    } catch (error) {
      if (!(error instanceof ConnectionError)) throw error;
      throw new ConnectionError(
        `Cannot send ${requestName(request)}: ${error.message}`,
        { cause: error },
      );
    }
  }

  /**
   * Takes the answer to `request`, checking what every answer must be.
   *
   * **Ownership**: the caller closes the fds.
   */
  receiveReply(request: number, fdsExpected = 0): Reply {
    const name = requestName(request);
    const reply = this.connection.receive(`answer to ${name}`);
    const broken = reply.request !== request
      ? `an answer to ${requestName(reply.request)}`
      : reply.flags !== REPLY_FLAGS
      ? `flags 0x${reply.flags.toString(16)} instead of 0x5`
      : reply.fds.length > fdsExpected
      ? `${reply.fds.length} file descriptors`
      : undefined;
    if (broken === undefined) return reply;
    for (const fd of reply.fds) fd.close();
    throw new RuleViolation(
      `the answer to ${name} has its code, flags 0x5 and its own descriptors`,
      broken,
    );
  }

  [Symbol.dispose](): void {
    this.connection[Symbol.dispose]();
  }

  #askU64(request: number): bigint {
    return decodeU64(this.ask(request, new Uint8Array(0), 8));
  }

  #tellU64(request: number, value: bigint): void {
    this.tell(request, encodeU64(value));
  }

  #tellVringFd(request: number, index: number, fd?: number): void {
    this.tell(
      request,
      encodeVringFd(index, fd !== undefined),
      fd === undefined ? [] : [fd],
    );
  }

  #expectSize(reply: Reply, size: number): void {
    if (reply.payload.length === size) return;
    throw new RuleViolation(
      `the answer to ${requestName(reply.request)} carries ${size} bytes`,
      `${reply.payload.length}`,
    );
  }
}
