/**
 * A frontend that sends any message in any order, well formed or not, in the
 * numbers of the specification written out once more. It has guest memory with
 * two rings, and shares no code with the backend under test.
 *
 * Both ends live in one thread: the peer writes, the test lets the reactor turn,
 * the peer reads.
 *
 * @module
 */
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import { hangUp } from "../../ffi/helper_thread.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { isOsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { RingDriver } from "./ring_driver.ts";

/** Flags of a request: version 1, and version 1 with need-reply. */
export const PLAIN = 0x1;
export const NEED_REPLY = 0x9;

/** Request numbers, as the specification has them. */
export const R = {
  GET_FEATURES: 1,
  SET_FEATURES: 2,
  SET_OWNER: 3,
  RESET_OWNER: 4,
  SET_MEM_TABLE: 5,
  SET_LOG_BASE: 6,
  SET_VRING_NUM: 8,
  SET_VRING_ADDR: 9,
  SET_VRING_BASE: 10,
  GET_VRING_BASE: 11,
  SET_VRING_KICK: 12,
  SET_VRING_CALL: 13,
  SET_VRING_ERR: 14,
  GET_PROTOCOL_FEATURES: 15,
  SET_PROTOCOL_FEATURES: 16,
  GET_QUEUE_NUM: 17,
  SET_VRING_ENABLE: 18,
  SET_BACKEND_REQ_FD: 21,
  GET_CONFIG: 24,
  SET_CONFIG: 25,
  GET_INFLIGHT_FD: 31,
  SET_INFLIGHT_FD: 32,
  RESET_DEVICE: 34,
  GET_MAX_MEM_SLOTS: 36,
  ADD_MEM_REG: 37,
  REM_MEM_REG: 38,
  SET_STATUS: 39,
  GET_STATUS: 40,
} as const;

/** Feature bits by number, as masks. */
export const F = {
  IRQ: 1n << 0n,
  INDIRECT: 1n << 28n,
  EVENT_IDX: 1n << 29n,
  PROTOCOL: 1n << 30n,
  VERSION_1: 1n << 32n,
} as const;

/** Features that a guest of these tests accepts. */
export const GUEST_FEATURES = F.IRQ | F.INDIRECT | F.VERSION_1 | F.PROTOCOL;

/** Protocol feature bits by number, as masks. */
export const P = {
  MQ: 1n << 0n,
  LOG_SHMFD: 1n << 1n,
  REPLY_ACK: 1n << 3n,
  BACKEND_REQ: 1n << 5n,
  CONFIG: 1n << 9n,
  INFLIGHT_SHMFD: 1n << 12n,
  RESET_DEVICE: 1n << 13n,
  CONFIGURE_MEM_SLOTS: 1n << 15n,
  STATUS: 1n << 16n,
} as const;

/** All that the backend should offer. */
export const ALL_PROTOCOL = P.MQ | P.REPLY_ACK | P.BACKEND_REQ | P.CONFIG |
  P.INFLIGHT_SHMFD | P.RESET_DEVICE | P.CONFIGURE_MEM_SLOTS | P.STATUS;

/** A message from the backend. The fds are the test's to close. */
export interface Answer {
  readonly request: number;
  readonly flags: number;
  readonly payload: Uint8Array;
  readonly fds: OwnedFd[];
}

/** Numbers of 32 bits, one after the other. */
export function u32(...values: readonly number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

/** Numbers of 64 bits, one after the other. */
export function u64(...values: readonly (bigint | number)[]): Uint8Array {
  return new Uint8Array(new BigUint64Array(values.map(BigInt)).buffer);
}

/** Byte strings, one after the other. */
export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The bytes of a message. */
export function encode(
  request: number,
  payload: Uint8Array,
  options: { flags?: number; size?: number } = {},
): Uint8Array {
  const { flags = PLAIN, size = payload.length } = options;
  return join(u32(request, flags, size), payload);
}

/** A raw vhost-user connection from the frontend's side. */
export class VhostPeer implements Disposable {
  readonly #socket: OwnedFd;

  /** Takes the socket over. */
  constructor(socket: OwnedFd) {
    this.#socket = socket;
  }

  /** The socket's number. */
  get fd(): number {
    return this.#socket.fd;
  }

  /** Sends bytes as they are; returns how many went. */
  raw(bytes: Uint8Array, fds: readonly number[] = []): number {
    return send(this.#socket.fd, bytes, fds);
  }

  /** Sends a message; the fds stay the test's. */
  send(
    request: number,
    payload: Uint8Array = new Uint8Array(0),
    options: { flags?: number; size?: number; fds?: readonly number[] } = {},
  ): void {
    const bytes = encode(request, payload, options);
    const sent = this.raw(bytes, options.fds);
    if (sent !== bytes.length) throw new Error(`only ${sent} bytes were sent`);
  }

  /** Reads a message; undefined if none is there, "ended" after the last. */
  read(): Answer | undefined | "ended" {
    const fds: OwnedFd[] = [];
    const header = new Uint8Array(12);
    let count: number;
    try {
      count = receive(this.#socket.fd, header, fds);
    } catch (error) {
      // Hung up with some of our bytes unread.
      if (isOsError(error, "ECONNRESET")) return "ended";
      throw error;
    }
    if (count < 0) return undefined;
    if (count === 0) return "ended";
    if (count !== 12) throw new Error(`a header of ${count} bytes`);
    const view = new DataView(header.buffer);
    const payload = new Uint8Array(view.getUint32(8, true));
    if (payload.length > 0) {
      const got = receive(this.#socket.fd, payload, fds);
      if (got !== payload.length) throw new Error(`a payload of ${got} bytes`);
    }
    return {
      request: view.getUint32(0, true),
      flags: view.getUint32(4, true),
      payload,
      fds,
    };
  }

  /** Hangs up. */
  close(): void {
    hangUp(this.#socket);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Guest address of its one region; the user address differs on purpose. */
export const GUEST_AT = 0x4000_0000;
export const USER_AT = 0x7f12_3450_0000;
const MEMORY_BYTES = 0x10_0000;
const SLOTS_AT = 0x8_0000;
const SLOT_BYTES = 32;

/** Layout of a guest. */
export interface VhostGuestOptions {
  /** Entries of each ring. */
  queueSize?: number;
  /** Offset of the memory in its file. */
  fileOffset?: number;
  /** Guest-physical address of the memory. */
  guestAddress?: number;
}

/**
 * A guest's memory, two rings in it, and the fds to kick and to be called by.
 */
export class VhostGuest implements Disposable {
  readonly file: OwnedFd;
  readonly fileOffset: number;
  readonly guestAddress: number;
  readonly length = MEMORY_BYTES;
  readonly queueSize: number;
  readonly kicks: readonly OwnedFd[];
  readonly calls: readonly OwnedFd[];
  readonly errs: readonly OwnedFd[];
  rings: RingDriver[] = [];
  readonly #mapping: Mapping;
  readonly #view: DataView;
  readonly #requests = new Map<number, number>();
  readonly #events = new Map<number, number>();
  #slot = 0;

  constructor(options: VhostGuestOptions = {}) {
    this.queueSize = options.queueSize ?? 64;
    this.fileOffset = options.fileOffset ?? 0;
    this.guestAddress = options.guestAddress ?? GUEST_AT;
    const size = Math.ceil((this.fileOffset + MEMORY_BYTES) / 4096) * 4096;
    this.file = createMemFd("guest", size);
    this.#mapping = Mapping.map(this.file.fd, {
      length: size,
      subject: "the guest's memory",
    });
    this.#view = new DataView(
      this.#mapping.buffer,
      this.fileOffset,
      MEMORY_BYTES,
    );
    this.kicks = [createEventFd(), createEventFd()];
    this.calls = [createEventFd(), createEventFd()];
    this.errs = [createEventFd(), createEventFd()];
    this.boot();
  }

  /** (Re-)boots: both rings are empty and begin at 0. */
  boot(): void {
    new Uint8Array(this.#view.buffer, this.fileOffset, SLOTS_AT).fill(0);
    this.rings = [0, 1].map((index) =>
      new RingDriver({
        memory: this.#mapping.buffer,
        guestAddress: this.guestAddress - this.fileOffset,
        offset: this.fileOffset + 0x1000 +
          index * Math.max(0x4000, this.queueSize * 32),
        size: this.queueSize,
      })
    );
    this.#requests.clear();
    this.#events.clear();
  }

  /** The payload of SET_MEM_TABLE for the one region. */
  memTable(): Uint8Array {
    return join(u32(1, 0), this.region());
  }

  /** The region's description: guest address, size, user address, offset. */
  region(): Uint8Array {
    return u64(this.guestAddress, MEMORY_BYTES, USER_AT, this.fileOffset);
  }

  /** The payload of SET_VRING_ADDR. */
  vringAddr(index: number): Uint8Array {
    const ring = this.rings[index]!;
    const user = (address: number) => USER_AT + (address - this.guestAddress);
    return join(
      u32(index, 0),
      u64(
        user(ring.descriptorAddress),
        user(ring.usedAddress),
        user(ring.availAddress),
        0,
      ),
    );
  }

  /** Puts a GPIO request into the ring without a kick; returns its head. */
  request(type: number, line: number, value = 0): number {
    const at = this.#take();
    this.#view.setUint16(at, type, true);
    this.#view.setUint16(at + 2, line, true);
    this.#view.setUint32(at + 4, value, true);
    const head = this.rings[0]!.add([
      { address: this.guestAddress + at, length: 8, writable: false },
      { address: this.guestAddress + at + 16, length: 2, writable: true },
    ]);
    this.#requests.set(head, at + 16);
    this.rings[0]!.publish();
    return head;
  }

  /** Returns the answers to the requests: [status, value] each, in order. */
  responses(): [status: number, value: number][] {
    return this.rings[0]!.collect().map(({ head, length }) => {
      if (length !== 2) throw new Error(`a response of ${length} bytes`);
      const at = this.#requests.get(head)!;
      return [this.#view.getUint8(at), this.#view.getUint8(at + 1)];
    });
  }

  /** Puts a line's event buffer into the ring without a kick. */
  arm(line: number): number {
    const at = this.#take();
    this.#view.setUint16(at, line, true);
    const head = this.rings[1]!.add([
      { address: this.guestAddress + at, length: 2, writable: false },
      { address: this.guestAddress + at + 16, length: 1, writable: true },
    ]);
    this.#events.set(head, at);
    this.rings[1]!.publish();
    return head;
  }

  /** Which event buffers came back: [line, status] each, in order. */
  interrupts(): [line: number, status: number][] {
    return this.rings[1]!.collect().map(({ head, length }) => {
      if (length !== 1) throw new Error(`an event of ${length} bytes`);
      const at = this.#events.get(head)!;
      return [
        this.#view.getUint16(at, true),
        this.#view.getUint8(at + 16),
      ];
    });
  }

  /** Kicks a ring. */
  kick(index: number): void {
    if (!signalFd(this.kicks[index]!.fd)) throw new Error("no kick");
  }

  /** Takes the calls of a ring; whether there was one. */
  wasCalled(index: number): boolean {
    return drainFd(this.calls[index]!.fd) === 8;
  }

  /** Takes the errors of a ring; whether there was one. */
  hadError(index: number): boolean {
    return drainFd(this.errs[index]!.fd) === 8;
  }

  #take(): number {
    const at = SLOTS_AT + SLOT_BYTES * (this.#slot++ % 4096);
    for (let i = 0; i < SLOT_BYTES; i++) this.#view.setUint8(at + i, 0xaa);
    return at;
  }

  [Symbol.dispose](): void {
    for (const fd of [...this.kicks, ...this.calls, ...this.errs]) fd.close();
    this.#mapping[Symbol.dispose]();
    this.file.close();
  }
}
