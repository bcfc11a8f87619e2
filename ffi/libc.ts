/**
 * The C library, opened once and only when it is first needed, and `errno`.
 *
 * How the declarations are to be read:
 *
 * - Variadic functions (`open`, `fcntl`, `ioctl`, `prctl`) are declared with
 *   fixed parameters. That is right on the two supported targets, and only
 *   there: the x86_64 System V ABI and AAPCS64 on Linux pass integer and
 *   pointer arguments of a variadic function in the same registers as those of
 *   an ordinary one (x86_64 also wants the number of vector registers in AL,
 *   which only floating-point arguments make matter). Apple's arm64, which puts
 *   them on the stack, is not a target.
 * - `size_t` and `ssize_t` are declared as 32-bit where calls are frequent,
 *   because V8's fast calls take no 64-bit integers (a call costs about 5 ns
 *   with 32-bit ones and 110 ns without). The callee reads a whole register; on
 *   both targets an instruction that writes the lower half clears the upper.
 *   Counts here are small constants and buffer lengths, results never pass
 *   2^31, and a negative `ssize_t` is negative as an `i32` too.
 * - `unsigned long request` of `ioctl` is a `u32`: the kernel looks at 32 bits.
 *
 * @module
 */
import { OsError } from "./os_error.ts";

const SYMBOLS = {
  /** int *__errno_location(void) */
  errnoLocation: {
    name: "__errno_location",
    parameters: [],
    result: "pointer",
  },

  /** int open(const char *path, int flags, mode_t mode); variadic */
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  /** int close(int fd) */
  close: { parameters: ["i32"], result: "i32" },
  /** ssize_t read(int fd, void *buffer, size_t count) */
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** ssize_t write(int fd, const void *buffer, size_t count) */
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int fcntl(int fd, int command, int argument); variadic */
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int ioctl(int fd, unsigned long request, void *argument); variadic */
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  /** int prctl(int option, unsigned long argument, ...); variadic */
  prctl: { parameters: ["i32", "usize", "usize", "usize"], result: "i32" },
  /** int getpriority(int which, id_t who) */
  getpriority: { parameters: ["i32", "u32"], result: "i32" },
  /** int setpriority(int which, id_t who, int value) */
  setpriority: { parameters: ["i32", "u32", "i32"], result: "i32" },
  /** int fchmod(int fd, mode_t mode) */
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  /** int chmod(const char *path, mode_t mode) */
  chmod: { parameters: ["buffer", "u32"], result: "i32" },
  /** ssize_t readlink(const char *path, char *buffer, size_t size) */
  readlink: { parameters: ["buffer", "buffer", "u32"], result: "i32" },
  /** char *realpath(const char *path, char resolved[PATH_MAX]) */
  realpath: { parameters: ["buffer", "buffer"], result: "pointer" },
  /** int statx(int dir, const char *path, int flags, unsigned mask, struct statx *result) */
  statx: {
    parameters: ["i32", "buffer", "i32", "u32", "buffer"],
    result: "i32",
  },
  /** ssize_t getdents64(int fd, void *buffer, size_t length) */
  getdents64: { parameters: ["i32", "buffer", "u32"], result: "i32" },

  /** int poll(struct pollfd *fds, nfds_t count, int timeoutMs) */
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  /** int epoll_create1(int flags) */
  epollCreate1: { name: "epoll_create1", parameters: ["i32"], result: "i32" },
  /** int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event) */
  epollCtl: {
    name: "epoll_ctl",
    parameters: ["i32", "i32", "i32", "buffer"],
    result: "i32",
  },
  /** int epoll_wait(int epfd, struct epoll_event *events, int max, int timeoutMs) */
  epollWait: {
    name: "epoll_wait",
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
  },
  /** The same on a thread of its own, for waits that must not stop the isolate. */
  epollWaitElsewhere: {
    name: "epoll_wait",
    parameters: ["i32", "buffer", "i32", "i32"],
    result: "i32",
    nonblocking: true,
  },
  /** int eventfd(unsigned initial, int flags) */
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  /** int inotify_init1(int flags) */
  inotifyInit1: {
    name: "inotify_init1",
    parameters: ["i32"],
    result: "i32",
  },
  /** int inotify_add_watch(int fd, const char *path, uint32_t mask) */
  inotifyAddWatch: {
    name: "inotify_add_watch",
    parameters: ["i32", "buffer", "u32"],
    result: "i32",
  },

  /** int memfd_create(const char *name, unsigned flags) */
  memfdCreate: {
    name: "memfd_create",
    parameters: ["buffer", "u32"],
    result: "i32",
  },
  /** int ftruncate(int fd, off_t length) */
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  /** void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) */
  mmap: {
    parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"],
    result: "pointer",
  },
  /** int munmap(void *address, size_t length) */
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  /** int mprotect(void *address, size_t length, int protection) */
  mprotect: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  /** int sigaction(int signal, const struct sigaction *action, struct sigaction *old) */
  sigaction: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** syscall(SYS_timer_create, clockid_t clock, struct sigevent *event, timer_t *timer) */
  timerCreate: {
    name: "syscall",
    parameters: ["i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** syscall(SYS_timer_settime, timer_t timer, int flags, const struct itimerspec *new, NULL) */
  timerSettime: {
    name: "syscall",
    parameters: ["i32", "i32", "i32", "buffer", "pointer"],
    result: "i32",
  },
  /** syscall(SYS_gettid): the C library has a function of its own from 2.30 on */
  gettid: { name: "syscall", parameters: ["i32"], result: "i32" },
  /** int pthread_attr_init(pthread_attr_t *attributes) */
  pthreadAttrInit: {
    name: "pthread_attr_init",
    parameters: ["buffer"],
    result: "i32",
  },
  /** int pthread_attr_setdetachstate(pthread_attr_t *attributes, int state) */
  pthreadAttrSetdetachstate: {
    name: "pthread_attr_setdetachstate",
    parameters: ["buffer", "i32"],
    result: "i32",
  },
  /** int pthread_attr_setstacksize(pthread_attr_t *attributes, size_t size) */
  pthreadAttrSetstacksize: {
    name: "pthread_attr_setstacksize",
    parameters: ["buffer", "usize"],
    result: "i32",
  },
  /** int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) */
  pthreadCreate: {
    name: "pthread_create",
    parameters: ["buffer", "buffer", "pointer", "pointer"],
    result: "i32",
  },
  /** int pipe2(int fds[2], int flags) */
  pipe2: { parameters: ["buffer", "i32"], result: "i32" },
  /** int mincore(void *address, size_t length, unsigned char *vec) */
  mincore: { parameters: ["usize", "usize", "buffer"], result: "i32" },
  /** int madvise(void *address, size_t length, int advice) */
  madvise: { parameters: ["pointer", "usize", "i32"], result: "i32" },
  /** int mallopt(int param, int value) */
  mallopt: { parameters: ["i32", "i32"], result: "i32" },

  /** int socket(int domain, int type, int protocol) */
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  /** int socketpair(int domain, int type, int protocol, int fds[2]) */
  socketpair: { parameters: ["i32", "i32", "i32", "buffer"], result: "i32" },
  /** int bind(int fd, const struct sockaddr *address, socklen_t length) */
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int shutdown(int fd, int how) */
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  /** int listen(int fd, int backlog) */
  listen: { parameters: ["i32", "i32"], result: "i32" },
  /** int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags) */
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  /** int connect(int fd, const struct sockaddr *address, socklen_t length) */
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  /** int getsockname(int fd, struct sockaddr *address, socklen_t *length) */
  getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  /** int getsockopt(int fd, int level, int option, void *value, socklen_t *length) */
  getsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "buffer"],
    result: "i32",
  },
  /** int setsockopt(int fd, int level, int option, const void *value, socklen_t length) */
  setsockopt: {
    parameters: ["i32", "i32", "i32", "buffer", "u32"],
    result: "i32",
  },
  /** ssize_t recv(int fd, void *buffer, size_t length, int flags) */
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  /** ssize_t recvmsg(int fd, struct msghdr *message, int flags) */
  recvmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  /** ssize_t sendmsg(int fd, const struct msghdr *message, int flags) */
  sendmsg: { parameters: ["i32", "buffer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * The C library's functions, as declared in this file.
 *
 * **Safety**: every one of them takes fds and memory on trust.
 */
type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/**
 * Threads have a library of their own before glibc 2.34, and an empty one that
 * leads to the C library after it.
 */
const THREADS = "libpthread.so.0";

let symbols: Libc | undefined;
let errnoWord: Int32Array | undefined;

/**
 * The functions, each opened when it is first used: making a fast call costs
 * V8 half a millisecond per function, and a short program needs only a few.
 */
function lazySymbols(): Libc {
  const lazy = {};
  for (const [name, declaration] of Object.entries(SYMBOLS)) {
    const open = () => {
      const file = name.startsWith("pthread") ? THREADS : "libc.so.6";
      const library = Deno.dlopen(file, { [name]: declaration });
      const value = library.symbols[name];
      Object.defineProperty(lazy, name, { value });
      return value;
    };
    Object.defineProperty(lazy, name, { configurable: true, get: open });
  }
  return lazy as Libc;
}

/**
 * The C library, opened when one of its functions is first used and kept for the
 * isolate's life.
 *
 * Needs `--allow-ffi`. (`--allow-ffi=libc.so.6` does not do: Deno takes that
 * for a path.)
 *
 * @throws {Deno.errors.NotCapable} Without the permission.
 *
 * **Safety**: importing this module has no effect; the functions returned check
 * nothing. An empty typed array reaches C as NULL.
 */
export function libc(): Libc {
  return symbols ?? open();
}

function open(): Libc {
  const opened = lazySymbols();
  // Before any call can fail: finding it later could change it.
  const location = opened.errnoLocation();
  if (location === null) {
    throw new Error("Cannot find errno: __errno_location returned NULL");
  }
  errnoWord = new Int32Array(
    Deno.UnsafePointerView.getArrayBuffer(location, 4),
  );
  symbols = opened;
  return opened;
}

/**
 * The error number that the last failed call of this thread left.
 *
 * To be read straight after a *synchronous* call that reported a failure, before
 * any other call; after a `nonblocking` one it means nothing, since that ran on
 * another thread.
 *
 * **Safety**: an isolate stays on one thread, and so does its `errno`: its
 * address is asked for once, and reading it is one load from memory that no
 * other call can come before.
 */
export function lastErrno(): number {
  if (errnoWord === undefined) open();
  return Atomics.load(errnoWord!, 0);
}

/**
 * Passes a call's result through, and turns a negative one into an error.
 *
 * @param result What the call returned.
 * @param syscall The call's name.
 * @param subject What it was about.
 * @throws {OsError} If `result` is negative.
 *
 * **Safety**: reads `errno`: call it with the call itself as the argument, so
 * that nothing comes in between.
 */
export function check(
  result: number,
  syscall: string,
  subject: string,
): number {
  if (result < 0) throw new OsError(syscall, lastErrno(), subject);
  return result;
}

const encoder = new TextEncoder();

/**
 * A string as C wants it: UTF-8 and NUL-terminated.
 *
 * @throws {TypeError} If the string has a NUL inside, which would cut it short.
 *
 * **Safety**: the bytes live as long as the caller keeps them.
 */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) {
    throw new TypeError(
      `Cannot pass ${JSON.stringify(text)} to the kernel: it has a NUL inside`,
    );
  }
  return encoder.encode(text + "\0");
}
