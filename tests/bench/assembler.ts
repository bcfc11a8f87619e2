/**
 * Machine code of small programs that are written once for x86-64 and arm64.
 *
 * All that such a program knows is in memory at fixed addresses below 4 GiB, in
 * words of 32 bits, little endian; registers hold nothing between two operations.
 *
 * @module
 */
import {
  AARCH64,
  dataAddress,
  staticProgram,
  u32,
  X86_64,
} from "../environment/static_program.ts";

/** A number, or the word at an address. */
export type Operand = number | { readonly at: number };

/** System calls that programs use. */
type Call = keyof typeof X86_CALLS;

/** Operations of which a program consists. */
export interface Operations {
  /** Names the place of the next operation. */
  label(name: string): void;
  /** Makes a system call; at most three arguments. */
  call(name: Call, ...args: readonly Operand[]): void;
  /** Stores what the last call returned. */
  storeResult(address: number): void;
  /** Stores a word, after all that was stored before. */
  store(address: number, value: Operand): void;
  /** Adds 1 to a word. */
  increase(address: number): void;
  /** Goes on elsewhere. */
  jump(label: string): void;
  /** Goes on elsewhere if the last call failed. */
  jumpIfFailed(label: string): void;
  /** Goes on elsewhere if the word at an address equals another one. */
  jumpIfEqual(address: number, value: Operand, label: string): void;
}

/** Machines, as guests' programs know them. */
export type Machine = keyof typeof MACHINES;

/**
 * Returns a static executable.
 *
 * @param write Appends the operations; called twice, with the address of `data`.
 * @param writableBytes Memory from `WRITABLE` on.
 */
export function assemble(
  machine: Machine,
  data: Uint8Array,
  writableBytes: number,
  write: (code: Operations, data: number) => void,
): Uint8Array<ArrayBuffer> {
  const { Code, elf } = MACHINES[machine];
  const codeAt = (address: number) => {
    const code = new Code();
    write(code, address);
    return code.finish();
  };
  // The length depends on no address.
  const code = codeAt(dataAddress(codeAt(0).length));
  return staticProgram(code, data, writableBytes, elf);
}

/** Code under way, and jumps whose distances are not known yet. */
class Jumps {
  readonly bytes: number[] = [];
  readonly #labels = new Map<string, number>();
  readonly #jumps: {
    readonly at: number;
    readonly label: string;
    readonly encode: (distance: number) => number[];
  }[] = [];

  label(name: string): void {
    this.#labels.set(name, this.bytes.length);
  }

  emit(...bytes: readonly number[]): void {
    this.bytes.push(...bytes);
  }

  /** Appends a jump, by its distance in bytes from its own beginning. */
  jumpBy(label: string, encode: (distance: number) => number[]): void {
    this.#jumps.push({ at: this.bytes.length, label, encode });
    this.emit(...encode(0));
  }

  finish(): number[] {
    for (const { at, label, encode } of this.#jumps) {
      const target = this.#labels.get(label);
      if (target === undefined) throw new Error(`No label ${label}`);
      const bytes = encode(target - at);
      this.bytes.splice(at, bytes.length, ...bytes);
    }
    return this.bytes;
  }
}

const X86_CALLS = {
  read: 0,
  ioctl: 16,
  exit: 60,
  clockGettime: 228,
  openat: 257,
} as const;

/** Opcodes of `mov edi/esi/edx, number`, and these registers. */
const X86_ARGUMENTS = [[0xbf, 7], [0xbe, 6], [0xba, 2]] as const;
const EAX = 0;
const ECX = 1;

/** An instruction's register, and an address of 32 bits. */
const x86Memory = (register: number, address: number) => [
  ...[0x04 | register << 3, 0x25],
  ...u32(address),
];

class X86Code extends Jumps implements Operations {
  call(name: Call, ...args: readonly Operand[]): void {
    for (const [i, value] of args.entries()) {
      const [opcode, register] = X86_ARGUMENTS[i]!;
      if (typeof value === "number") this.emit(opcode, ...u32(value));
      else this.#load(register, value.at);
    }
    this.emit(0xb8, ...u32(X86_CALLS[name])); // mov eax, number
    this.emit(0x0f, 0x05); // syscall
  }

  storeResult(address: number): void {
    this.emit(0x89, ...x86Memory(EAX, address));
  }

  store(address: number, value: Operand): void {
    if (typeof value === "number") {
      this.emit(0xc7, ...x86Memory(0, address), ...u32(value));
      return;
    }
    this.#load(ECX, value.at);
    this.emit(0x89, ...x86Memory(ECX, address));
  }

  increase(address: number): void {
    this.emit(0xff, ...x86Memory(0, address)); // inc dword
  }

  jump(label: string): void {
    this.jumpBy(label, (distance) => [0xe9, ...u32(distance - 5)]);
  }

  jumpIfFailed(label: string): void {
    this.emit(0x85, 0xc0); // test eax, eax
    this.#jumpIf(0x88, label); // js
  }

  jumpIfEqual(address: number, value: Operand, label: string): void {
    this.#load(ECX, address);
    if (typeof value === "number") this.emit(0x81, 0xf9, ...u32(value));
    else this.emit(0x3b, ...x86Memory(ECX, value.at)); // cmp ecx, …
    this.#jumpIf(0x84, label); // je
  }

  #load(register: number, address: number): void {
    this.emit(0x8b, ...x86Memory(register, address));
  }

  #jumpIf(opcode: number, label: string): void {
    this.jumpBy(label, (distance) => [0x0f, opcode, ...u32(distance - 6)]);
  }
}

const ARM_CALLS: Readonly<Record<Call, number>> = {
  ioctl: 29,
  openat: 56,
  read: 63,
  exit: 93,
  clockGettime: 113,
};

/** Registers: of the call's number, and three that nothing else uses. */
const NUMBER = 8;
const ADDRESS = 9;
const VALUE = 10;
const OTHER = 11;

class ArmCode extends Jumps implements Operations {
  call(name: Call, ...args: readonly Operand[]): void {
    for (const [i, value] of args.entries()) this.#load(i, value);
    this.#load(NUMBER, ARM_CALLS[name]);
    this.#words(0xd400_0001); // svc
  }

  storeResult(address: number): void {
    this.#store(0, address);
  }

  store(address: number, value: Operand): void {
    this.#load(VALUE, value);
    this.#words(0xd503_3bbf); // dmb ish
    this.#store(VALUE, address);
  }

  increase(address: number): void {
    this.#load(VALUE, { at: address });
    this.#words(0x1100_0400 | VALUE << 5 | VALUE); // add value, value, 1
    this.#store(VALUE, address);
  }

  jump(label: string): void {
    this.#jumpBy(label, (count) => 0x1400_0000 | count & 0x3ff_ffff);
  }

  jumpIfFailed(label: string): void {
    // tbnz w0, 31
    this.#jumpBy(label, (count) => 0x37f8_0000 | (count & 0x3fff) << 5);
  }

  jumpIfEqual(address: number, value: Operand, label: string): void {
    this.#load(VALUE, { at: address });
    this.#load(OTHER, value);
    this.#words(0x6b00_001f | OTHER << 16 | VALUE << 5); // cmp value, other
    this.#jumpBy(label, (count) => 0x5400_0000 | (count & 0x7_ffff) << 5);
  }

  /** movz and movk: 32 bits in two halves; or ldr. */
  #load(register: number, value: Operand): void {
    if (typeof value !== "number") {
      this.#load(ADDRESS, value.at);
      this.#words(0xb940_0000 | ADDRESS << 5 | register);
      return;
    }
    this.#words(
      0xd280_0000 | (value & 0xffff) << 5 | register,
      0xf2a0_0000 | value >>> 16 << 5 | register,
    );
  }

  #store(register: number, address: number): void {
    this.#load(ADDRESS, address);
    this.#words(0xb900_0000 | ADDRESS << 5 | register); // str
  }

  #words(...words: readonly number[]): void {
    this.emit(...words.flatMap((word) => u32(word >>> 0)));
  }

  #jumpBy(label: string, encode: (count: number) => number): void {
    this.jumpBy(label, (distance) => u32(encode(distance / 4) >>> 0));
  }
}

const MACHINES = {
  x86_64: { Code: X86Code, elf: X86_64 },
  arm64: { Code: ArmCode, elf: AARCH64 },
} as const;
