/**
 * One frontend's connection, from the first message to the last: what each
 * request does, and what is answered.
 *
 * **What happens to a request that is wrong**
 * - Its form is (version, flags, size, number of fds), or it is only legal with
 *   a protocol feature that was not negotiated, or it is in the specification
 *   and not offered here: the connection ends. A frontend that waits for a reply
 *   that never comes would hang with all of its guest.
 * - It cannot be done (a ring that is not there, overlapping memory): a failure
 *   is acknowledged where the frontend wants one and the connection goes on,
 *   otherwise it ends, since the frontend would believe that it was done.
 * - Nobody knows its number: a failure is acknowledged where one is wanted;
 *   otherwise it is ignored, since newer frontends may tell things that older
 *   backends need not know.
 * - SET_CONFIG is never done (all fields are read-only), and never ends the
 *   connection: with some VMMs a guest can cause it.
 *
 * Whatever fds came with it are closed in each of these cases.
 *
 * @module
 */
import { EPOLLIN, EPOLLOUT } from "../../ffi/epoll.ts";
import { fdStatus } from "../../ffi/files.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/unix_socket.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";
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
  encodeReply,
  encodeU64,
  encodeVringState,
  formFault,
  REQUEST_FORMS,
  type RequestForm,
} from "./codec.ts";
import { ProtocolError } from "./errors.ts";
import type { BackendEvents } from "./events.ts";
import { createInflightFile } from "./inflight_region.ts";
import { type Message, MessageStream } from "./message_stream.ts";
import {
  BackendRequest,
  FrontendRequest,
  isKnownRequest,
  MAX_CONFIG_BYTES,
  NEED_REPLY_MASK,
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
} from "./protocol.ts";
import { MAX_MEM_SLOTS, RingSet } from "./ring_set.ts";

/** The protocol features that are offered. */
export const OFFERED_PROTOCOL_FEATURES_MASK = PROTOCOL_FEATURE_MQ_MASK |
  PROTOCOL_FEATURE_REPLY_ACK_MASK | PROTOCOL_FEATURE_BACKEND_REQ_MASK |
  PROTOCOL_FEATURE_CONFIG_MASK | PROTOCOL_FEATURE_INFLIGHT_SHMFD_MASK |
  PROTOCOL_FEATURE_RESET_DEVICE_MASK |
  PROTOCOL_FEATURE_CONFIGURE_MEM_SLOTS_MASK | PROTOCOL_FEATURE_STATUS_MASK;

/** Messages that are served in one turn, so that others come to it. */
const MESSAGES_PER_TURN = 16;

const ACK_SUCCESS = 0n;
const ACK_FAILURE = 1n;
const NOTHING = new Uint8Array(0);

/** What a session needs. */
export interface SessionOptions {
  /** The loop that it lives in. */
  readonly loop: EventLoop;
  /** The device it presents. */
  readonly device: VirtioDevice;
  /** The connected, nonblocking socket. **Ownership**: taken over. */
  readonly connection: OwnedFd;
  /** Told of `started`, `stopped` and `fault`. */
  readonly events: Pick<BackendEvents, "started" | "stopped" | "fault">;
  /** Told once that the session is over and all that it had is released. */
  readonly onEnd: (reason: string) => void;
}

/** A connected frontend. **Ownership**: owns the connection and all it brings. */
export class Session implements Disposable {
  readonly #options: SessionOptions;
  readonly #stream: MessageStream;
  readonly #rings: RingSet;
  readonly #watch: Watch;
  #protocolFeatures = 0n;
  #status = 0n;
  #backendChannel: OwnedFd | undefined;
  #wasActive = false;
  #hasReported = false;
  #isOver = false;

  /**
   * Begins to serve a frontend.
   *
   * @throws {OsError} If the connection cannot be watched; it is closed then.
   */
  constructor(options: SessionOptions) {
    this.#options = options;
    this.#stream = new MessageStream(options.connection);
    const { device, loop } = options;
    this.#rings = new RingSet({
      device,
      loop,
      ringFaulted: (index, fault) =>
        this.#report(new ProtocolError(`ring ${index}`, fault)),
      ringBroke: (index, error) => this.#endBroken(`ring ${index}`, error),
    });
    try {
      this.#watch = loop.watch(this.#stream.fd, EPOLLIN, this.#onReady);
    } catch (error) {
      this.#stream[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Tells the driver that the configuration space has changed, if the frontend
   * gave us a channel for that and the device is not suspended.
   *
   * @returns Whether it was told.
   */
  configChanged(): boolean {
    const channel = this.#backendChannel;
    const needed = PROTOCOL_FEATURE_BACKEND_REQ_MASK |
      PROTOCOL_FEATURE_CONFIG_MASK;
    if (
      channel === undefined || (this.#protocolFeatures & needed) !== needed ||
      !this.#rings.isAnyActive
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

  /** Ends the session; `onEnd` is told `reason`. Does nothing the second time. */
  end(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#watch[Symbol.dispose]();
    try {
      this.#rings[Symbol.dispose]();
    } finally {
      this.#stream[Symbol.dispose]();
      this.#closeBackendChannel();
      this.#reportActivity();
      this.#options.onEnd(reason);
    }
  }

  /** Ends the session because the backend itself ends. */
  [Symbol.dispose](): void {
    this.end("the backend ended");
  }

  readonly #onReady = (): void => {
    try {
      this.#serve();
    } catch (error) {
      this.#endBroken("the connection", error);
    }
  };

  #serve(): void {
    if (this.#stream.isBlocked) {
      if (!this.#flush()) return;
      this.#watch.update(EPOLLIN);
    }
    for (let i = 0; i < MESSAGES_PER_TURN && !this.#isOver; i++) {
      const message = this.#stream.read();
      if (message === "waiting") return;
      if (message === "ended") {
        this.end("the frontend closed the connection");
        return;
      }
      if (message instanceof ProtocolError) {
        this.#endFaulty(message);
        return;
      }
      this.#handle(message);
      if (this.#isOver) return;
      this.#reportActivity();
      if (this.#stream.isBlocked) {
        this.#watch.update(EPOLLOUT);
        return;
      }
    }
  }

  #flush(): boolean {
    try {
      return this.#stream.flush();
    } catch (error) {
      return this.#lost(error);
    }
  }

  #reply(request: number, payload: Uint8Array, fds: OwnedFd[] = []): void {
    try {
      this.#stream.send(encodeReply(request, payload), fds);
    } catch (error) {
      this.#lost(error);
    }
  }

  #lost(error: unknown): false {
    if (!isOsError(error)) throw error;
    this.end("the frontend is gone");
    return false;
  }

  #handle(message: Message): void {
    const { request, flags } = message.header;
    const form = REQUEST_FORMS.get(request);
    const wantsAck = () =>
      // Asked afterwards: the message that negotiates REPLY_ACK may want one.
      (flags & NEED_REPLY_MASK) !== 0 &&
      (this.#protocolFeatures & PROTOCOL_FEATURE_REPLY_ACK_MASK) !== 0n;
    try {
      if (form === undefined) {
        this.#handleUnserved(request, wantsAck());
        return;
      }
      const broken = this.#illegal(message, form);
      if (broken !== undefined) {
        this.#endFaulty(new ProtocolError(requestName(request), broken));
        return;
      }
      const fault = this.#execute(message);
      if (this.#isOver) return;
      if (fault !== undefined) this.#report(fault);
      if (!form.hasReply && wantsAck()) {
        const value = fault === undefined ? ACK_SUCCESS : ACK_FAILURE;
        this.#reply(request, encodeU64(value));
      } else if (
        fault !== undefined && request !== FrontendRequest.SET_CONFIG
      ) {
        this.#endFaulty(fault);
      }
    } finally {
      for (const fd of message.fds) fd.close();
    }
  }

  /** A request that is not in the table. */
  #handleUnserved(request: number, wantsAck: boolean): void {
    const isKnown = isKnownRequest(request);
    const fault = new ProtocolError(
      requestName(request),
      isKnown ? "what it belongs to was not offered" : "nobody knows it",
    );
    if (isKnown && !wantsAck) {
      this.#endFaulty(fault);
      return;
    }
    this.#report(fault);
    if (wantsAck) this.#reply(request, encodeU64(ACK_FAILURE));
  }

  /** The rule of form, or of negotiation, that a request breaks. */
  #illegal(message: Message, form: RequestForm): string | undefined {
    const { header, payload, fds } = message;
    const fault = formFault(header.request, form, payload, fds.length);
    if (fault !== undefined) return fault;
    return (form.needs & ~this.#protocolFeatures) === 0n
      ? undefined
      : "the protocol feature it belongs to was not negotiated";
  }

  /** Does what a well-formed request says; returns what was wrong with it. */
  #execute(message: Message): ProtocolError | undefined {
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
    const rings = this.#rings;
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
        // Says that a session begins; libkrun says it late, and that is fine.
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
    this.#reply(request, encodeU64(value));
  }

  #setProtocolFeatures(features: bigint): string | undefined {
    const unknown = features & ~OFFERED_PROTOCOL_FEATURES_MASK;
    if (unknown !== 0n) {
      return `protocol features 0x${unknown.toString(16)} were never offered`;
    }
    this.#protocolFeatures = features;
    return undefined;
  }

  #getVringBase(payload: DataView): string | undefined {
    const { index } = decodeVringState(payload);
    const base = this.#rings.takeBase(index);
    if (typeof base === "string") return base;
    this.#reply(
      FrontendRequest.GET_VRING_BASE,
      encodeVringState({ index, num: base }),
    );
    return undefined;
  }

  #setBackendChannel(fds: OwnedFd[]): string | undefined {
    const { kind } = fdStatus(fds[0]!.fd);
    if (kind !== "socket") return `its fd must be a socket, not a ${kind}`;
    this.#closeBackendChannel();
    this.#backendChannel = fds.shift();
    return undefined;
  }

  #closeBackendChannel(): void {
    this.#backendChannel?.close();
    this.#backendChannel = undefined;
  }

  /** An empty reply says that there is no such part of the space. */
  #getConfig(payload: DataView): undefined {
    const range = decodeConfig(payload);
    const space = this.#options.device.configSpace;
    const end = range.offset + range.size;
    const isThere = range.size !== 0 && range.size <= MAX_CONFIG_BYTES &&
      end <= space.length;
    this.#reply(
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
    const made = numQueues <= this.#rings.count
      ? createInflightFile(
        numQueues,
        queueSize,
        this.#options.device.stateBytes,
      )
      : "";
    if (typeof made === "string") {
      const none = { mmapSize: 0, mmapOffset: 0, numQueues, queueSize };
      this.#reply(request, encodeInflight(none, payload.byteLength));
    } else {
      this.#reply(
        request,
        encodeInflight(made.description, payload.byteLength),
        [made.fd],
      );
    }
  }

  /**
   * Status 0 is a reset of the device, but QEMU's vhost code also has it follow
   * whenever all rings were stopped, for a VM that is merely paused: guests would
   * lose their armed interrupts at every `stop`. So where no ring is started any
   * more the next start decides, by where it begins; or RESET_DEVICE, which is
   * only ever said in earnest.
   */
  #setStatus(status: bigint): undefined {
    this.#status = status & 0xffn;
    if (this.#status === 0n && this.#rings.isAnyStarted) {
      this.#rings.resetDevice();
    }
  }

  #reportActivity(): void {
    const isActive = this.#rings.isAnyActive;
    if (isActive === this.#wasActive) return;
    this.#wasActive = isActive;
    if (isActive) this.#options.events.started();
    else this.#options.events.stopped();
  }

  #report(fault: ProtocolError): void {
    if (this.#hasReported) return;
    this.#hasReported = true;
    this.#options.events.fault(fault);
  }

  #endFaulty(fault: ProtocolError): void {
    this.#report(fault);
    this.end(fault.message);
  }

  /** Something threw that must not: a bug here, which must not stop the loop. */
  #endBroken(where: string, cause: unknown): void {
    const what = cause instanceof Error ? cause.message : String(cause);
    this.#endFaulty(
      new ProtocolError(where, `an internal error came up: ${what}`, { cause }),
    );
  }
}
