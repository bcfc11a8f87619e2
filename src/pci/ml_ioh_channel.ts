/**
 * Registers of one channel of an ML7213 IOH, in memory that can outlive the
 * process.
 *
 * @module
 */

/** Interrupt modes of the hardware. */
export const Mode = {
  Falling: 0,
  Rising: 1,
  Low: 2,
  High: 3,
  Both: 4,
} as const;

/** Words of a channel's state. */
export const CHANNEL_WORDS = 11;

/** Registers and pins of a channel. */
export class Channel {
  /** Present levels of the lines. */
  actual = 0;
  /** Pins that have a line. */
  pins = 0;
  readonly lineNumbers: number[] = [];
  readonly #base: number;
  #words: Int32Array;

  constructor(index: number, words: Int32Array) {
    this.#base = index * CHANNEL_WORDS;
    this.#words = words;
  }

  /** Has its registers in `words` from now on. */
  use(words: Int32Array): void {
    this.#words = words;
  }

  get enabled(): number {
    return this.#words[this.#base + 0]!;
  }

  set enabled(value: number) {
    this.#words[this.#base + 0] = value;
  }

  /** Interrupts that occurred and were not cleared. */
  get latched(): number {
    return this.#words[this.#base + 1]!;
  }

  set latched(value: number) {
    this.#words[this.#base + 1] = value;
  }

  get masked(): number {
    return this.#words[this.#base + 2]!;
  }

  set masked(value: number) {
    this.#words[this.#base + 2] = value;
  }

  get output(): number {
    return this.#words[this.#base + 3]!;
  }

  set output(value: number) {
    this.#words[this.#base + 3] = value;
  }

  get direction(): number {
    return this.#words[this.#base + 4]!;
  }

  set direction(value: number) {
    this.#words[this.#base + 4] = value;
  }

  /** Levels of the pins, as the guest reads them. */
  get levels(): number {
    return this.#words[this.#base + 5]!;
  }

  set levels(value: number) {
    this.#words[this.#base + 5] = value;
  }

  /** Pins whose level is kept until its interrupt is cleared and it is read. */
  get kept(): number {
    return this.#words[this.#base + 6]!;
  }

  set kept(value: number) {
    this.#words[this.#base + 6] = value;
  }

  /** Of those, the pins whose interrupt has been cleared. */
  get cleared(): number {
    return this.#words[this.#base + 7]!;
  }

  set cleared(value: number) {
    this.#words[this.#base + 7] = value;
  }

  get mode0(): number {
    return this.#words[this.#base + 8]!;
  }

  set mode0(value: number) {
    this.#words[this.#base + 8] = value;
  }

  get mode1(): number {
    return this.#words[this.#base + 9]!;
  }

  set mode1(value: number) {
    this.#words[this.#base + 9] = value;
  }

  /** Pins that became outputs and have no level yet. */
  get undriven(): number {
    return this.#words[this.#base + 10]!;
  }

  set undriven(value: number) {
    this.#words[this.#base + 10] = value;
  }

  get status(): number {
    return this.latched & this.enabled & ~this.masked;
  }

  readMode(bit: number): number {
    const register = bit < 8 ? this.mode0 : this.mode1;
    return (register >>> ((bit & 7) * 4)) & 0xf;
  }

  clear(): void {
    this.#words.fill(0, this.#base, this.#base + CHANNEL_WORDS);
    this.levels = this.actual;
  }
}
