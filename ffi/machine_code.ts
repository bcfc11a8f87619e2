/**
 * Machine code of three routines that must run where no JavaScript can: in a
 * signal handler, and on a thread that may wait for ever.
 *
 * - `bus` handles SIGBUS: {@linkcode ../ffi/bus_guard.ts}.
 * - `interrupt` handles a signal by returning: {@linkcode ../ffi/wait_limit.ts}.
 * - `helper` is a thread's start routine that makes system calls:
 *   {@linkcode ../ffi/helper_thread.ts}.
 *
 * Each line of assembler stands beside its bytes; a test has the assembler
 * compare the two where one is installed. The code is position independent, uses
 * no stack beyond two words, touches neither `errno` nor thread-local storage,
 * and is mapped first writable, then executable, never both.
 *
 * On aarch64, instruction caches need no call from here: the kernel cleans them
 * when a page becomes executable for the first time.
 *
 * @module
 */
import { lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

/**
 * One line of assembler with its bytes in hexadecimal.
 *
 * **Safety**: plain data.
 */
export type CodeLine = readonly [source: string, bytes: string];

/**
 * The routines for x86_64, in Intel syntax. `table` is a placeholder for the
 * address of the table of {@linkcode ../ffi/bus_guard.ts}.
 *
 * **Safety**: plain data.
 */
export const X86_64_CODE: readonly CodeLine[] = [
  ["table: .quad 0", "0000000000000000"],
  // bus(signal, siginfo, context): only faults that the kernel reports (si_code
  // above 0) have an address.
  ["bus: endbr64", "f30f1efa"],
  ["cmp dword ptr [rsi + 8], 0", "837e0800"],
  ["jle chain", "7e28"],
  ["mov rax, [rsi + 16]", "488b4610"],
  ["mov r8, [rip + table]", "4c8b05e3ffffff"],
  ["mov ecx, [r8]", "418b08"],
  ["lea r9, [r8 + 64]", "4d8d4840"],
  // Slots from the last to the first: base <= si_addr < end?
  ["scan: sub ecx, 1", "83e901"],
  ["js chain", "7811"],
  ["cmp rax, [r9]", "493b01"],
  ["jb next", "7206"],
  ["cmp rax, [r9 + 8]", "493b4108"],
  ["jb hit", "7219"],
  ["next: add r9, 32", "4983c120"],
  ["jmp scan", "ebea"],
  // Not ours: the handler that was there before, with its arguments as they came.
  ["chain: mov r8, [rip + table]", "4c8b05bfffffff"],
  ["mov rax, [r8 + 8]", "498b4008"],
  ["cmp rax, 1", "4883f801"],
  ["jbe fatal", "7656"],
  ["jmp rax", "ffe0"],
  // Ours: note the address, count it, and map zeroed memory over all of the
  // mapping: mmap(base, end - base, READ | WRITE,
  // PRIVATE | FIXED | ANONYMOUS | NORESERVE, -1, 0).
  ["hit: push rbx", "53"],
  ["mov rbx, r9", "4c89cb"],
  ["mov [rbx + 24], rax", "48894318"],
  ["lock inc dword ptr [r8 + 4]", "f041ff4004"],
  ["mov rdi, [rbx]", "488b3b"],
  ["mov rsi, [rbx + 8]", "488b7308"],
  ["sub rsi, rdi", "4829fe"],
  ["mov edx, 3", "ba03000000"],
  ["mov r10d, 0x4032", "41ba32400000"],
  ["mov r8, -1", "49c7c0ffffffff"],
  ["xor r9d, r9d", "4531c9"],
  ["mov eax, 9", "b809000000"],
  ["syscall", "0f05"],
  ["test rax, rax", "4885c0"],
  ["jns done", "7915"],
  // No room for all of it (vm.overcommit_memory=2): the unit that faulted.
  ["mov rsi, [rbx + 16]", "488b7310"],
  ["mov rdi, rsi", "4889f7"],
  ["neg rdi", "48f7df"],
  ["and rdi, [rbx + 24]", "48237b18"],
  ["mov eax, 9", "b809000000"],
  ["syscall", "0f05"],
  ["done: pop rbx", "5b"],
  ["test rax, rax", "4885c0"],
  ["js fatal", "7801"],
  ["ret", "c3"],
  // rt_sigaction(SIGBUS, default): the same fault then ends the process.
  ["fatal: mov edi, 7", "bf07000000"],
  ["mov rsi, [rip + table]", "488b3553ffffff"],
  ["add rsi, 32", "4883c620"],
  ["xor edx, edx", "31d2"],
  ["mov r10d, 8", "41ba08000000"],
  ["mov eax, 13", "b80d000000"],
  ["syscall", "0f05"],
  ["ret", "c3"],
  // interrupt(signal): to be interrupted is all that is wanted.
  ["interrupt: endbr64", "f30f1efa"],
  ["ret", "c3"],
  // helper(batch): runs each call of the batch and puts its result in the place
  // of its number.
  ["helper: endbr64", "f30f1efa"],
  ["push rbx", "53"],
  ["push r12", "4154"],
  ["mov rbx, rdi", "4889fb"],
  ["lea r12, [rdi + 16]", "4c8d6710"],
  ["step: sub dword ptr [rbx], 1", "832b01"],
  ["js finish", "7829"],
  ["mov rax, [r12]", "498b0424"],
  ["mov rdi, [r12 + 8]", "498b7c2408"],
  ["mov rsi, [r12 + 16]", "498b742410"],
  ["mov rdx, [r12 + 24]", "498b542418"],
  ["mov r10, [r12 + 32]", "4d8b542420"],
  ["mov r8, [r12 + 40]", "4d8b442428"],
  ["syscall", "0f05"],
  ["mov [r12], rax", "49890424"],
  ["add r12, 48", "4983c430"],
  ["jmp step", "ebd2"],
  // Last: the batch may be unmapped as soon as this is seen.
  ["finish: mov dword ptr [rbx + 4], 1", "c7430401000000"],
  ["xor eax, eax", "31c0"],
  ["pop r12", "415c"],
  ["pop rbx", "5b"],
  ["ret", "c3"],
];

/**
 * The routines for aarch64.
 *
 * **Safety**: plain data.
 */
export const AARCH64_CODE: readonly CodeLine[] = [
  ["table: .quad 0", "0000000000000000"],
  // bus(signal, siginfo, context): only faults that the kernel reports (si_code
  // above 0) have an address.
  ["bus: hint #34", "5f2403d5"],
  ["ldr w9, [x1, #8]", "290840b9"],
  ["cmp w9, #0", "3f010071"],
  ["b.le chain", "cd010054"],
  ["ldr x10, [x1, #16]", "2a0840f9"],
  ["ldr x11, table", "2bffff58"],
  ["ldr w12, [x11]", "6c0140b9"],
  ["add x13, x11, #64", "6d010191"],
  // Slots from the last to the first: base <= si_addr < end?
  ["scan: subs w12, w12, #1", "8c050071"],
  ["b.mi chain", "04010054"],
  ["ldp x14, x15, [x13]", "ae3d40a9"],
  ["cmp x10, x14", "5f010eeb"],
  ["b.lo next", "63000054"],
  ["cmp x10, x15", "5f010feb"],
  ["b.lo hit", "03010054"],
  ["next: add x13, x13, #32", "ad810091"],
  ["b scan", "f8ffff17"],
  // Not ours: the handler that was there before, with its arguments as they came.
  ["chain: ldr x11, table", "abfdff58"],
  ["ldr x16, [x11, #8]", "700540f9"],
  ["cmp x16, #1", "1f0600f1"],
  ["b.ls fatal", "c9020054"],
  ["br x16", "00021fd6"],
  // Ours: note the address, count it, and map zeroed memory over all of the
  // mapping: mmap(base, end - base, READ | WRITE,
  // PRIVATE | FIXED | ANONYMOUS | NORESERVE, -1, 0).
  ["hit: str x10, [x13, #24]", "aa0d00f9"],
  ["add x9, x11, #4", "69110091"],
  ["again: ldxr w12, [x9]", "2c7d5f88"],
  ["add w12, w12, #1", "8c050011"],
  ["stxr w14, w12, [x9]", "2c7d0e88"],
  ["cbnz w14, again", "aeffff35"],
  ["ldp x0, x1, [x13]", "a00540a9"],
  ["sub x1, x1, x0", "210000cb"],
  ["mov x2, #3", "620080d2"],
  ["mov x3, #0x4032", "430688d2"],
  ["mov x4, #-1", "04008092"],
  ["mov x5, #0", "050080d2"],
  ["mov x8, #222", "c81b80d2"],
  ["svc #0", "010000d4"],
  ["tbz x0, #63, done", "a001f8b6"],
  // No room for all of it (vm.overcommit_memory=2): the unit that faulted.
  ["ldp x1, x10, [x13, #16]", "a12941a9"],
  ["neg x0, x1", "e00301cb"],
  ["and x0, x0, x10", "00000a8a"],
  ["svc #0", "010000d4"],
  ["tbz x0, #63, done", "0001f8b6"],
  // rt_sigaction(SIGBUS, default): the same fault then ends the process.
  ["fatal: mov x0, #7", "e00080d2"],
  ["ldr x1, table", "61faff58"],
  ["add x1, x1, #32", "21800091"],
  ["mov x2, #0", "020080d2"],
  ["mov x3, #8", "030180d2"],
  ["mov x8, #134", "c81080d2"],
  ["svc #0", "010000d4"],
  ["done: ret", "c0035fd6"],
  // interrupt(signal): to be interrupted is all that is wanted.
  ["interrupt: hint #34", "5f2403d5"],
  ["ret", "c0035fd6"],
  // helper(batch): runs each call of the batch and puts its result in the place
  // of its number.
  ["helper: hint #34", "5f2403d5"],
  ["mov x9, x0", "e90300aa"],
  ["add x10, x0, #16", "0a400091"],
  ["step: ldr w11, [x9]", "2b0140b9"],
  ["subs w11, w11, #1", "6b050071"],
  ["str w11, [x9]", "2b0100b9"],
  ["b.mi finish", "04010054"],
  ["ldp x8, x0, [x10]", "480140a9"],
  ["ldp x1, x2, [x10, #16]", "410941a9"],
  ["ldp x3, x4, [x10, #32]", "431142a9"],
  ["svc #0", "010000d4"],
  ["str x0, [x10]", "400100f9"],
  ["add x10, x10, #48", "4ac10091"],
  ["b step", "f6ffff17"],
  // Last: the batch may be unmapped as soon as this is seen.
  ["finish: mov w11, #1", "2b008052"],
  ["add x12, x9, #4", "2c110091"],
  ["stlr w11, [x12]", "8bfd9f88"],
  ["mov x0, #0", "000080d2"],
  ["ret", "c0035fd6"],
];

/**
 * Names of the routines.
 *
 * **Safety**: plain data.
 */
type Routine = "bus" | "interrupt" | "helper";

/** Bytes of the page that the code is put into; every page size divides it. */
const CODE_BYTES = 0x1_0000;
const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
const MAP_NORESERVE = 0x4000;
const MAP_FAILED = 2n ** 64n - 1n;

/**
 * Returns all bytes of a listing, with `table` as the address in its place.
 *
 * @throws {TypeError} If a line is not whole bytes.
 *
 * **Safety**: computes only.
 */
export function codeBytes(
  code: readonly CodeLine[],
  table: bigint,
): Uint8Array<ArrayBuffer> {
  const hex = code.map(([, bytes]) => bytes).join("");
  const bytes = Uint8Array.fromHex(hex);
  new DataView(bytes.buffer).setBigUint64(0, table, true);
  return bytes;
}

/**
 * Returns the offset of a routine from the beginning of its listing.
 *
 * @throws {TypeError} If the listing lacks it.
 *
 * **Safety**: computes only.
 */
export function routineOffset(
  code: readonly CodeLine[],
  routine: Routine,
): number {
  let offset = 0;
  for (const [source, bytes] of code) {
    if (source.startsWith(`${routine}: `)) return offset;
    offset += bytes.length / 2;
  }
  throw new TypeError(`no routine ${routine}`);
}

/**
 * Maps zeroed memory of the process's own, for the process's life.
 *
 * @throws {OsError} ENOMEM.
 *
 * **Safety**: memory that is never unmapped can be read at any time, also by
 * code that outlives this isolate.
 */
export function mapPermanently(byteLength: number): Deno.PointerObject {
  const pointer = libc().mmap(
    null,
    BigInt(byteLength),
    PROT_READ | PROT_WRITE,
    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
    -1,
    0n,
  );
  const errno = lastErrno();
  if (pointer === null || Deno.UnsafePointer.value(pointer) === MAP_FAILED) {
    throw new OsError("mmap", errno, "memory for machine code");
  }
  return pointer;
}

/**
 * Bytes of the table that `bus` reads, see {@linkcode ../ffi/bus_guard.ts}: a
 * header and 32768 slots.
 *
 * **Safety**: a constant.
 */
export const TABLE_BYTES = 64 + 32 * 0x8000;

/**
 * This isolate's copy of the routines.
 *
 * **Safety**: neither code nor table is ever unmapped: a signal handler, or a
 * thread, outlives the isolate that installed it.
 */
interface MachineCode {
  /** The table that `bus` reads, zeroed. */
  readonly table: Deno.PointerObject;
  /** Returns the address of a routine. */
  routine(name: Routine): Deno.PointerObject;
}

/**
 * Returns how many bytes of addresses a process has: the kernel places mappings
 * near the top, so the table's address shows it (128 TiB on x86_64; on aarch64
 * 256 TiB, or 512 GiB with kernels for small devices).
 *
 * @throws {OsError} As {@linkcode machineCode}.
 *
 * **Safety**: looks only.
 */
export function addressSpaceBytes(): number {
  const address = Deno.UnsafePointer.value(machineCode().table);
  return 2 ** Math.ceil(Math.log2(Number(address)));
}

let loaded: MachineCode | undefined;

/**
 * Returns this isolate's copy of the routines, made when first asked for.
 *
 * @throws {OsError} ENOMEM, or EACCES where a security policy forbids code that
 * is made at run time (V8 could not run either).
 *
 * **Safety**: maps memory for the process's life; runs nothing.
 */
export function machineCode(): MachineCode {
  return loaded ??= load();
}

function load(): MachineCode {
  const code = Deno.build.arch === "aarch64" ? AARCH64_CODE : X86_64_CODE;
  const table = mapPermanently(TABLE_BYTES);
  const bytes = codeBytes(code, Deno.UnsafePointer.value(table));
  const page = mapPermanently(CODE_BYTES);
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(page, CODE_BYTES))
    .set(bytes);
  const { mprotect } = libc();
  if (mprotect(page, BigInt(CODE_BYTES), PROT_READ | PROT_EXEC) < 0) {
    throw new OsError("mprotect", lastErrno(), "machine code");
  }
  const start = Deno.UnsafePointer.value(page);
  return {
    table,
    routine: (name) =>
      Deno.UnsafePointer.create(start + BigInt(routineOffset(code, name)))!,
  };
}
