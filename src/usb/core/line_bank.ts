/**
 * The lines behind a device: one operation at a time for each, and the rule of
 * each when the guest is gone, also where an operation is still under way.
 *
 * @module
 */
import {
  Departure,
  type LineListener,
  LineOperation,
  type LinePort,
  PENDING,
} from "../../line/port.ts";

/** Receiver of what lines did. */
export interface LineBankOwner {
  /**
   * An operation that answered `PENDING` is done. `purpose` is what it was
   * begun with.
   */
  lineDone(line: number, result: number, purpose: number): void;
  /** A line changed to `level`. */
  edge(line: number, level: number): void;
  /** An earlier report may have changed the device. */
  changed(): void;
  /** A line is back after its chip was away. */
  restored(line: number): void;
}

/** Nothing is under way, or what is under way is of no interest. */
const NOTHING = -1;

/** The lines of one device, numbered from 0. */
export class LineBank implements LineListener {
  readonly #ports: readonly LinePort[];
  readonly #owner: LineBankOwner;
  readonly #isBusy: Uint8Array;
  readonly #mustLeave: Uint8Array;
  /** Purpose of the operation under way, and of the one behind it. */
  readonly #purposes: Int8Array;
  readonly #nextPurposes: Int8Array;
  readonly #nextOperations: Int8Array;
  readonly #nextArguments: Int32Array;

  /** Attaches to the ports. */
  constructor(ports: readonly LinePort[], owner: LineBankOwner) {
    const { length } = ports;
    this.#ports = ports;
    this.#owner = owner;
    this.#isBusy = new Uint8Array(length);
    this.#mustLeave = new Uint8Array(length);
    this.#purposes = new Int8Array(length).fill(NOTHING);
    this.#nextPurposes = new Int8Array(length).fill(NOTHING);
    this.#nextOperations = new Int8Array(length);
    this.#nextArguments = new Int32Array(length);
    for (const [line, port] of ports.entries()) port.attach(this, line);
  }

  /** Number of lines. */
  get length(): number {
    return this.#ports.length;
  }

  /** Direction of a line, the host's truth. */
  lineDirection(line: number): number {
    return this.#ports[line]!.direction;
  }

  /** True while an operation of the line is under way. */
  isBusy(line: number): boolean {
    return this.#isBusy[line] !== 0;
  }

  /**
   * Begins an operation, or has it wait for the one under way; only one waits.
   *
   * @param purpose Number from 0 on that `lineDone` gets.
   * @returns The port's result, or `PENDING`: `lineDone` follows.
   */
  submit(
    line: number,
    operation: LineOperation,
    argument: number,
    purpose: number,
  ): number {
    if (this.#isBusy[line] !== 0) {
      this.#nextOperations[line] = operation;
      this.#nextArguments[line] = argument;
      this.#nextPurposes[line] = purpose;
      return PENDING;
    }
    const result = this.#ports[line]!.submit(operation, argument);
    if (result === PENDING) {
      this.#isBusy[line] = 1;
      this.#purposes[line] = purpose;
    }
    return result;
  }

  /** The guest is gone: what it asked for is of no interest any more. */
  guestGone(): void {
    for (let line = 0; line < this.#ports.length; line++) {
      this.#nextPurposes[line] = NOTHING;
      if (this.#isBusy[line] === 0) this.#leave(line);
      else {
        this.#purposes[line] = NOTHING;
        this.#mustLeave[line] = 1;
      }
    }
  }

  completed(line: number, result: number): void {
    if (this.#isBusy[line] !== 1) return;
    const purpose = this.#purposes[line]!;
    this.#isBusy[line] = 0;
    this.#purposes[line] = NOTHING;
    if (this.#mustLeave[line] === 1) {
      this.#mustLeave[line] = 0;
      this.#leave(line);
    }
    const next = this.#nextPurposes[line]!;
    if (next !== NOTHING && this.#isBusy[line] === 0) {
      this.#nextPurposes[line] = NOTHING;
      const { [line]: operation } = this.#nextOperations;
      const nextResult = this.submit(
        line,
        operation as LineOperation,
        this.#nextArguments[line]!,
        next,
      );
      if (purpose !== NOTHING) this.#owner.lineDone(line, result, purpose);
      if (nextResult !== PENDING) {
        this.#owner.lineDone(line, nextResult, next);
      }
    } else if (purpose !== NOTHING) {
      this.#owner.lineDone(line, result, purpose);
    }
  }

  edge(line: number, level: number): void {
    this.#owner.edge(line, level);
    this.#owner.changed();
  }

  restored(line: number): void {
    this.#owner.restored(line);
  }

  #leave(line: number): void {
    const result = this.#ports[line]!.submit(
      LineOperation.Deactivate,
      Departure.GuestGone,
    );
    if (result === PENDING) this.#isBusy[line] = 1;
  }
}
