/**
 * A program for guests that sets line 0 of a chip to what line 1 has become.
 *
 * @module
 */
import {
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

/** Length of the instructions below. */
const CODE_BYTES = 230;

/**
 * Returns the program: a static x86-64 executable, which goes on until it fails.
 *
 * @param chip Path of the chip's device node.
 */
export function echoProgram(chip: string): Uint8Array<ArrayBuffer> {
  const input = WRITABLE;
  const output = WRITABLE + 0x400;
  // struct gpio_v2_line_event; 256 bytes behind it gpio_v2_line_values.
  const event = WRITABLE + 0x800;
  const requestLine = [
    ...[0xb8, ...u32(16)], // mov eax, ioctl
    ...[0x89, 0xdf], // mov edi, ebx
    ...[0xbe, ...u32(GET_LINE)], // mov esi, GET_LINE
    ...[0x89, 0xea], // mov edx, ebp
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0], // test eax, eax
  ];
  const code = [
    ...[0xb8, ...u32(2)], // mov eax, open
    ...[0xbf, ...u32(dataAddress(CODE_BYTES))], // mov edi, path
    ...[0xbe, ...u32(2)], // mov esi, O_RDWR
    ...[0x31, 0xd2], // xor edx, edx
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0], // test eax, eax
    ...[0x0f, 0x88, ...u32(0xbf)], // js end
    ...[0x89, 0xc3], // mov ebx, eax
    ...[0xbd, ...u32(input)], // mov ebp, input
    ...[0xc7, 0x45, 0x00, ...u32(1)], // mov [rbp], 1: its offset
    ...[0xc7, 0x85, ...u32(FLAGS), ...u32(INPUT)], // mov [rbp + FLAGS], INPUT
    ...[0xc7, 0x85, ...u32(NUM_LINES), ...u32(1)], // mov [rbp + NUM_LINES], 1
    ...requestLine,
    ...[0x0f, 0x88, ...u32(0x85)], // js end
    ...[0x44, 0x8b, 0xa5, ...u32(FD)], // mov r12d, [rbp + FD]
    ...[0xbd, ...u32(output)], // mov ebp, output, whose offset is 0
    ...[0xc7, 0x85, ...u32(FLAGS), ...u32(OUTPUT)], // mov [rbp + FLAGS], OUTPUT
    ...[0xc7, 0x85, ...u32(NUM_LINES), ...u32(1)], // mov [rbp + NUM_LINES], 1
    ...requestLine,
    ...[0x78, 0x51], // js end
    ...[0x44, 0x8b, 0xad, ...u32(FD)], // mov r13d, [rbp + FD]
    ...[0xbd, ...u32(event)], // mov ebp, event
    ...[0xc7, 0x85, ...u32(0x108), ...u32(1)], // mov [rbp + 0x108], 1: the mask
    // again:
    ...[0x31, 0xc0], // xor eax, eax: read
    ...[0x44, 0x89, 0xe7], // mov edi, r12d
    ...[0x89, 0xee], // mov esi, ebp
    ...[0xba, ...u32(48)], // mov edx, 48
    ...[0x0f, 0x05], // syscall
    ...[0x83, 0xf8, 48], // cmp eax, 48
    ...[0x75, 0x28], // jne end
    ...[0x31, 0xc9], // xor ecx, ecx
    ...[0x83, 0x7d, 8, 1], // cmp [rbp + 8], rising
    ...[0x0f, 0x94, 0xc1], // sete cl
    ...[0x89, 0x8d, ...u32(0x100)], // mov [rbp + 0x100], ecx: the bits
    ...[0xb8, ...u32(16)], // mov eax, ioctl
    ...[0x44, 0x89, 0xef], // mov edi, r13d
    ...[0xbe, ...u32(SET_VALUES)], // mov esi, SET_VALUES
    ...[0x8d, 0x95, ...u32(0x100)], // lea edx, [rbp + 0x100]
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0], // test eax, eax
    ...[0x79, 0xc5], // jns again
    // end:
    ...[0xbf, ...u32(1)], // mov edi, 1
    ...[0xb8, ...u32(60)], // mov eax, exit
    ...[0x0f, 0x05], // syscall
  ];
  const path = new TextEncoder().encode(`${chip}\0`);
  return staticProgram(code, path, MEMORY_BYTES);
}
