/**
 * A guest that starts another kernel: the files that it needs for that, and the
 * program that does it. busybox has none.
 *
 * @module
 */
import { extendInitramfs } from "./initramfs.ts";
import { dataAddress, staticProgram, u32 } from "./static_program.ts";

/** Command in a guest whose files {@linkcode withKexec} made; nothing answers. */
export const KEXEC = "/kexec/run 3</kexec/kernel 4</kexec/initrd";

/** Length of the instructions below. */
const CODE_BYTES = 71;

/**
 * Writes an initial file system to `directory` that has, beside what is in
 * `initrd`, a kernel and itself as the next one's. Returns its path.
 */
export async function withKexec(
  directory: string,
  kernel: string,
  initrd: string,
  commandLine: string,
): Promise<string> {
  const tree = `${directory}/tree`;
  await Deno.mkdir(`${tree}/kexec`, { recursive: true });
  await Deno.writeFile(`${tree}/kexec/run`, program(commandLine), {
    mode: 0o755,
  });
  await Deno.copyFile(kernel, `${tree}/kexec/kernel`);
  await Deno.copyFile(initrd, `${tree}/kexec/initrd`);
  return await extendInitramfs(directory, initrd, tree);
}

/**
 * A static x86-64 executable: kexec_file_load() of fd 3, with fd 4 as the initial
 * file system, then reboot() into it. Its status is the error number.
 */
function program(commandLine: string): Uint8Array {
  const words = new TextEncoder().encode(`${commandLine}\0`);
  const text = dataAddress(CODE_BYTES);
  const code = [
    ...[0xb8, ...u32(320)], // mov eax, kexec_file_load
    ...[0xbf, ...u32(3)], // mov edi, 3
    ...[0xbe, ...u32(4)], // mov esi, 4
    ...[0xba, ...u32(words.length)], // mov edx, length of the command line
    ...[0x41, 0xba, ...u32(text)], // mov r10d, the command line
    ...[0x45, 0x31, 0xc0], // xor r8d, r8d
    ...[0x0f, 0x05], // syscall
    ...[0x85, 0xc0], // test eax, eax
    ...[0x75, 0x19], // jnz over reboot
    ...[0xb8, ...u32(169)], // mov eax, reboot
    ...[0xbf, ...u32(0xfee1_dead)], // mov edi, first magic number
    ...[0xbe, ...u32(0x2812_1969)], // mov esi, second one
    ...[0xba, ...u32(0x4558_4543)], // mov edx, LINUX_REBOOT_CMD_KEXEC
    ...[0x45, 0x31, 0xd2], // xor r10d, r10d
    ...[0x0f, 0x05], // syscall
    ...[0xf7, 0xd8], // neg eax
    ...[0x89, 0xc7], // mov edi, eax
    ...[0xb8, ...u32(60)], // mov eax, exit
    ...[0x0f, 0x05], // syscall
  ];
  return staticProgram(code, words);
}
