/**
 * The requests of a frontend, each with what it does; and what is negotiated by
 * them but concerns no ring.
 *
 * @module
 */
import { givenKind } from "../../ffi/given_fd.ts";
import { closeElsewhere } from "../../ffi/helper_thread.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import type { VirtioDevice } from "../virtio/device.ts";
import {
  decodeConfig,
  decodeInflight,
  decodeMemTable,
  decodeSingleRegion,
  decodeU64,
  decodeVringAddress,
  decodeVringFd,
  decodeVringState,
  encodeConfig,
  encodeInflight,
  encodeMessage,
  encodeU64,
  encodeVringState,
} from "./messages/codec.ts";
import { formFault, type RequestForm } from "./messages/request_forms.ts";
import { ProtocolError } from "../peer/protocol_error.ts";
import { createInflightFile } from "./memory/inflight_region.ts";
import type { Message } from "./messages/message_stream.ts";
import {
  BackendRequest,
  FrontendRequest,
  MAX_CONFIG_BYTES,
  PROTOCOL_FEATURE_BACKEND_REQ_MASK,
  PROTOCOL_FEATURE_CONFIG_MASK,
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK,
  PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK,
  PROTOCOL_FEATURE_MQ_MASK,
  PROTOCOL_FEATURE_REPLY_ACK_MASK,
  PROTOCOL_FEATURE_RESET_DEVICE_MASK,
  PROTOCOL_FEATURE_STATUS_MASK,
  requestName,
  VERSION,
} from "./messages/protocol.ts";
import type { RingSet } from "./rings/ring_set.ts";
import {
  FdName,
  type NegotiatedRecord,
  type SessionFds,
} from "./session_record.ts";
import { MAX_MEM_SLOTS } from "./memory/memory_table.ts";

/** The protocol features that are offered. */
const OFFERED_PROTOCOL_FEATURES_MASK = PROTOCOL_FEATURE_MQ_MASK |
  PROTOCOL_FEATURE_REPLY_ACK_MASK | PROTOCOL_FEATURE_BACKEND_REQ_MASK |
  PROTOCOL_FEATURE_CONFIG_MASK | PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK |
  PROTOCOL_FEATURE_RESET_DEVICE_MASK |
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK | PROTOCOL_FEATURE_STATUS_MASK;

const NOTHING = new Uint8Array(0);

/** Surroundings of a frontend's requests. */
interface RequestHost {
  /** The device that is presented. */
  readonly device: VirtioDevice;
  /** The rings of the session that is under way. */
  rings(): RingSet;
  /** Sends a reply. **Ownership**: takes the fds over. */
  reply(request: number, payload: Uint8Array, fds?: OwnedFd[]): void;
  /** A new session begins on the connection: SET_OWNER came again. */
  renew(): void;
  /** Memory of this process's was taken, in pages, for as long as the VMM likes. */
  pagesTaken(pages: number): void;
}

/**
 * Does what well-formed requests say. **Ownership**: owns the channel to the
 * frontend, if it gave one.
 */
export class FrontendRequests implements Disposable {
  readonly #host: RequestHost;
  #isOwned = false;
  #protocolFeatures = 0n;
  #status = 0n;
  #backendChannel: OwnedFd | undefined;

  /** Begins with nothing negotiated. */
  constructor(host: RequestHost) {
    this.#host = host;
  }

  /** True once the frontend has sent SET_OWNER. */
  get isOwned(): boolean {
    return this.#isOwned;
  }

  /** True if requests may ask for an acknowledgement. */
  get hasAcks(): boolean {
    return (this.#protocolFeatures & PROTOCOL_FEATURE_REPLY_ACK_MASK) !== 0n;
  }

  /** Descriptors of the frontend that the rings and the channel have. */
  get descriptors(): number {
    return this.#host.rings().descriptors +
      (this.#backendChannel === undefined ? 0 : 1);
  }

  /** Describes what is negotiated for the next process. */
  record(fds: SessionFds): NegotiatedRecord {
    const channel = this.#backendChannel;
    if (channel !== undefined) fds.set(FdName.Channel, channel.fd);
    return {
      isOwned: this.#isOwned,
      protocolFeatures: this.#protocolFeatures,
      status: this.#status,
    };
  }

  /**
   * Goes on from an earlier process.
   *
   * @returns Why it cannot. **Ownership**: of the channel, if there is one.
   */
  resume(
    { isOwned, protocolFeatures, status }: NegotiatedRecord,
    channel: OwnedFd | undefined,
  ): string | undefined {
    this.#isOwned = isOwned;
    this.#status = status & 0xffn;
    this.#backendChannel = channel;
    return this.#setProtocolFeatures(protocolFeatures);
  }

  /** Closes the channel to the frontend. */
  [Symbol.dispose](): void {
    this.#closeBackendChannel();
  }

  /**
   * Notifies the driver that the configuration space has changed, if the frontend
   * gave us a channel for that and the device is not suspended.
   *
   * @returns True if it was notified.
   */
  configChanged(): boolean {
    const channel = this.#backendChannel;
    const needed = PROTOCOL_FEATURE_BACKEND_REQ_MASK |
      PROTOCOL_FEATURE_CONFIG_MASK;
    if (
      channel === undefined || (this.#protocolFeatures & needed) !== needed ||
      !this.#host.rings().isAnyActive
    ) return false;
    const message = encodeMessage(
      BackendRequest.CONFIG_CHANGE_MSG,
      VERSION,
      NOTHING,
    );
    let sent: number;
    try {
      sent = send(channel.fd, message);
    } catch (error) {
      if (!isOsError(error)) throw error;
      sent = -1;
    }
    // Part of a message would garble every later one.
    if (sent >= 0 && sent < message.length) this.#closeBackendChannel();
    return sent === message.length;
  }

  /** Returns the rule of form, or of negotiation, that a request breaks. */
  broken(message: Message, form: RequestForm): string | undefined {
    const { header, payload, fds } = message;
    const fault = formFault(header.request, form, payload, fds.length);
    if (fault !== undefined) return fault;
    return (form.needs & ~this.#protocolFeatures) === 0n
      ? undefined
      : "the protocol feature it belongs to was not negotiated";
  }

  /** Does what a well-formed request says; returns what was wrong with it. */
  execute(message: Message): ProtocolError | undefined {
    const name = requestName(message.header.request);
    try {
      const rule = this.#dispatch(message);
      return rule === undefined ? undefined : new ProtocolError(name, rule);
    } catch (cause) {
      if (!isOsError(cause)) throw cause;
      return new ProtocolError(name, cause.message, { cause });
    }
  }

  /** Returns the rule that the request breaks. */
  #dispatch(
    { header: { request }, payload, fds }: Message,
  ): string | undefined {
    const rings = this.#host.rings();
    switch (request) {
      case FrontendRequest.GET_FEATURES:
        return this.#replyU64(request, rings.offeredFeatures);
      case FrontendRequest.SET_FEATURES:
        return rings.setFeatures(decodeU64(payload));
      case FrontendRequest.GET_PROTOCOL_FEATURES:
        return this.#replyU64(request, OFFERED_PROTOCOL_FEATURES_MASK);
      case FrontendRequest.SET_PROTOCOL_FEATURES:
        return this.#setProtocolFeatures(decodeU64(payload));
      case FrontendRequest.GET_QUEUE_NUM:
        return this.#replyU64(request, BigInt(rings.count));
      case FrontendRequest.SET_OWNER:
        this.#own();
        return undefined;
      case FrontendRequest.RESET_OWNER:
        // Deprecated, and understood in two ways: the one that discards state
        // led to bugs, so the specification allows to ignore it.
        return undefined;
      case FrontendRequest.SET_MEM_TABLE:
        return rings.setMemory(decodeMemTable(payload), fds);
      case FrontendRequest.GET_MAX_MEM_SLOTS:
        return this.#replyU64(request, BigInt(MAX_MEM_SLOTS));
      case FrontendRequest.ADD_MEM_REG:
        return rings.addRegion(decodeSingleRegion(payload), fds[0]!);
      case FrontendRequest.REM_MEM_REG:
        return rings.removeRegion(decodeSingleRegion(payload));
      case FrontendRequest.SET_VRING_NUM: {
        const { index, num } = decodeVringState(payload);
        return rings.setSize(index, num);
      }
      case FrontendRequest.SET_VRING_ADDR:
        return rings.setAddress(decodeVringAddress(payload));
      case FrontendRequest.SET_VRING_BASE: {
        const { index, num } = decodeVringState(payload);
        return rings.setBase(index, num);
      }
      case FrontendRequest.GET_VRING_BASE:
        return this.#getVringBase(payload);
      case FrontendRequest.SET_VRING_KICK:
        return rings.setKick(decodeVringFd(payload).index, fds.shift());
      case FrontendRequest.SET_VRING_CALL:
        return rings.setCall(decodeVringFd(payload).index, fds.shift());
      case FrontendRequest.SET_VRING_ERR:
        return rings.setErr(decodeVringFd(payload).index, fds.shift());
      case FrontendRequest.SET_VRING_ENABLE: {
        const { index, num } = decodeVringState(payload);
        return rings.setEnabled(index, num);
      }
      case FrontendRequest.SET_BACKEND_REQ_FD:
        return this.#setBackendChannel(fds);
      case FrontendRequest.GET_CONFIG:
        return this.#getConfig(payload);
      case FrontendRequest.SET_CONFIG:
        return "the configuration space is read-only";
      case FrontendRequest.GET_INFLIGHT_FD:
        return this.#getInflight(payload);
      case FrontendRequest.SET_INFLIGHT_FD:
        return rings.setInflight(decodeInflight(payload), fds[0]!);
      case FrontendRequest.RESET_DEVICE:
        rings.resetDevice();
        return undefined;
      case FrontendRequest.SET_STATUS:
        return this.#setStatus(decodeU64(payload));
      case FrontendRequest.GET_STATUS:
        return this.#replyU64(request, this.#status);
      default:
        throw new TypeError(`${requestName(request)} is in the table only`);
    }
  }

  #replyU64(request: number, value: bigint): undefined {
    this.#host.reply(request, encodeU64(value));
  }

  #setProtocolFeatures(features: bigint): string | undefined {
    const unknown = features & ~OFFERED_PROTOCOL_FEATURES_MASK;
    if (unknown !== 0n) {
      return `protocol features 0x${unknown.toString(16)} were never offered`;
    }
    this.#protocolFeatures = features;
    if ((features & PROTOCOL_FEATURE_BACKEND_REQ_MASK) === 0n) {
      this.#closeBackendChannel();
    }
    return undefined;
  }

  #getVringBase(payload: DataView): string | undefined {
    const { index } = decodeVringState(payload);
    const base = this.#host.rings().takeBase(index);
    if (typeof base === "string") return base;
    this.#host.reply(
      FrontendRequest.GET_VRING_BASE,
      encodeVringState({ index, num: base }),
    );
    return undefined;
  }

  #setBackendChannel(fds: OwnedFd[]): string | undefined {
    if (givenKind(fds[0]!.fd) !== "unix socket") {
      return "its fd must be a Unix socket";
    }
    this.#closeBackendChannel();
    this.#backendChannel = fds.shift();
    return undefined;
  }

  #closeBackendChannel(): void {
    if (this.#backendChannel !== undefined) {
      closeElsewhere([this.#backendChannel]);
    }
    this.#backendChannel = undefined;
  }

  /** An empty reply says that there is no such part of the space. */
  #getConfig(payload: DataView): undefined {
    const range = decodeConfig(payload);
    const space = this.#host.device.configSpace;
    const end = range.offset + range.size;
    const isThere = range.size !== 0 && range.size <= MAX_CONFIG_BYTES &&
      end <= space.length;
    this.#host.reply(
      FrontendRequest.GET_CONFIG,
      isThere
        ? encodeConfig(range, space.subarray(range.offset, end))
        : NOTHING,
    );
  }

  /** A reply of size 0 without an fd says that there is no region to be had. */
  #getInflight(payload: DataView): undefined {
    const { numQueues, queueSize } = decodeInflight(payload);
    const request = FrontendRequest.GET_INFLIGHT_FD;
    const made = numQueues <= this.#host.rings().count
      ? createInflightFile(
        numQueues,
        queueSize,
        this.#host.device.stateBytes,
      )
      : "";
    if (typeof made === "string") {
      const none = { mmapSize: 0, mmapOffset: 0, numQueues, queueSize };
      this.#host.reply(request, encodeInflight(none, payload.byteLength));
    } else {
      this.#host.reply(
        request,
        encodeInflight(made.description, payload.byteLength),
        [made.fd],
      );
      // The file itself; the frontend may keep as many as it likes.
      this.#host.pagesTaken(1);
    }
  }

  /**
   * Status 0 is a reset of the device, but QEMU's vhost code also has it follow
   * whenever all rings were stopped, for a VM that is merely paused: guests would
   * lose their armed interrupts at every `stop`. So where no ring is started any
   * more the next start decides, by where it begins; or RESET_DEVICE, which is
   * never sent without need.
   */
  #setStatus(status: bigint): undefined {
    this.#status = status & 0xffn;
    if (this.#status === 0n && this.#host.rings().isAnyStarted) {
      this.#host.rings().resetDevice();
    }
  }

  #own(): void {
    const isFirst = !this.#isOwned;
    this.#isOwned = true;
    if (isFirst) return;
    this.#status = 0n;
    this.#host.renew();
  }
}
