/**
 * Programs of machine code for guests, which have no compiler.
 *
 * @module
 */

/** Address of a program in memory. */
const BASE = 0x40_0000;
const HEADER_BYTES = 64 + 56;

/** Address of the data of a program with so many bytes of code. */
export function dataAddress(codeBytes: number): number {
  return BASE + HEADER_BYTES + codeBytes;
}

/** Address of the memory that a program may write, which is zero at first. */
export const WRITABLE = BASE + 0x1000;

/** Machines of programs, as ELF has them. */
export const X86_64 = 62;
export const AARCH64 = 183;

/**
 * Returns a static executable: code from its first instruction on, data behind it,
 * and at {@linkcode WRITABLE} so many bytes of memory.
 */
export function staticProgram(
  code: readonly number[],
  data: Uint8Array,
  writableBytes = 0,
  machine = X86_64,
): Uint8Array<ArrayBuffer> {
  const size = HEADER_BYTES + code.length + data.length;
  const isWritten = writableBytes > 0;
  const memory = isWritten ? WRITABLE - BASE + writableBytes : size;
  return new Uint8Array([
    ...[0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0], // ELF, 64 bits
    ...u64(0),
    ...[...u16(2), ...u16(machine), ...u32(1)], // an executable
    ...u64(BASE + HEADER_BYTES), // entry
    ...[...u64(64), ...u64(0), ...u32(0)], // program headers
    ...[...u16(64), ...u16(56), ...u16(1), ...u16(0), ...u16(0), ...u16(0)],
    ...[...u32(1), ...u32(isWritten ? 7 : 5)], // loaded; read, executed, written
    ...[...u64(0), ...u64(BASE), ...u64(BASE), ...u64(size), ...u64(memory)],
    ...u64(0x1000),
    ...code,
    ...data,
  ]);
}

/** Two bytes, little endian. */
export function u16(value: number): number[] {
  return [value & 0xff, value >> 8];
}

/** Four bytes, little endian. */
export function u32(value: number): number[] {
  return [...u16(value & 0xffff), ...u16(value >>> 16)];
}

/** Eight bytes, little endian, of a number of four. */
export function u64(value: number): number[] {
  return [...u32(value), ...u32(0)];
}
