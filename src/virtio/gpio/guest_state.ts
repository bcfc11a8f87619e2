/**
 * State that a guest gave its lines and never repeats, in memory that outlives
 * this process: a guest whose backend or connection was lost does not notice,
 * and its driver continues as if every interrupt type were still set.
 *
 * Kept is each line's interrupt type, an edge that waits for the interrupt to
 * be unmasked, the direction the guest gave it, and a level that was set while
 * the line was no output. The level of an output is not kept: setting it is the
 * hot path, and the restore never drives anything (see `GpioLine.restore`).
 *
 * The memory is the frontend's to scribble on, and may be from an older or a
 * newer version of this program or from another device. A head says whose it
 * is; each line's state is one word, stored at once, read once, and checked.
 * Nothing here is a secret or a right: the worst that a frontend can put there
 * is what its guest could have asked for.
 *
 * @module
 */
import { layout, U16, U32 } from "../../../ffi/layout.ts";
import { IrqType } from "./protocol.ts";
import { edgesFor, isLevelType } from "./irq_type.ts";
import { Direction, UNSPECIFIED } from "../../line/port.ts";

/** Head of the state, before the lines' words. */
const GUEST_STATE_HEAD = layout("gpioagg_guest_state", 16, [
  ["magic", U32], // "gpio"; 0 while the rest is being written
  ["version", U16],
  ["line_count", U16],
  ["names", U32], // checksum of the names: which lines, in which order
  ["spare", U32], // zero
]);

/** `magic` of a head that is complete: "gpio" in memory. */
const GUEST_STATE_MAGIC = 0x6f69_7067;
/** The version that is written, and the only one that is read. */
const GUEST_STATE_VERSION = 1;

const WORD = 2; // bytes of a Uint16Array element
const LONG = 4; // bytes of a Uint32Array element
const HEAD_WORDS = GUEST_STATE_HEAD.size / WORD;
const AT_MAGIC = GUEST_STATE_HEAD.at.magic / LONG;
const AT_VERSION = GUEST_STATE_HEAD.at.version / WORD;
const AT_LINE_COUNT = GUEST_STATE_HEAD.at.line_count / WORD;
const AT_NAMES = GUEST_STATE_HEAD.at.names / LONG;
/** The memory is a whole number of these. **Units**: bytes. */
const UNIT = 8;

const TYPE_MASK = 0xf;
const LATCHED_MASK = 0x10;
const DIRECTION_SHIFT = 5;
const DIRECTION_MASK = 0x3;
const LEVEL_SHIFT = 7;
const LEVEL_MASK = 0x3;
/** The word without anything of the interrupt. */
const NO_INTERRUPT_MASK = ~(TYPE_MASK | LATCHED_MASK);
const USED_BITS = 9;

/** The word of a line that the guest made nothing of. */
export const NO_STATE = 0;

/** One line's state as a word, never {@linkcode NO_STATE} by mistake. */
export function packState(
  irqType: number,
  isLatched: boolean,
  direction: Direction,
  level: number,
): number {
  return irqType | (isLatched ? LATCHED_MASK : 0) |
    direction << DIRECTION_SHIFT | (level - UNSPECIFIED) << LEVEL_SHIFT;
}

/** The interrupt type in a word. */
export function irqTypeIn(word: number): number {
  return word & TYPE_MASK;
}

/** Returns true if the word says that an edge waits to be delivered. */
export function isLatchedIn(word: number): boolean {
  return (word & LATCHED_MASK) !== 0;
}

/** The direction that the guest gave the line. */
export function directionIn(word: number): Direction {
  return (word >>> DIRECTION_SHIFT & DIRECTION_MASK) as Direction;
}

/** The level that waits for the line to become an output, or `UNSPECIFIED`. */
export function levelIn(word: number): number {
  return (word >>> LEVEL_SHIFT & LEVEL_MASK) + UNSPECIFIED;
}

/** The word if some guest could have led to it, or else `NO_STATE`. */
function checked(word: number, hasInterrupts: boolean): number {
  const direction = directionIn(word);
  if (
    word >>> USED_BITS !== 0 || direction > Direction.Input || levelIn(word) > 1
  ) return NO_STATE;
  const type = irqTypeIn(word);
  const isInterrupt = type !== IrqType.None && edgesFor(type) !== undefined;
  const isWhole = type === IrqType.None
    ? !isLatchedIn(word)
    : isInterrupt && direction === Direction.Input &&
      !(isLatchedIn(word) && isLevelType(type));
  return isWhole && hasInterrupts ? word : word & NO_INTERRUPT_MASK;
}

/** Kept state of one device's guest, if it is kept anywhere. */
export class GuestState {
  readonly #lineCount: number;
  readonly #names: number;
  #words: Uint16Array | undefined;
  #longs: Uint32Array | undefined;

  /**
   * Makes a state that is kept nowhere; `names` is the device's names block.
   */
  constructor(lineCount: number, names: Uint8Array) {
    this.#lineCount = lineCount;
    this.#names = checksum(names);
  }

  /** Distinguishes the device from those with other lines. */
  get identity(): string {
    return `gpio ${this.#lineCount} ${this.#names.toString(16)}`;
  }

  /** Memory that the state takes. **Units**: bytes. */
  get byteLength(): number {
    const exact = GUEST_STATE_HEAD.size + this.#lineCount * WORD;
    return Math.ceil(exact / UNIT) * UNIT;
  }

  /**
   * Uses other memory from now on, or none; nothing is read or written yet.
   *
   * @throws {RangeError} If it is too small or not aligned to 8 bytes.
   */
  use(memory: Uint8Array | undefined): void {
    this.#words = undefined;
    this.#longs = undefined;
    if (memory === undefined) return;
    const { buffer, byteOffset, byteLength } = memory;
    if (byteLength < this.byteLength || byteOffset % UNIT !== 0) {
      throw new RangeError(
        `Cannot keep the state of ${this.#lineCount} lines in ${byteLength} ` +
          `bytes at offset ${byteOffset}: it takes ${this.byteLength} at a ` +
          `multiple of ${UNIT}`,
      );
    }
    const size = this.byteLength;
    this.#words = new Uint16Array(buffer, byteOffset, size / WORD);
    this.#longs = new Uint32Array(buffer, byteOffset, size / LONG);
  }

  /** True if the memory in use holds the state of such a device's guest. */
  get isWritten(): boolean {
    const words = this.#words;
    const longs = this.#longs;
    return words !== undefined && longs !== undefined &&
      Atomics.load(longs, AT_MAGIC) === GUEST_STATE_MAGIC &&
      words[AT_VERSION] === GUEST_STATE_VERSION &&
      words[AT_LINE_COUNT] === this.#lineCount &&
      longs[AT_NAMES] === this.#names;
  }

  /**
   * Begins anew: no line has any state. The head is complete last, so that a
   * process killed meanwhile leaves memory that is not believed.
   */
  clear(): void {
    const words = this.#words;
    const longs = this.#longs;
    if (words === undefined || longs === undefined) return;
    Atomics.store(longs, AT_MAGIC, 0);
    words.fill(0);
    words[AT_VERSION] = GUEST_STATE_VERSION;
    words[AT_LINE_COUNT] = this.#lineCount;
    longs[AT_NAMES] = this.#names;
    Atomics.store(longs, AT_MAGIC, GUEST_STATE_MAGIC);
  }

  /**
   * One line's word as it was kept, or `NO_STATE` if no guest can have led to
   * it.
   *
   * @param hasInterrupts Whether the driver has interrupts now.
   */
  load(lineNumber: number, hasInterrupts: boolean): number {
    const word = this.#words?.[HEAD_WORDS + lineNumber] ?? NO_STATE;
    return checked(word, hasInterrupts);
  }

  /** Keeps one line's word. Nowhere kept, this costs one look at a field. */
  store(lineNumber: number, word: number): void {
    const words = this.#words;
    if (words !== undefined) words[HEAD_WORDS + lineNumber] = word;
  }
}

/** FNV-1a: distinguishes lists of names; not a protection. */
function checksum(names: Uint8Array): number {
  let hash = 0x811c_9dc5;
  for (const byte of names) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return hash >>> 0;
}
