/**
 * Guests with a GPIO adapter on USB, as doubles in this process.
 *
 * @module
 */
import { type BenchGuest, INPUT, OUTPUT } from "./guests.ts";
import type { UsbHostWire } from "./usb_wires.ts";

/** Messages of an LJCA, as its driver sends them. */
const LJCA = {
  gpio: 3,
  config: 1,
  read: 2,
  write: 3,
  event: 4,
  unmask: 6,
  acknowledge: 5,
  output: 0x14,
  input: 0x12,
  bothEdges: 0x40,
} as const;
const BULK_OUT = 0x01;
const BULK_IN = 0x81;
const PIECE_BYTES = 64;

/** A guest with an LJCA, which has two IN transfers waiting at a time. */
export class LjcaGuest implements BenchGuest {
  readonly #wire: UsbHostWire;

  /** Takes the wire over. */
  constructor(wire: UsbHostWire) {
    this.#wire = wire;
  }

  ready(): void {
    this.#wire.configure();
    for (let i = 0; i < 2; i++) this.#listen();
    this.#request(LJCA.config, OUTPUT, LJCA.output);
    this.#request(LJCA.config, INPUT, LJCA.input);
    this.#request(LJCA.config, INPUT, LJCA.bothEdges);
    this.#request(LJCA.unmask, INPUT, 0);
  }

  set(level: number): void {
    this.#request(LJCA.write, OUTPUT, level);
  }

  waitInput(level: number): void {
    while (
      !this.#messages().some((one) =>
        one[0] === LJCA.gpio && one[1] === LJCA.event && one[5] === INPUT &&
        one[6] === level
      )
    );
  }

  handleInput(): void {
    this.#request(LJCA.read, INPUT, 0);
    this.#request(LJCA.unmask, INPUT, 0);
  }

  get(): void {
    this.#request(LJCA.read, OUTPUT, 0);
    while (
      !this.#messages().some((one) =>
        one[0] === LJCA.gpio && one[1] === LJCA.read && one[5] === OUTPUT
      )
    );
  }

  [Symbol.dispose](): void {
    this.#wire[Symbol.dispose]();
  }

  /** Waits for messages, and makes room for more. */
  #messages(): Uint8Array[] {
    const messages = this.#wire.read();
    for (const _ of messages) this.#listen();
    return messages;
  }

  #listen(): void {
    this.#wire.in(BULK_IN, PIECE_BYTES);
  }

  #request(command: number, line: number, value: number): void {
    this.#wire.out(BULK_OUT, [
      ...[LJCA.gpio, command, LJCA.acknowledge, 3],
      ...[1, line, value],
    ]);
  }
}

/** Requests for reports of a CP2112, and their numbers. */
const CP2112 = {
  get: [0xa1, 0x01],
  set: [0x21, 0x09],
  feature: 0x0300,
  config: 2,
  levels: 3,
  drive: 4,
} as const;

/**
 * A guest with a CP2112. Its kernel looks at the inputs every 40 ms; this one
 * does as soon as it has the answer before.
 */
export class Cp2112Guest implements BenchGuest {
  readonly isPolled = true;
  readonly #wire: UsbHostWire;

  /** Takes the wire over. */
  constructor(wire: UsbHostWire) {
    this.#wire = wire;
  }

  ready(): void {
    this.#wire.configure();
    this.#set([CP2112.config, 1 << OUTPUT, 1 << OUTPUT, 0, 0]);
    this.set(0);
  }

  set(level: number): void {
    this.#set([CP2112.drive, level << OUTPUT, 1 << OUTPUT]);
  }

  waitInput(level: number): void {
    while ((this.#levels() >> INPUT & 1) !== level);
  }

  handleInput(): void {}

  get(): void {
    this.#levels();
  }

  [Symbol.dispose](): void {
    this.#wire[Symbol.dispose]();
  }

  #levels(): number {
    const { get, feature, levels } = CP2112;
    this.#wire.control([...get, feature | levels, 0, 2]);
    const report = this.#wire.read().at(-1)!;
    if (report[0] !== levels) throw new Error("the adapter answers nonsense");
    return report[1]!;
  }

  #set(report: readonly number[]): void {
    const { set, feature } = CP2112;
    this.#wire.control(
      [...set, feature | report[0]!, 0, report.length],
      report,
    );
  }
}
