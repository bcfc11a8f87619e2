import { assertEquals } from "@std/assert";
import {
  AARCH64_CODE,
  codeBytes,
  type CodeLine,
  routineOffset,
  X86_64_CODE,
} from "../../ffi/machine_code.ts";
import { mustIgnore } from "../doubles/skipped.ts";

const TOOLS = {
  x86_64: {
    code: X86_64_CODE,
    prefix: Deno.build.arch === "x86_64" ? "" : "x86_64-linux-gnu-",
    directives: ".intel_syntax noprefix\n",
    emulator: "qemu-x86_64",
  },
  aarch64: {
    code: AARCH64_CODE,
    prefix: Deno.build.arch === "aarch64" ? "" : "aarch64-linux-gnu-",
    directives: "",
    emulator: "qemu-aarch64",
  },
} as const;

function run(command: string, ...args: string[]): string {
  const { success, stdout, stderr } = new Deno.Command(command, { args })
    .outputSync();
  const text = new TextDecoder();
  if (!success) {
    throw new Error(
      `${command} failed: ${text.decode(stdout)}${text.decode(stderr)}`,
    );
  }
  return text.decode(stdout);
}

/** Names the first of some programs that this machine lacks. */
function missing(...programs: string[]): string | undefined {
  return programs.find((program) => {
    try {
      run(program, "--version");
      return false;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return true;
      throw error;
    }
  });
}

/** Defines a test that needs these programs. */
function testWith(programs: string[], name: string, body: () => void): void {
  const lacking = missing(...programs);
  Deno.test({
    name,
    ignore: mustIgnore(lacking && `${lacking} is not installed`),
    fn: body,
  });
}

function inDirectory(body: (directory: string) => void): void {
  const directory = Deno.makeTempDirSync({ prefix: "machine-code-" });
  try {
    body(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const hex = (code: readonly CodeLine[]) =>
  code.map(([source, bytes]) => `${source} | ${bytes}`);

for (const [arch, tools] of Object.entries(TOOLS)) {
  const { prefix, code, directives } = tools;
  testWith(
    [`${prefix}as`, `${prefix}objcopy`],
    `the bytes for ${arch} are those of the assembler`,
    () =>
      inDirectory((directory) => {
        const source = directives +
          code.map(([line]) => `${line}\n`).join("");
        Deno.writeTextFileSync(`${directory}/s`, source);
        run(`${prefix}as`, "-o", `${directory}/o`, `${directory}/s`);
        run(
          `${prefix}objcopy`,
          "-O",
          "binary",
          "-j",
          ".text",
          `${directory}/o`,
          `${directory}/b`,
        );
        const assembled = Deno.readFileSync(`${directory}/b`);
        let at = 0;
        const expected = code.map(([line, bytes]): CodeLine => {
          const end = at + bytes.length / 2;
          const part = assembled.subarray(at, end).toHex();
          at = end;
          return [line, part];
        });
        assertEquals(hex(code), hex(expected));
        assertEquals(at, assembled.length);
      }),
  );

  const isNative = Deno.build.arch === arch;
  testWith(
    [`${prefix}gcc`, ...isNative ? [] : [tools.emulator]],
    `the routines for ${arch} do what they should`,
    () =>
      inDirectory((directory) => {
        const program = `${directory}/harness`;
        Deno.writeFileSync(`${directory}/code`, codeBytes(code, 0n));
        Deno.writeTextFileSync(`${program}.c`, HARNESS);
        run(
          `${prefix}gcc`,
          "-static",
          "-Wall",
          "-Werror",
          "-o",
          program,
          `${program}.c`,
        );
        const args = [
          `${directory}/code`,
          ...(["bus", "interrupt", "helper"] as const)
            .map((routine) => String(routineOffset(code, routine))),
        ];
        const output = isNative
          ? run(program, ...args)
          : run(tools.emulator, program, ...args);
        assertEquals(output, "all right\n");
      }),
  );
}

/** A C program that has the kernel and a C compiler's code call the routines. */
const HARNESS = String.raw`
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(x) do { if (!(x)) { printf("failed: %s\n", #x); exit(1); } } while (0)

static uint64_t table[8 + 4 * 4] __attribute__((aligned(64)));
static volatile uint32_t *counts = (volatile uint32_t *)table;

static void previous(int number, siginfo_t *info, void *context) {
  _exit(number == SIGBUS && context ? 42 : 43);
}

static int file(size_t length) {
  int fd = syscall(SYS_memfd_create, "m", 0);
  CHECK(fd >= 0 && ftruncate(fd, length) == 0);
  return fd;
}

static int status_of(void (*body)(void)) {
  int status;
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) { body(); _exit(0); }
  waitpid(pid, &status, 0);
  return status;
}

static void fault_elsewhere(void) {
  int fd = file(4096);
  volatile char *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ftruncate(fd, 0);
  (void)m[0];
}

static void fault_elsewhere_by_default(void) {
  table[1] = 0;
  fault_elsewhere();
}

static void sent(void) { raise(SIGBUS); }

int main(int argc, char **argv) {
  CHECK(argc == 5);
  char *code = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  FILE *f = fopen(argv[1], "rb");
  CHECK(f && fread(code, 1, 65536, f) > 100);
  *(uint64_t *)code = (uint64_t)table;
  CHECK(mprotect(code, 65536, PROT_READ | PROT_EXEC) == 0);
  __builtin___clear_cache(code, code + 65536);

  table[1] = (uint64_t)previous;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = (void *)(code + atoi(argv[2]));
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  CHECK(sigaction(SIGBUS, &action, 0) == 0);

  size_t length = 64 * 4096;
  int fd = file(length);
  char *m = mmap(0, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  m[5 * 4096] = 7;
  uint64_t *slot = &table[8 + 4 * 2];
  slot[0] = (uint64_t)m; slot[1] = (uint64_t)m + length; slot[2] = 4096;
  counts[0] = 4;
  CHECK(m[5 * 4096] == 7 && counts[1] == 0);
  CHECK(ftruncate(fd, 0) == 0);
  CHECK(*(volatile char *)(m + 5 * 4096 + 9) == 0);
  CHECK(counts[1] == 1 && slot[3] == (uint64_t)m + 5 * 4096 + 9);
  memset(m, 1, length);
  CHECK(counts[1] == 1 && m[length - 1] == 1);

  CHECK(WEXITSTATUS(status_of(fault_elsewhere)) == 42);
  CHECK(WEXITSTATUS(status_of(sent)) == 42);
  int status = status_of(fault_elsewhere_by_default);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);

  memset(&action, 0, sizeof action);
  action.sa_handler = (void *)(code + atoi(argv[3]));
  CHECK(sigaction(SIGURG, &action, 0) == 0 && raise(SIGURG) == 0);

  int ends[2];
  CHECK(pipe(ends) == 0);
  uint64_t mask = 0;
  uint64_t batch[2 + 3 * 6] = {
    3, 0,
    SYS_rt_sigprocmask, SIG_BLOCK, 0, (uint64_t)&mask, 8, 0,
    SYS_close, ends[1], 0, 0, 0, 0,
    SYS_close, 12345, 0, 0, 0, 0,
  };
  void *(*helper)(void *) = (void *)(code + atoi(argv[4]));
  CHECK(helper(batch) == 0);
  CHECK(((uint32_t *)batch)[1] == 1);
  CHECK(batch[2] == 0 && batch[8] == 0 && (int64_t)batch[14] == -9);
  char byte;
  CHECK(read(ends[0], &byte, 1) == 0);
  puts("all right");
  return 0;
}
`;
