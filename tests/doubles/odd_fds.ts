/**
 * Descriptors of every kind that a hostile frontend can hand over: ones whose
 * use, look or close waits, that are open for nothing, that are not what they
 * seem, or that change afterwards.
 *
 * @module
 */
import { createEventFd } from "../../ffi/event_fd.ts";
import {
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  openFile,
} from "../../ffi/files.ts";
import { watchDirectory } from "../../ffi/inotify.ts";
import { libc } from "../../ffi/libc.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { listenUnix, socketPair } from "../../ffi/unix_socket.ts";
import { LingeringSocket } from "./lingering_socket.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_ADD_SEALS = 1033;
const F_SEAL_ALL = 0x1f;
const EFD_SEMAPHORE = 1;
const PAGE = 4096;
const TIB = 2 ** 40;
const IN_CREATE = 0x100;
/** The largest count of an eventfd: a write must wait. */
const FULL = new Uint8Array(8).fill(0xff).with(0, 0xfe);

/** Duration of the close of a lingering socket. **Units**: seconds. */
const LINGER_S = 2;

/** A descriptor with what it is. */
export interface OddFd {
  readonly kind: string;
  readonly fd: number;
}

/**
 * One descriptor of each kind. **Ownership**: owns them and what is behind them.
 */
export class OddFds implements Disposable {
  /** The descriptors, in an order that never changes. */
  readonly all: readonly OddFd[];
  readonly #stack = new DisposableStack();

  /** Makes them. `directory` is for those that have names; it stays empty. */
  constructor(directory: string) {
    const all: OddFd[] = [];
    const add = (kind: string, owned: OwnedFd) => {
      this.#stack.use(owned);
      all.push({ kind, fd: owned.fd });
      return owned.fd;
    };
    try {
      this.#addNotifiers(add);
      this.#addMemory(add);
      this.#addSockets(add, directory);
      this.#addOthers(add, directory);
    } catch (error) {
      this.#stack.dispose();
      throw error;
    }
    this.all = all;
  }

  /** The descriptor of this kind. */
  of(kind: string): number {
    const found = this.all.find((each) => each.kind === kind);
    if (found === undefined) throw new RangeError(`no odd fd is "${kind}"`);
    return found.fd;
  }

  [Symbol.dispose](): void {
    this.#stack.dispose();
  }

  #addNotifiers(add: (kind: string, owned: OwnedFd) => number): void {
    const { eventfd, write } = libc();
    add("eventfd", createEventFd());
    add("blocking eventfd", new OwnedFd(eventfd(0, O_CLOEXEC), "eventfd"));
    const full = add("full blocking eventfd", createEventFd());
    write(full, FULL, FULL.length);
    makeBlocking(full);
    write(add("full eventfd", createEventFd()), FULL, FULL.length);
    add(
      "semaphore eventfd",
      new OwnedFd(
        eventfd(3, O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE),
        "eventfd",
      ),
    );
    for (const kind of ["full blocking pipe", "full pipe"]) {
      const [read, write] = pipe(O_NONBLOCK);
      add(`${kind}, read end`, read);
      add(kind, write);
      fill(write.fd);
      if (kind.includes("blocking")) makeBlocking(write.fd);
    }
    const [emptyRead, emptyWrite] = pipe(0);
    add("empty blocking pipe", emptyRead);
    add("empty blocking pipe, write end", emptyWrite);
    const [ended, closed] = pipe(O_NONBLOCK);
    closed.close();
    add("ended pipe", ended);
    const [unread, broken] = pipe(O_NONBLOCK);
    unread.close();
    add("broken pipe", broken);
  }

  #addMemory(add: (kind: string, owned: OwnedFd) => number): void {
    const { fcntl, ftruncate } = libc();
    add("tiny memory", createMemFd("tiny", 16));
    add("empty memory", createMemFd("empty", 0));
    add("huge memory", createMemFd("huge", TIB));
    add("one page", createMemFd("page", PAGE));
    ftruncate(add("truncated memory", createMemFd("cut", 64 * PAGE)), 0n);
    const sealed = add("sealed memory", createMemFd("sealed", 64 * PAGE));
    fcntl(sealed, F_ADD_SEALS, F_SEAL_ALL);
    const memory = add("memory", createMemFd("memory", 256 * PAGE));
    add("read-only memory", openFile(`/proc/self/fd/${memory}`, O_RDONLY));
    add("path of memory", openFile(`/proc/self/fd/${memory}`, O_PATH));
  }

  #addSockets(
    add: (kind: string, owned: OwnedFd) => number,
    directory: string,
  ): void {
    const [one, other] = socketPair();
    add("socket", one);
    add("socket, other end", other);
    const [full, unread] = socketPair();
    add("full blocking socket", full);
    add("full blocking socket, other end", unread);
    while (send(full.fd, new Uint8Array(PAGE)) > 0) { /* until it is full */ }
    makeBlocking(full.fd);
    const [ended, closed] = socketPair();
    closed.close();
    add("ended socket", ended);
    add("listening socket", listenUnix(`${directory}/listening`));
    Deno.removeSync(`${directory}/listening`);
    add(
      "datagram socket",
      new OwnedFd(libc().socket(AF_INET, SOCK_DGRAM, 0), "UDP"),
    );
    const lingering = this.#stack.use(new LingeringSocket(LINGER_S));
    add("lingering socket", lingering.socket);
  }

  #addOthers(
    add: (kind: string, owned: OwnedFd) => number,
    directory: string,
  ): void {
    const file = `${directory}/file`;
    const regular = add("file", openFile(file, O_RDWR | O_CREAT, 0o600));
    libc().ftruncate(regular, BigInt(64 * PAGE));
    add("path of a file", openFile(file, O_PATH));
    Deno.removeSync(file);
    const fifo = `${directory}/fifo`;
    new Deno.Command("mkfifo", { args: [fifo] }).outputSync();
    add("FIFO", openFile(fifo, O_RDWR));
    add("path of a FIFO", openFile(fifo, O_PATH));
    Deno.removeSync(fifo);
    add("directory", openFile("/", O_RDONLY | O_DIRECTORY));
    add("path of a directory", openFile("/", O_PATH));
    add("null device", openFile("/dev/null", O_RDWR));
    add("zero device", openFile("/dev/zero", O_RDWR));
    add("random device", openFile("/dev/urandom", O_RDONLY));
    add("own memory", openFile("/proc/self/mem", O_RDONLY));
    add("process file", openFile("/proc/self/stat", O_RDONLY));
    add("epoll", new OwnedFd(libc().epollCreate1(O_CLOEXEC), "epoll"));
    add("inotify", watchDirectory(directory, IN_CREATE));
  }
}

function pipe(flags: number): [read: OwnedFd, write: OwnedFd] {
  const fds = new Int32Array(2);
  if (libc().pipe2(new Uint8Array(fds.buffer), O_CLOEXEC | flags) !== 0) {
    throw new Error("cannot make a pipe");
  }
  return [new OwnedFd(fds[0]!, "a pipe"), new OwnedFd(fds[1]!, "a pipe")];
}

/** Writes until no more fits in. */
function fill(fd: number): void {
  const piece = new Uint8Array(PAGE);
  while (libc().write(fd, piece, piece.length) > 0) { /* more */ }
}

function makeBlocking(fd: number): void {
  const { fcntl } = libc();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
}
