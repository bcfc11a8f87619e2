/**
 * A kernel with GPIO chips, for unit tests: the C library's functions of this
 * isolate see device files, sysfs and line requests of chips that do not exist.
 *
 * Everything above `libc()` runs as it does with real chips. Files are real:
 * device files and sysfs stand in a temporary directory to which paths are led,
 * an open chip or request is a socket pair, so that poll, epoll, inotify,
 * passing and closing of fds are the kernel's own. Only the ioctls are played,
 * in `ioctls.ts`; `kernel_contract_test.ts` is run on the double as it is on
 * gpio-sim, but for debouncing: edges are reported at once here.
 *
 * @module
 */
import { EAGAIN, EINVAL, ENODEV, ENXIO } from "../../../ffi/errno.ts";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { O_PATH } from "../../../ffi/files.ts";
import { GPIO_IOCTLS } from "../../../ffi/gpio_ioctl.ts";
import { LINE_EVENT, LINE_INFO_CHANGED } from "../../../ffi/gpio_v2.ts";
import { cString, libc } from "../../../ffi/libc.ts";
import { POLLHUP } from "../../../ffi/poll.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { ChipDouble } from "./chip_double.ts";
import { addDriver, writeAttribute } from "./attributes.ts";
import { answerIoctl, type Host, release } from "./ioctls.ts";
import { FileTree, MAJOR, showDevices } from "./file_tree.ts";
import {
  identity,
  STATX_ALL,
  STATX_BYTES,
  STX_MODE,
  STX_RDEV_MAJOR,
  STX_RDEV_MINOR,
} from "./file_identity.ts";
import { type FileState, type KernelState, SharedState } from "./state.ts";

const AT_EMPTY_PATH = 0x1000;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
const S_IFCHR = 0o020000;
const O_CLOEXEC = 0o2000000;
/** Limit of the start of a child process. **Units**: ms. */
const START_LIMIT_MS = 1000;

const decoder = new TextDecoder();
const NAMES = [
  "close",
  "getdents64",
  "inotifyAddWatch",
  "ioctl",
  "open",
  "read",
  "readlink",
  "realpath",
  "statx",
  "write",
] as const;
type Name = typeof NAMES[number];
// deno-lint-ignore no-explicit-any
type Functions = Record<Name, (...args: any[]) => any>;

/** A chip that is wanted. */
export interface ChipOptions {
  readonly lines: number;
  readonly label?: string;
  readonly names?: Readonly<Record<number, string>>;
  readonly hogs?: Readonly<Record<number, string>>;
  /** Directory of the device below `/sys/devices`: `platform/gpio-sim.0`. */
  readonly device?: string;
}

/** Address of the double for another isolate: a Worker joins it with this. */
export interface KernelAddress {
  readonly root: string;
  readonly stateFd: number;
}

let active: GpioKernel | undefined;

/** The double of this isolate; undefined if it sees the real kernel. */
export function activeKernel(): GpioKernel | undefined {
  return active;
}

/** The kernel double. **Ownership**: `using` gives the real one back. */
export class GpioKernel implements Disposable {
  readonly #state: SharedState;
  readonly #tree: FileTree;
  readonly #isOwner: boolean;
  readonly #real: Functions;
  readonly #errno: Int32Array;
  readonly #host: Host;

  private constructor(root: string, state: SharedState, isOwner: boolean) {
    const library = libc();
    this.#tree = new FileTree(root);
    this.#state = state;
    this.#isOwner = isOwner;
    this.#errno = new Int32Array(
      Deno.UnsafePointerView.getArrayBuffer(library.errnoLocation()!, 4),
    );
    this.#real = Object.fromEntries(
      NAMES.map((name) => [name, library[name]]),
    ) as Functions;
    this.#host = {
      openRequest: (state, file) => this.#openFile(state, file),
      wake: (file) => this.#wake(file),
    };
    this.#replace(this.#functions());
    active = this;
  }

  /** Begins with a kernel without chips, for this isolate. */
  static install(): GpioKernel {
    const { root } = FileTree.make();
    return new GpioKernel(root, SharedState.create(), true);
  }

  /** Shares the kernel that another isolate of this process has installed. */
  static join({ root, stateFd }: KernelAddress): GpioKernel {
    return new GpioKernel(root, SharedState.join(stateFd), false);
  }

  /** Key with which a Worker joins. */
  get address(): KernelAddress {
    return { root: this.#tree.root, stateFd: this.#state.fd };
  }

  /** Directory that stands for `/`. */
  get root(): string {
    return this.#tree.root;
  }

  /** Makes a chip. */
  addChip(options: ChipOptions): ChipDouble {
    const index = this.#state.update((state) => {
      const index = state.chips.length;
      const lines = Array.from({ length: options.lines }, (_, offset) => ({
        name: options.names?.[offset] ?? "",
        hog: options.hogs?.[offset] ?? "",
        holder: "",
        flags: 0,
        debounceUs: 0,
        driven: 0,
        pull: 0,
        level: 0,
        lineSeqno: 0,
      }));
      const device = options.device ?? `platform/gpio-sim.${index}`;
      const label = options.label ?? `${device.split("/").at(-1)}-node0`;
      state.chips.push({ number: -1, label, device, isPlugged: false, lines });
      return index;
    });
    const chip = new ChipDouble(this, index);
    chip.plug();
    return chip;
  }

  /**
   * Lets an ioctl be refused.
   *
   * @param name Its name in `linux/gpio.h`.
   * @param after Calls that succeed before.
   */
  refuse(name: string, errno: number, times = 1, after = 0): void {
    const ioctl = GPIO_IOCTLS[name];
    if (ioctl === undefined) throw new Error(`no ioctl is called ${name}`);
    this.#state.update((state) => {
      state.failures = state.failures.filter(({ left }) => left > 0);
      if (times > 0) {
        state.failures.push({ ioctl, errno, left: times, after });
      }
    });
  }

  /** Ends all refusals. */
  accept(): void {
    this.#state.update((state) => {
      state.failures = [];
    });
  }

  /** Adds the kernel's gpio-aggregator, with its sysfs interface. */
  addAggregatorDriver(): void {
    addDriver(this.#tree.root);
  }

  /** Looks at the state. */
  look(): KernelState {
    this.#reap();
    return this.#state.look();
  }

  /** Changes the state. */
  change<T>(change: (state: KernelState, host: Host) => T): T {
    return this.#state.update((state) => change(state, this.#host));
  }

  /** Makes the device file and the directory of a chip. */
  plug(index: number): void {
    this.#state.update((state) => {
      const chip = state.chips[index]!;
      const used = state.chips.filter(({ isPlugged }) => isPlugged)
        .map(({ number }) => number);
      chip.number = 0;
      while (used.includes(chip.number)) chip.number++;
      chip.isPlugged = true;
      this.#tree.addChip(chip, (node) => {
        state.nodes[this.#findIdentity(node)!.key] = chip.number;
      });
    });
  }

  /** Takes a chip away from under its users. */
  unplug(index: number): void {
    this.#state.update((state) => {
      const chip = state.chips[index]!;
      chip.isPlugged = false;
      for (const line of chip.lines) {
        Object.assign(line, { holder: "", flags: 0, pull: 0, level: 0 });
      }
      for (const file of Object.values(state.files)) {
        if (file.chip !== index) continue;
        file.chip = -1;
        this.#real.close(file.peer);
        file.peer = -1;
      }
      delete state.nodes[this.#findIdentity(this.#tree.findNode(chip))!.key];
      this.#tree.removeChip(chip);
    });
  }

  [Symbol.dispose](): void {
    if (active !== this) return;
    active = undefined;
    this.#replace(this.#real);
    if (this.#isOwner) {
      for (const { peer } of Object.values(this.#state.look().files)) {
        if (peer >= 0) this.#real.close(peer);
      }
      this.#real.close(this.#state.fd);
      Deno.removeSync(this.#tree.root, { recursive: true });
    }
    this.#state[Symbol.dispose]();
  }

  #replace(functions: Functions): void {
    for (const name of NAMES) {
      Object.defineProperty(libc(), name, {
        configurable: true,
        value: functions[name],
      });
    }
  }

  #fail(errno: number): number {
    this.#errno[0] = errno;
    return -1;
  }

  /** Device and inode of a path or an fd, and its mode. */
  #findIdentity(
    file: string | number,
  ): { key: string; mode: number } | undefined {
    const bytes = new Uint8Array(STATX_BYTES);
    const isFd = typeof file === "number";
    const result = this.#real.statx(
      isFd ? file : -100,
      cString(isFd ? "" : file),
      isFd ? AT_EMPTY_PATH : 0,
      STATX_ALL,
      bytes,
    );
    return result < 0 ? undefined : identity(bytes);
  }

  /** One of the double's open files. */
  #findFile(fd: number): string | undefined {
    const found = this.#findIdentity(fd);
    if (found === undefined || (found.mode & S_IFMT) !== S_IFSOCK) {
      return undefined;
    }
    return this.#state.look().files[found.key] === undefined
      ? undefined
      : found.key;
  }

  #openFile(
    state: KernelState,
    file: Omit<FileState, "peer" | "queue" | "watched">,
  ): { fd: number; key: string } {
    const [mine, theirs] = socketPair();
    const fd = theirs.release();
    const { key } = this.#findIdentity(fd)!;
    state.files[key] = {
      ...file,
      peer: mine.release(),
      queue: [],
      watched: [],
    };
    return { fd, key };
  }

  #wake({ queue, peer }: FileState): void {
    if (queue.length !== 1 || peer < 0) return;
    this.#real.write(peer, new Uint8Array(1), 1);
  }

  /**
   * A file that was just closed here may still be open in a child process that
   * another test is starting: waits until that has become its program.
   */
  #waitForChildren(key: string): void {
    const peer = this.#state.look().files[key]?.peer ?? -1;
    if (peer < 0 || hasHungUp(peer)) return;
    const hasCopy = listDirectory("/proc/self/fd")
      .some((fd) => this.#findIdentity(Number(fd))?.key === key);
    if (!hasCopy) hasHungUp(peer, START_LIMIT_MS);
  }

  /** Releases what was closed everywhere. */
  #reap(): void {
    const closed = Object.entries(this.#state.look().files)
      .filter(([, { peer }]) => peer >= 0 && hasHungUp(peer));
    if (closed.length === 0) return;
    this.#state.update((state) => {
      for (const [key, { peer }] of closed) {
        // Another isolate may have been first.
        if (state.files[key]?.peer !== peer) continue;
        this.#real.close(peer);
        release(state, this.#host, key);
      }
    });
  }

  #functions(): Functions {
    const real = this.#real;
    const led = (name: Uint8Array) =>
      cString(this.#tree.mapped(decodeText(name)));
    return {
      close: (fd: number) => {
        const key = this.#findFile(fd);
        const result = real.close(fd);
        if (key === undefined) return result;
        this.#waitForChildren(key);
        this.#reap();
        return result;
      },
      getdents64: (fd: number, target: Uint8Array, length: number) => {
        const count = real.getdents64(fd, target, length);
        const path = this.#findLink(fd);
        if (count > 0 && path?.startsWith(`${this.#tree.root}/dev`) === true) {
          showDevices(target, count);
        }
        return count;
      },
      inotifyAddWatch: (fd: number, name: Uint8Array, mask: number) =>
        real.inotifyAddWatch(fd, led(name), mask),
      ioctl: (fd: number, number: number, bytes: Uint8Array) => {
        const key = this.#findFile(fd);
        if (key === undefined) return real.ioctl(fd, number, bytes);
        this.#reap();
        const result = this.#state.update((state) =>
          answerIoctl(state, this.#host, key, number, bytes)
        );
        return result < 0 ? this.#fail(-result) : 0;
      },
      open: (name: Uint8Array, flags: number, mode: number) =>
        this.#open(decodeText(name), flags, mode),
      read: (fd: number, target: Uint8Array, length: number) => {
        const key = this.#findFile(fd);
        return key === undefined
          ? real.read(fd, target, length)
          : this.#read(fd, key, target, length);
      },
      readlink: (name: Uint8Array, target: Uint8Array, length: number) => {
        const path = decodeText(name);
        const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(path)?.[1];
        const key = fd === undefined ? undefined : this.#findFile(Number(fd));
        const file = key === undefined
          ? undefined
          : this.#state.look().files[key];
        if (file?.request !== undefined) {
          return put(target, "anon_inode:gpio-line");
        }
        const count = real.readlink(led(name), target, length);
        if (count < 0) return count;
        return put(
          target,
          this.#tree.shown(decoder.decode(target.subarray(0, count))),
        );
      },
      realpath: (name: Uint8Array, target: Uint8Array) => {
        const result = real.realpath(led(name), target);
        if (result !== null) {
          put(target, this.#tree.shown(decodeText(target)) + "\0");
        }
        return result;
      },
      statx: (
        directory: number,
        name: Uint8Array,
        flags: number,
        mask: number,
        target: Uint8Array,
      ) => {
        const result = real.statx(directory, led(name), flags, mask, target);
        if (result < 0) return result;
        const { key, mode } = identity(target);
        const minor = this.#state.look().nodes[key];
        if (minor === undefined) return result;
        const view = new DataView(target.buffer, target.byteOffset);
        view.setUint16(STX_MODE, mode & ~S_IFMT | S_IFCHR, true);
        view.setUint32(STX_RDEV_MAJOR, MAJOR, true);
        view.setUint32(STX_RDEV_MINOR, minor, true);
        return result;
      },
      write: (fd: number, bytes: Uint8Array, length: number) =>
        this.#write(fd, bytes, length),
    };
  }

  /** A write to an attribute of a driver does what it says. */
  #write(fd: number, bytes: Uint8Array, length: number): number {
    const path = this.#findLink(fd);
    if (path?.startsWith(`${this.#tree.root}/sys/`) !== true) {
      return this.#real.write(fd, bytes, length);
    }
    const text = decoder.decode(bytes.subarray(0, length)).trim();
    const errno = writeAttribute(this, this.#tree.shown(path), text);
    return errno === 0 ? length : this.#fail(errno);
  }

  #findLink(fd: number): string | undefined {
    const target = new Uint8Array(4096);
    const count = this.#real.readlink(
      cString(`/proc/self/fd/${fd}`),
      target,
      target.length,
    );
    return count < 0 ? undefined : decoder.decode(target.subarray(0, count));
  }

  #open(path: string, flags: number, mode: number): number {
    const info = /^\/proc\/self\/fdinfo\/(\d+)$/.exec(path)?.[1];
    if (info !== undefined) {
      const text = this.#fdInfo(Number(info));
      if (text !== undefined) {
        const copy = `${this.#tree.root}/fdinfo`;
        Deno.writeTextFileSync(copy, text);
        return this.#real.open(cString(copy), flags, mode);
      }
    }
    const there = cString(this.#tree.mapped(path));
    if ((flags & O_PATH) === 0 && /^\/(dev|proc\/self\/fd)\//.test(path)) {
      const probe = this.#real.open(there, O_PATH | O_CLOEXEC, 0);
      if (probe >= 0) {
        const { key } = this.#findIdentity(probe)!;
        this.#real.close(probe);
        const minor = this.#state.look().nodes[key];
        if (minor !== undefined) return this.#openChip(minor);
      }
    }
    return this.#real.open(there, flags, mode);
  }

  #openChip(number: number): number {
    return this.#state.update((state) => {
      const chip = state.chips.findIndex((chip) =>
        chip.isPlugged && chip.number === number
      );
      if (chip < 0) return this.#fail(ENXIO);
      return this.#openFile(state, { chip, queueLength: 32 }).fd;
    });
  }

  #fdInfo(fd: number): string | undefined {
    const key = this.#findFile(fd);
    if (key === undefined) return undefined;
    const { files, chips } = this.#state.look();
    const { chip, request } = files[key]!;
    const name = chip < 0 ? "" : `gpiochip${chips[chip]!.number}`;
    const lines = request?.offsets.map((offset) => `gpio-line:\t${offset}\n`);
    return `pos:\t0\ngpio-chip:\t${name}\n${lines?.join("") ?? ""}`;
  }

  #read(fd: number, key: string, target: Uint8Array, length: number): number {
    return this.#state.update((state) => {
      const file = state.files[key]!;
      if (file.chip < 0) return this.#fail(ENODEV);
      const size = file.request === undefined
        ? LINE_INFO_CHANGED.size
        : LINE_EVENT.size;
      const count = Math.min(Math.floor(length / size), file.queue.length);
      if (file.queue.length === 0) return this.#fail(EAGAIN);
      if (count === 0) return this.#fail(EINVAL);
      for (const [i, record] of file.queue.splice(0, count).entries()) {
        target.set(Uint8Array.fromHex(record), i * size);
      }
      if (file.queue.length === 0) this.#real.read(fd, new Uint8Array(64), 64);
      return count * size;
    });
  }
}

function decodeText(name: Uint8Array): string {
  return decoder.decode(name.subarray(0, name.indexOf(0)));
}

function put(target: Uint8Array, text: string): number {
  const bytes = new TextEncoder().encode(text);
  target.set(bytes);
  return bytes.length;
}

function hasHungUp(fd: number, timeoutMs = 0): boolean {
  const word = new Int32Array([fd, 0]);
  return libc().poll(word, 1, timeoutMs) > 0 &&
    (word[1]! >>> 16 & POLLHUP) !== 0;
}
