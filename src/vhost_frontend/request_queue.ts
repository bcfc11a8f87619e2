/**
 * The driver's requests, many at a time. Made for measuring: a request under
 * way costs no allocation, and every answer is still checked.
 *
 * @module
 */
import {
  MESSAGE_TYPE_COUNT,
  MessageType,
  REQUEST_QUEUE,
  Status,
} from "../virtio/gpio/protocol.ts";
import { VIRTIO_F_INDIRECT_DESC_MASK } from "../virtio/queue/features.ts";
import {
  DESCRIPTOR_BYTES,
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  type DriverRing,
} from "./driver_ring.ts";
import { RuleViolation } from "./errors.ts";
import type { Frontend } from "./frontend.ts";
import type { CallPoint, KickPoint } from "./notifier.ts";

const REQUEST_BYTES = 8;
const RESPONSE_BYTES = 2;
const TABLE_BYTES = 2 * DESCRIPTOR_BYTES;
const CACHE_LINE_BYTES = 64;
const REQUEST_WORDS = REQUEST_BYTES / 4;

/** Written into every response before it is asked for: no device answers it. */
export const POISON = 0xee;
const POISON_HALF = POISON << 8 | POISON;

/** The largest value that a device may answer, by message type. */
const MAX_VALUE = new Uint8Array(MESSAGE_TYPE_COUNT);
MAX_VALUE[MessageType.GetDirection] = 2;
MAX_VALUE[MessageType.GetValue] = 1;

const TYPE_NAMES = new Map<number, string>([
  [MessageType.GetLineNames, "GET_LINE_NAMES"],
  [MessageType.GetDirection, "GET_DIRECTION"],
  [MessageType.SetDirection, "SET_DIRECTION"],
  [MessageType.GetValue, "GET_VALUE"],
  [MessageType.SetValue, "SET_VALUE"],
  [MessageType.SetIrqType, "SET_IRQ_TYPE"],
]);

/** The message's name as the specification has it. */
export function messageName(type: number): string {
  return TYPE_NAMES.get(type) ?? `message ${type}`;
}

/**
 * The request queue. A request is prepared in a slot once, and the slot can
 * then be submitted again and again:
 *
 * ```ts ignore
 * for (let slot = 0; slot < depth; slot++) {
 *   queue.prepare(slot, MessageType.GetValue, slot, 0);
 *   queue.submit(slot);
 * }
 * queue.flush();
 * const count = queue.wait(1000); // slots done: queue.completed[0..count)
 * ```
 */
export class RequestQueue {
  /** Slots there are. */
  readonly depth: number;
  /** The slots that the last {@linkcode reap} found done, in their order. */
  readonly completed: Uint16Array;

  readonly #ring: DriverRing;
  readonly #kick: KickPoint;
  readonly #call: CallPoint;
  readonly #indirect: boolean;
  // What only the driver writes, what the device writes, and what neither
  // writes once it is there lie apart: fewer cache lines then go to and fro.
  readonly #requestAddress: number;
  readonly #responseAddress: number;
  readonly #tableAddress: number;
  /** The requests, two words each. */
  readonly #requests: Uint32Array;
  /** The responses: the status in the low byte, the value in the high one. */
  readonly #responses: Uint16Array;
  readonly #type: Uint16Array;
  readonly #line: Uint16Array;
  readonly #busy: Uint8Array;
  /** Length of the slot's response where it is not the usual two bytes. */
  readonly #longBytes: Uint32Array;
  /** Bytes that the device reported as written. */
  readonly #written: Uint32Array;
  /** When the slot was submitted: the number of its request. */
  readonly #ticket: Float64Array;
  /** Ticket of the newest answer, by line number. */
  readonly #lastTicket: Float64Array;
  #tickets = 0;

  constructor(frontend: Frontend) {
    this.#ring = frontend.rings[REQUEST_QUEUE]!;
    this.#kick = frontend.kickPoint(REQUEST_QUEUE);
    this.#call = frontend.callPoint(REQUEST_QUEUE);
    this.#indirect = frontend.has(VIRTIO_F_INDIRECT_DESC_MASK);
    const { size } = this.#ring;
    this.depth = this.#indirect ? size : size >> 1;
    const { memory } = frontend;
    const place = (bytes: number) =>
      memory.allocate(this.depth * bytes, CACHE_LINE_BYTES);
    this.#requestAddress = place(REQUEST_BYTES);
    this.#responseAddress = place(RESPONSE_BYTES);
    this.#tableAddress = place(TABLE_BYTES);
    const requests = memory.span(this.#requestAddress, 0);
    this.#requests = new Uint32Array(
      requests.buffer,
      requests.offset,
      this.depth * REQUEST_WORDS,
    );
    const responses = memory.span(this.#responseAddress, 0);
    this.#responses = new Uint16Array(
      responses.buffer,
      responses.offset,
      this.depth,
    );
    this.completed = new Uint16Array(this.depth);
    this.#type = new Uint16Array(this.depth);
    this.#line = new Uint16Array(this.depth);
    this.#busy = new Uint8Array(this.depth);
    this.#longBytes = new Uint32Array(this.depth);
    this.#written = new Uint32Array(this.depth);
    this.#ticket = new Float64Array(this.depth);
    this.#lastTicket = new Float64Array(0x1_0000);
    for (let slot = 0; slot < this.depth; slot++) this.#describe(slot);
    this.#ring.enableCalls();
  }

  /** Says what a slot asks for. The slot must not be under way. */
  prepare(slot: number, type: number, line: number, value: number): void {
    this.#type[slot] = type;
    this.#line[slot] = line;
    const at = slot * REQUEST_WORDS;
    this.#requests[at] = (line << 16 | type) >>> 0;
    this.#requests[at + 1] = value;
  }

  /**
   * Has the answer to a slot's request go somewhere else than to the slot, for
   * answers that are longer. The caller poisons and reads it.
   *
   * @param address Guest-physical; `undefined` for the slot's own two bytes.
   */
  redirect(slot: number, address: number | undefined, length = 0): void {
    if (address === undefined) {
      this.#longBytes[slot] = 0;
      this.#describe(slot);
    } else {
      this.#longBytes[slot] = length;
      this.#describe(slot, address, length);
    }
  }

  /**
   * Puts a slot's request on the ring; the device sees it at {@linkcode flush}.
   */
  submit(slot: number): void {
    this.#responses[slot] = POISON_HALF;
    this.#busy[slot] = 1;
    this.#ticket[slot] = ++this.#tickets;
    this.#ring.makeAvailable(this.#indirect ? slot : slot << 1);
  }

  /** Shows the device what was submitted, and kicks where it wants that. */
  flush(): void {
    if (this.#ring.publish()) this.#kick.kick();
  }

  /**
   * Takes all answers that are there, without waiting.
   *
   * @returns How many; their slots are in `completed`.
   * @throws {RuleViolation} If one of them breaks a rule.
   */
  reap(): number {
    const ring = this.#ring;
    const count = ring.usedCount();
    for (let i = 0; i < count; i++) {
      ring.takeUsed();
      const head = ring.usedHead;
      const slot = this.#indirect ? head : head >> 1;
      if (
        slot >= this.depth || this.#busy[slot] === 0 ||
        (!this.#indirect && (head & 1) !== 0)
      ) this.#violateHead(head);
      this.#busy[slot] = 0;
      this.#written[slot] = ring.usedLength;
      if (this.#longBytes[slot] === 0) this.#check(slot, ring.usedLength);
      const line = this.#line[slot]!;
      const ticket = this.#ticket[slot]!;
      if (ticket < this.#lastTicket[line]!) this.#violateOrder(line);
      this.#lastTicket[line] = ticket;
      this.completed[i] = slot;
    }
    return count;
  }

  /**
   * Takes the answers that are there, or sleeps once and then takes them.
   * Reads no clock, for the sake of hot loops: a wake-up for nothing is an
   * early end, and the caller minds its own limit.
   *
   * **Blocking**: for `timeoutMs` at most.
   *
   * @returns How many; their slots are in `completed`.
   */
  wait(timeoutMs: number): number {
    this.#ring.enableCalls();
    const count = this.reap();
    if (count > 0) return count;
    this.#call.wait(timeoutMs);
    return this.reap();
  }

  /**
   * Asks for a call at the next answer, for those who wait for the call fds of
   * several queues; {@linkcode RequestQueue.wait} does so by itself.
   */
  enableCalls(): void {
    this.#ring.enableCalls();
  }

  /** The status of a slot's answer. */
  answerStatus(slot: number): number {
    return this.#responses[slot]! & 0xff;
  }

  /** The value of a slot's answer. */
  answerValue(slot: number): number {
    return this.#responses[slot]! >> 8;
  }

  /** Bytes that the device reported as written into a slot's answer. */
  answerLength(slot: number): number {
    return this.#written[slot]!;
  }

  /** Returns true if a slot is in use. */
  isBusy(slot: number): boolean {
    return this.#busy[slot] !== 0;
  }

  /** Forgets what is under way, after the ring was emptied. */
  reset(): void {
    this.#busy.fill(0);
    this.#lastTicket.fill(0);
    this.#ring.enableCalls();
  }

  #describe(
    slot: number,
    response = this.#responseAddress + slot * RESPONSE_BYTES,
    length = RESPONSE_BYTES,
  ): void {
    const ring = this.#ring;
    const request = this.#requestAddress + slot * REQUEST_BYTES;
    if (this.#indirect) {
      const table = this.#tableAddress + slot * TABLE_BYTES;
      ring.writeIndirect(table, 0, request, REQUEST_BYTES, DESCRIPTOR_NEXT, 1);
      ring.writeIndirect(table, 1, response, length, DESCRIPTOR_WRITE);
      ring.writeDescriptor(slot, table, TABLE_BYTES, DESCRIPTOR_INDIRECT);
      return;
    }
    const head = slot << 1;
    const next = head + 1;
    ring.writeDescriptor(head, request, REQUEST_BYTES, DESCRIPTOR_NEXT, next);
    ring.writeDescriptor(next, response, length, DESCRIPTOR_WRITE);
  }

  #check(slot: number, usedLength: number): void {
    const response = this.#responses[slot]!;
    const status = response & 0xff;
    const value = response >> 8;
    if (
      usedLength !== RESPONSE_BYTES || status > Status.Err ||
      value >
        (status === Status.Ok ? MAX_VALUE[this.#type[slot]!] ?? 0 : 0xff) ||
      value === POISON
    ) this.#violateResponse(slot, usedLength, status, value);
  }

  #violateResponse(
    slot: number,
    usedLength: number,
    status: number,
    value: number,
  ): never {
    const name = messageName(this.#type[slot]!);
    if (usedLength !== RESPONSE_BYTES) {
      throw new RuleViolation(
        `the used length of a response to ${name} is ${RESPONSE_BYTES}`,
        `${usedLength}`,
      );
    }
    if (status === POISON || value === POISON) {
      throw new RuleViolation(
        "D1: the device sets all fields of a response",
        `an answer to ${name} whose ${
          status === POISON ? "status" : "value"
        } was left as it was`,
      );
    }
    throw status > Status.Err
      ? new RuleViolation("D17: a status is OK (0) or ERR (1)", `${status}`)
      : new RuleViolation(
        `the value in a response to ${name} is at most ` +
          `${MAX_VALUE[this.#type[slot]!] ?? 0}`,
        `${value}`,
      );
  }

  #violateHead(head: number): never {
    throw new RuleViolation(
      "virtio 2.7.8: a used element names a chain that is under way",
      `head ${head} on the request queue`,
    );
  }

  #violateOrder(line: number): never {
    throw new RuleViolation(
      "D5: requests for one line are answered in the order received",
      `an earlier request for line ${line} was answered after a later one`,
    );
  }
}
