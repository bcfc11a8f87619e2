/**
 * A guest's virtio-gpio driver: one call for each operation, which waits for
 * the device's answer and checks it against the rules.
 *
 * **Source**: virtio 1.3, section 5.18 "GPIO Device"; the D numbers in errors
 * are this project's numbering of that section's requirements.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../ffi/layout.ts";
import { VIRTIO_GPIO_F_IRQ_MASK } from "../virtio/queue/features.ts";
import {
  Direction,
  EventStatus,
  GPIO_CONFIG,
  IrqType,
  MessageType,
  Status,
} from "../virtio/gpio/protocol.ts";
import { RequestRefused, RuleViolation, WaitTimeoutError } from "./errors.ts";
import { EventQueue, type GpioEvent } from "./event_queue.ts";
import type { Frontend } from "./frontend.ts";
import { messageName, POISON, RequestQueue } from "./request_queue.ts";

export { Direction, EventStatus, IrqType };

/** Far more than any device has to say about its lines. **Units**: bytes. */
const MAX_NAMES_BYTES = 0x10_0000;

/** A driver that is attached to a device. Owns nothing: the frontend does. */
export class GpioDriver {
  /** Lines of the device. */
  readonly lineCount: number;
  /** Size of the names block; 0 for a device without names. **Units**: bytes. */
  readonly namesBytes: number;
  /** The request queue, for many requests at a time. */
  readonly requests: RequestQueue;
  /** The event queue; nothing where the device has no interrupts. */
  readonly events: EventQueue | undefined;

  readonly #frontend: Frontend;
  readonly #freeSlots: number[] = [];
  #namesAddress: number | undefined;

  private constructor(frontend: Frontend) {
    this.#frontend = frontend;
    const config = frontend.readConfig(0, GPIO_CONFIG.size);
    if (config === undefined) {
      throw new RuleViolation(
        `a virtio-gpio device has ${GPIO_CONFIG.size} bytes of configuration`,
        "the backend refuses to read them; is it a GPIO device?",
      );
    }
    const view = new DataView(config.buffer, config.byteOffset, config.length);
    this.lineCount = view.getUint16(GPIO_CONFIG.at.ngpio, LITTLE_ENDIAN);
    this.namesBytes = view.getUint32(
      GPIO_CONFIG.at.gpio_names_size,
      LITTLE_ENDIAN,
    );
    this.#checkConfig(view.getUint16(GPIO_CONFIG.at.padding, LITTLE_ENDIAN));
    this.requests = new RequestQueue(frontend);
    this.events = frontend.has(VIRTIO_GPIO_F_IRQ_MASK)
      ? new EventQueue(frontend)
      : undefined;
    this.#fillSlots();
    if (!frontend.running) frontend.start();
  }

  /**
   * Reads the device's configuration and, where the rings do not run yet,
   * starts them.
   *
   * @throws {RuleViolation} If it is not a valid virtio-gpio device.
   */
  static attach(frontend: Frontend): GpioDriver {
    return new GpioDriver(frontend);
  }

  /**
   * The names of all lines, an empty string where a line has none.
   *
   * @throws {RuleViolation} If the block is not as it must be.
   */
  names(): string[] {
    const size = this.namesBytes;
    if (size === 0) return Array(this.lineCount).fill("");
    const memory = this.#frontend.memory;
    const length = 1 + size;
    this.#namesAddress ??= memory.allocate(length);
    const { buffer, offset } = memory.span(this.#namesAddress, length);
    const response = new Uint8Array(buffer, offset, length).fill(POISON);
    const slot = this.#takeSlot();
    const queue = this.requests;
    queue.redirect(slot, this.#namesAddress, length);
    queue.prepare(slot, MessageType.GetLineNames, 0, 0);
    this.#transact(slot, "GET_LINE_NAMES");
    const written = queue.answerLength(slot);
    queue.redirect(slot, undefined);
    this.#freeSlots.push(slot);
    if (response[0] !== Status.Ok) {
      throw new RequestRefused("GET_LINE_NAMES", 0);
    }
    if (written !== length) {
      throw new RuleViolation(
        `the used length of the names is 1 + gpio_names_size = ${length}`,
        `${written}`,
      );
    }
    return splitNames(response.subarray(1), this.lineCount);
  }

  /** The direction of a line. */
  getDirection(lineNumber: number): Direction {
    return this.request(MessageType.GetDirection, lineNumber) as Direction;
  }

  /** Sets the direction of a line; `Direction.None` gives it up. */
  setDirection(lineNumber: number, direction: Direction): void {
    this.request(MessageType.SetDirection, lineNumber, direction);
  }

  /** The level of a line. */
  getValue(lineNumber: number): number {
    return this.request(MessageType.GetValue, lineNumber);
  }

  /** Sets the level that a line has as an output, now or later. */
  setValue(lineNumber: number, value: number): void {
    this.request(MessageType.SetValue, lineNumber, value);
  }

  /** Makes a line an output with a level, in the order that Linux has. */
  setOutput(lineNumber: number, value: number, output: Direction): void {
    this.setValue(lineNumber, value);
    this.setDirection(lineNumber, output);
  }

  /**
   * Sets when a line interrupts.
   *
   * @throws {RuleViolation} If interrupts are switched off and a buffer of the
   * line is still out when the answer is there: Linux would then complain at
   * the next enable.
   */
  setInterruptType(lineNumber: number, type: IrqType): void {
    this.request(MessageType.SetIrqType, lineNumber, type);
    if (type !== IrqType.None || this.events === undefined) return;
    this.events.reap();
    const armed = this.events.armed(lineNumber);
    if (armed > 0) {
      throw new RuleViolation(
        "D12: interrupt type NONE returns the line's event buffers, before it " +
          "is answered",
        `${armed} of line ${lineNumber} still out`,
      );
    }
  }

  /** Queues a buffer for a line's next interrupt: unmasks the line. */
  arm(lineNumber: number): void {
    this.#eventQueue().arm(lineNumber);
  }

  /**
   * The next event buffer that is back.
   *
   * **Blocking**: for `timeoutMs` at most.
   *
   * @returns Nothing when the time was up.
   */
  waitEvent(timeoutMs: number): GpioEvent | undefined {
    return this.#eventQueue().wait(timeoutMs);
  }

  /** Asks for the level of a line, and leaves the answer in `requests`. */
  askValue(lineNumber: number): void {
    const slot = this.#takeSlot();
    this.requests.prepare(slot, MessageType.GetValue, lineNumber, 0);
    this.requests.submit(slot);
    this.requests.flush();
  }

  /**
   * Sends any request and waits for its answer.
   *
   * @returns The value in the response.
   * @throws {RequestRefused} If its status is ERR.
   * @throws {WaitTimeoutError} If there is none within the frontend's limit.
   */
  request(type: number, lineNumber: number, value = 0): number {
    const slot = this.#takeSlot();
    const queue = this.requests;
    queue.prepare(slot, type, lineNumber, value);
    this.#transact(slot, messageName(type), lineNumber);
    const status = queue.answerStatus(slot);
    const result = queue.answerValue(slot);
    this.#freeSlots.push(slot);
    if (status !== Status.Ok) {
      throw new RequestRefused(`${messageName(type)} ${value}`, lineNumber);
    }
    return result;
  }

  /** Stops and starts again, as a guest that reboots: nothing is under way. */
  restart(): void {
    if (this.#frontend.running) this.#frontend.reset();
    this.requests.reset();
    this.events?.reset();
    this.#fillSlots();
    this.#frontend.start();
  }

  #eventQueue(): EventQueue {
    if (this.events === undefined) {
      throw new RangeError(
        "The device has no event queue: VIRTIO_GPIO_F_IRQ is not in force",
      );
    }
    return this.events;
  }

  #takeSlot(): number {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) {
      throw new RangeError("All entries of the request queue are under way");
    }
    return slot;
  }

  /** Submits a slot and waits until it is done; others that are, are freed. */
  #transact(slot: number, name: string, lineNumber?: number): void {
    const queue = this.requests;
    const limit = this.#frontend.timeoutMs;
    const deadline = performance.now() + limit;
    queue.submit(slot);
    queue.flush();
    while (queue.isBusy(slot)) {
      const left = Math.ceil(deadline - performance.now());
      if (left <= 0) {
        const where = lineNumber === undefined ? "" : ` on line ${lineNumber}`;
        throw new WaitTimeoutError(`answer to ${name}${where}`, limit);
      }
      const count = queue.wait(left);
      for (let i = 0; i < count; i++) {
        const done = queue.completed[i]!;
        // One that was given up on earlier has come after all.
        if (done !== slot) this.#freeSlots.push(done);
      }
    }
  }

  #fillSlots(): void {
    this.#freeSlots.length = 0;
    for (let slot = this.requests.depth - 1; slot >= 0; slot--) {
      this.requests.redirect(slot, undefined);
      this.#freeSlots.push(slot);
    }
  }

  #checkConfig(padding: number): void {
    if (this.lineCount === 0) {
      throw new RuleViolation(
        "a virtio-gpio device has at least one line",
        "ngpio 0; is it a GPIO device?",
      );
    }
    if (padding !== 0) {
      throw new RuleViolation(
        "D2: all fields of the configuration are set, the padding to 0",
        `0x${padding.toString(16)}; is it a GPIO device?`,
      );
    }
    const bytes = this.namesBytes;
    if (bytes !== 0 && (bytes < this.lineCount || bytes > MAX_NAMES_BYTES)) {
      throw new RuleViolation(
        "D4: gpio_names_size is the size of the names, each ending in a zero",
        `${bytes} bytes for ${this.lineCount} lines; is it a GPIO device?`,
      );
    }
  }
}

/**
 * Takes a block of names apart.
 *
 * @throws {RuleViolation} If it is not `lineCount` zero-terminated names in
 * 7-bit characters, unique where not empty.
 */
export function splitNames(block: Uint8Array, lineCount: number): string[] {
  const fail = (observed: string): never => {
    throw new RuleViolation(
      "D4: the names are one zero-terminated, unique string for each line",
      observed,
    );
  };
  if (block.at(-1) !== 0) fail("the last name has no end");
  // Copied first: what is checked must be what is used.
  const text = String.fromCharCode(...Array.from(block));
  const names = text.slice(0, -1).split("\0");
  if (names.length !== lineCount) {
    fail(`${names.length} names for ${lineCount} lines`);
  }
  const seen = new Set<string>();
  for (const name of names) {
    // deno-lint-ignore no-control-regex -- the range of 7-bit characters
    if (!/^[\x01-\x7f]*$/.test(name)) {
      fail(`a name that is not 7-bit: ${JSON.stringify(name)}`);
    }
    if (name !== "" && seen.has(name)) fail(`"${name}" twice`);
    seen.add(name);
  }
  return names;
}
