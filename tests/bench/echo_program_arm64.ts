/**
 * A program for arm64 guests that sets line 0 of a chip to what line 1 has become.
 *
 * @module
 */
import {
  AARCH64,
  dataAddress,
  staticProgram,
  u32,
  WRITABLE,
} from "../environment/static_program.ts";
import {
  FD,
  FLAGS,
  GET_LINE,
  INPUT,
  MEMORY_BYTES,
  NUM_LINES,
  OUTPUT,
  SET_VALUES,
} from "./echo_kernel.ts";

/** Number of the instructions below. */
const INSTRUCTIONS = 64;

/** System calls. */
const IOCTL = 29;
const OPENAT = 56;
const READ = 63;
const EXIT = 93;

const AT_FDCWD = -100;
const O_RDWR = 2;
const EVENT_BYTES = 48;
/** In struct gpio_v2_line_event; 256 bytes behind it is gpio_v2_line_values. */
const EVENT_ID = 8;
const BITS = 0x100;
const MASK = 0x108;

/** Registers that system calls leave. */
const CHIP = 19;
const IN = 20;
const OUT = 21;
const MEMORY = 22;
const SCRATCH = 9;

/** mov xd, 16 bits of a value, in its place; mov xd, ~value. */
const movz = (d: number, value: number, half = 0) =>
  (0xd280_0000 | half << 21 | value << 5 | d) >>> 0;
const movk = (d: number, value: number, half: number) =>
  (0xf280_0000 | half << 21 | value << 5 | d) >>> 0;
const movn = (d: number, value: number) => (0x9280_0000 | value << 5 | d) >>> 0;
const mov32 = (d: number, value: number) => [
  movz(d, value & 0xffff),
  movk(d, value >>> 16, 1),
];
/** mov xd, xm */
const move = (d: number, m: number) => (0xaa00_03e0 | m << 16 | d) >>> 0;
/** str wt, [xn + offset] and ldr wt, [xn + offset] */
const str = (t: number, n: number, offset: number) =>
  (0xb900_0000 | offset >> 2 << 10 | n << 5 | t) >>> 0;
const ldr = (t: number, n: number, offset: number) =>
  (0xb940_0000 | offset >> 2 << 10 | n << 5 | t) >>> 0;
/** add xd, xn, value */
const add = (d: number, n: number, value: number) =>
  (0x9100_0000 | value << 10 | n << 5 | d) >>> 0;
/** cmp wn, value */
const cmp = (n: number, value: number) =>
  (0x7100_001f | value << 10 | n << 5) >>> 0;
/** cset wd, eq */
const csetEqual = (d: number) => (0x1a9f_17e0 | d) >>> 0;
/** Branches by a number of instructions: w0 negative, not negative, unequal. */
const ifNegative = (count: number) =>
  (0x37f8_0000 | (count & 0x3fff) << 5) >>> 0;
const unlessNegative = (count: number) =>
  (0x36f8_0000 | (count & 0x3fff) << 5) >>> 0;
const ifUnequal = (count: number) =>
  (0x5400_0001 | (count & 0x7_ffff) << 5) >>> 0;
const SVC = 0xd400_0001;

/** Fills in a request in memory: its line is 0 there, unless told. */
function request(memory: number, flags: number, line: readonly number[]) {
  return [
    ...mov32(MEMORY, memory),
    ...line,
    movz(SCRATCH, flags),
    str(SCRATCH, MEMORY, FLAGS),
    movz(SCRATCH, 1),
    str(SCRATCH, MEMORY, NUM_LINES),
    movz(8, IOCTL),
    move(0, CHIP),
    ...mov32(1, GET_LINE),
    move(2, MEMORY),
    SVC,
  ];
}

/**
 * Returns the program: a static aarch64 executable, which goes on until it fails.
 *
 * @param chip Path of the chip's device node.
 */
export function echoProgramArm64(chip: string): Uint8Array<ArrayBuffer> {
  const code: number[] = [];
  const end = INSTRUCTIONS - 3;
  const emit = (...words: readonly number[]) => void code.push(...words);
  const orEnd = (branch: (count: number) => number) =>
    emit(branch(end - code.length));

  emit(
    movz(8, OPENAT),
    movn(0, ~AT_FDCWD),
    ...mov32(1, dataAddress(4 * INSTRUCTIONS)),
    movz(2, O_RDWR),
    movz(3, 0),
    SVC,
  );
  orEnd(ifNegative);
  emit(move(CHIP, 0));
  emit(...request(WRITABLE, INPUT, [
    movz(SCRATCH, 1),
    str(SCRATCH, MEMORY, 0),
  ]));
  orEnd(ifNegative);
  emit(ldr(IN, MEMORY, FD));
  emit(...request(WRITABLE + 0x400, OUTPUT, []));
  orEnd(ifNegative);
  emit(
    ldr(OUT, MEMORY, FD),
    ...mov32(MEMORY, WRITABLE + 0x800),
    movz(SCRATCH, 1),
    str(SCRATCH, MEMORY, MASK),
  );
  const again = code.length;
  emit(
    movz(8, READ),
    move(0, IN),
    move(1, MEMORY),
    movz(2, EVENT_BYTES),
    SVC,
    cmp(0, EVENT_BYTES),
  );
  orEnd(ifUnequal);
  emit(
    ldr(SCRATCH, MEMORY, EVENT_ID),
    // A rising edge.
    cmp(SCRATCH, 1),
    csetEqual(SCRATCH),
    str(SCRATCH, MEMORY, BITS),
    movz(8, IOCTL),
    move(0, OUT),
    ...mov32(1, SET_VALUES),
    add(2, MEMORY, BITS),
    SVC,
  );
  emit(unlessNegative(again - code.length));
  emit(movz(0, 1), movz(8, EXIT), SVC);
  if (code.length !== INSTRUCTIONS) {
    throw new Error(`the program has ${code.length} instructions`);
  }
  const path = new TextEncoder().encode(`${chip}\0`);
  return staticProgram(code.flatMap(u32), path, MEMORY_BYTES, AARCH64);
}
