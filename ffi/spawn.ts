/**
 * Starting a process that goes on without this one.
 *
 * `Deno.Command` can neither choose `argv[0]` nor leave chosen fds open.
 *
 * @module
 */
import { I32, layout, LITTLE_ENDIAN } from "./layout.ts";
import { cString } from "./libc.ts";
import { O_RDWR } from "./files.ts";
import { OsError } from "./os_error.ts";

const SYMBOLS = {
  /**
   * int posix_spawn(pid_t *pid, const char *path, const
   * posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
   * char *const argv[], char *const envp[])
   */
  posixSpawn: {
    name: "posix_spawn",
    parameters: ["buffer", "buffer", "buffer", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  /** int posix_spawnattr_init(posix_spawnattr_t *attributes) */
  attributesInit: {
    name: "posix_spawnattr_init",
    parameters: ["buffer"],
    result: "i32",
  },
  /**
   * int posix_spawnattr_setflags(posix_spawnattr_t *attributes, short flags)
   */
  attributesSetFlags: {
    name: "posix_spawnattr_setflags",
    parameters: ["buffer", "i16"],
    result: "i32",
  },
  /** int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions) */
  actionsInit: {
    name: "posix_spawn_file_actions_init",
    parameters: ["buffer"],
    result: "i32",
  },
  /**
   * int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
   */
  actionsDestroy: {
    name: "posix_spawn_file_actions_destroy",
    parameters: ["buffer"],
    result: "i32",
  },
  /**
   * int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions,
   * int fd, const char *path, int flags, mode_t mode)
   */
  actionsAddOpen: {
    name: "posix_spawn_file_actions_addopen",
    parameters: ["buffer", "i32", "buffer", "i32", "u32"],
    result: "i32",
  },
  /**
   * int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions,
   * int fd, int newFd)
   */
  actionsAddDup2: {
    name: "posix_spawn_file_actions_adddup2",
    parameters: ["buffer", "i32", "i32"],
    result: "i32",
  },
  /** extern char **environ */
  environ: { type: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Apart, since each symbol takes time, and others wait for an end. */
const WAIT_SYMBOLS = {
  /** pid_t waitpid(pid_t pid, int *status, int options) */
  waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Since glibc 2.26: the process begins a session of its own. */
const POSIX_SPAWN_SETSID = 0x80;
/** More than either of glibc's two opaque structs takes (336 and 80 bytes). */
const OPAQUE_SIZE = 1024;
const PID = layout("pid_t", 4, [["pid", I32]]);
const WNOHANG = 1;

/** Options of a new process. */
interface SpawnOptions {
  /**
   * Fds that stay open in it, under the same numbers. Others are closed, as far
   * as they are close-on-exec.
   */
  readonly inherit?: readonly number[];
  /** Leaves standard error open too, for its last words. */
  readonly keepStandardError?: boolean;
  /** Leaves standard output open too. */
  readonly keepStandardOutput?: boolean;
}

/**
 * End of a process: its exit status, or the signal that ended it.
 *
 * **Safety**: plain data.
 */
export type ProcessEnd = { readonly status: number } | {
  readonly signal: number;
};

/**
 * Starts a program in a session of its own, without a terminal: its standard
 * streams are `/dev/null`. It does not depend on this process any more.
 *
 * @param path The program's file.
 * @param argv Its arguments, from `argv[0]` on.
 * @returns The process's number.
 * @throws {OsError} If it cannot be started (ENOENT, EACCES, EAGAIN, …).
 *
 * **Ownership**: the fds stay the caller's too, to close. **Safety**: strings
 * and arrays are kept until the call is over; libc copies what it needs.
 */
export function spawnDetached(
  path: string,
  argv: readonly string[],
  options: SpawnOptions = {},
): number {
  const libc = Deno.dlopen("libc.so.6", SYMBOLS);
  try {
    const {
      posixSpawn,
      attributesInit,
      attributesSetFlags,
      actionsInit,
      actionsDestroy,
      actionsAddOpen,
      actionsAddDup2,
      environ,
    } = libc.symbols;
    // These answer an error number instead of setting errno.
    const must = (error: number) => {
      if (error !== 0) throw new OsError("posix_spawn", error, path);
    };
    const attributes = new Uint8Array(OPAQUE_SIZE);
    const actions = new Uint8Array(OPAQUE_SIZE);
    must(attributesInit(attributes));
    must(attributesSetFlags(attributes, POSIX_SPAWN_SETSID));
    must(actionsInit(actions));
    try {
      const devNull = cString("/dev/null");
      const replaced = [
        0,
        ...(options.keepStandardOutput === true ? [] : [1]),
        ...(options.keepStandardError === true ? [] : [2]),
      ];
      for (const fd of replaced) {
        must(actionsAddOpen(actions, fd, devNull, O_RDWR, 0));
      }
      for (const fd of options.inherit ?? []) {
        // Onto itself: glibc takes that as "not close-on-exec" (2.29, POSIX
        // 2024).
        must(actionsAddDup2(actions, fd, fd));
      }
      const strings = argv.map((argument) => cString(argument));
      const pointers = new BigUint64Array(strings.length + 1);
      strings.forEach((string, i) => {
        pointers[i] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(string));
      });
      const pid = new Uint8Array(PID.size);
      must(
        posixSpawn(
          pid,
          cString(path),
          actions,
          attributes,
          pointers,
          // The symbol is the address of the variable, not its value.
          new Deno.UnsafePointerView(environ!).getPointer(),
        ),
      );
      return new DataView(pid.buffer).getInt32(PID.at.pid, LITTLE_ENDIAN);
    } finally {
      actionsDestroy(actions);
    }
  } finally {
    libc.close();
  }
}

/**
 * Takes note of the end of a process that {@linkcode spawnDetached} started, so
 * that nothing of it is left in the process table.
 *
 * @returns False while it runs.
 *
 * **Safety**: never waits. A number that is not that of a child of this process
 * counts as ended.
 */
export function reapChild(pid: number): boolean {
  return childEnd(pid) !== undefined;
}

/**
 * Returns the end of a process that {@linkcode spawnDetached} started, as
 * {@linkcode reapChild} takes note of it; undefined while it runs. A number that
 * is not that of a child of this process counts as ended with status 1.
 *
 * **Safety**: never waits.
 */
export function childEnd(pid: number): ProcessEnd | undefined {
  const libc = Deno.dlopen("libc.so.6", WAIT_SYMBOLS);
  try {
    const bytes = new Uint8Array(4);
    const result = libc.symbols.waitpid(pid, bytes, WNOHANG);
    if (result === 0) return undefined;
    if (result < 0) return { status: 1 };
    const word = new DataView(bytes.buffer).getInt32(0, LITTLE_ENDIAN);
    const signal = word & 0x7f;
    return signal === 0 ? { status: word >> 8 & 0xff } : { signal };
  } finally {
    libc.close();
  }
}
