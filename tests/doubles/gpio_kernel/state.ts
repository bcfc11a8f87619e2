/**
 * State of the GPIO kernel double: in shared memory, so that Workers see the
 * same chips as the test.
 *
 * @module
 */
import { libc } from "../../../ffi/libc.ts";
import { Mapping } from "../../../ffi/mapping.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import { pollReadable } from "../../../ffi/poll.ts";

/** A line of a chip. */
export interface LineState {
  readonly name: string;
  /** Consumer inside the kernel, if the line is hogged. */
  hog: string;
  /** Key of the request that holds the line; empty if it is free. */
  holder: string;
  /** Word of `LineFlag`s, without Used. */
  flags: number;
  debounceUs: number;
  /** Level that an output was given last. */
  driven: number;
  /** Level that the line is pulled to. */
  pull: number;
  /** Level of the wire; as in gpio-sim, an input keeps what was driven. */
  level: number;
  /** Events of the request that holds it. */
  lineSeqno: number;
}

/** A chip, also while it is unplugged. */
export interface ChipState {
  number: number;
  readonly label: string;
  /** Directory of the device below `/sys/devices`. */
  readonly device: string;
  isPlugged: boolean;
  readonly lines: LineState[];
}

/** An open chip, or a line request. */
export interface FileState {
  /** Index of the chip; -1 once it was unplugged. */
  chip: number;
  /** The double's end of the socket pair that stands for the file. */
  peer: number;
  /** Records that are read from it, each in hexadecimal. */
  readonly queue: string[];
  readonly queueLength: number;
  /** Set for a request, absent for a chip. */
  readonly request?: {
    readonly offsets: readonly number[];
    readonly consumer: string;
    seqno: number;
  };
  /** Offsets whose info is watched through this chip. */
  watched: number[];
}

/** An ioctl that is refused. */
export interface Failure {
  readonly ioctl: number;
  readonly errno: number;
  /** Calls that succeed before. */
  after: number;
  /** Calls that fail. */
  left: number;
}

/** Everything that the double knows. */
export interface KernelState {
  readonly chips: ChipState[];
  /** Open files by their identity (device and inode). */
  readonly files: Record<string, FileState>;
  /** Minor numbers of device files, by their identity. */
  readonly nodes: Record<string, number>;
  failures: Failure[];
}

const BYTES = 1 << 20;
const LOCK = 0;
const VERSION = 1;
const LENGTH = 2;
const TEXT_AT = 16;

/** Tries to take the lock without a pause; further ones are 1 ms apart. */
const SPINS = 20;
/** Tries after which a holder that has changed nothing meanwhile is taken for dead. */
const LOOKS_AT_HOLDER = 2000;
/** Tries until the lock is given up. */
const MAX_TRIES = 60_000;

/** Number of the system call "gettid". */
const NR_GETTID = Deno.build.arch === "aarch64" ? 178 : 186;

/** The state, and who may change it. **Ownership**: of its mapping. */
export class SharedState implements Disposable {
  /** Memory that other isolates map too. */
  readonly fd: number;
  readonly #mapping: Mapping;
  readonly #words: Int32Array;
  readonly #text: Uint8Array;
  readonly #thread = libc().gettid(NR_GETTID);
  #seen = 0;
  #state: KernelState = { chips: [], files: {}, nodes: {}, failures: [] };

  private constructor(fd: number) {
    this.fd = fd;
    this.#mapping = Mapping.map(fd, {
      length: BYTES,
      writable: true,
      subject: "the state of the GPIO kernel double",
    });
    const { buffer } = this.#mapping;
    this.#words = new Int32Array(buffer, 0, TEXT_AT / 4);
    this.#text = new Uint8Array(buffer, TEXT_AT);
  }

  /** Makes a state without chips. **Ownership**: the fd stays open. */
  static create(): SharedState {
    return new SharedState(createMemFd("gpio kernel double", BYTES).release());
  }

  /** Joins the state that another isolate has made. */
  static join(fd: number): SharedState {
    return new SharedState(fd);
  }

  /** Returns the state as it is now, to look at only. */
  look(): KernelState {
    this.#lock();
    try {
      return this.#read();
    } finally {
      Atomics.store(this.#words, LOCK, 0);
    }
  }

  /** Runs `change` while no other isolate sees the state. */
  update<T>(change: (state: KernelState) => T): T {
    this.#lock();
    try {
      const state = this.#read();
      const result = change(state);
      const bytes = new TextEncoder().encode(JSON.stringify(state));
      if (bytes.length > this.#text.length) throw new Error("state too large");
      this.#text.set(bytes);
      this.#words[LENGTH] = bytes.length;
      this.#seen = ++this.#words[VERSION]!;
      return result;
    } finally {
      Atomics.store(this.#words, LOCK, 0);
    }
  }

  /**
   * Takes the lock. A Worker that is terminated runs no `finally`: its lock is
   * taken from it once it has changed nothing for long. One that waits for a CPU
   * keeps it.
   *
   * @throws {Error} If others keep the lock for too long.
   */
  #lock(): void {
    const words = this.#words;
    let known = 0;
    let version = -1;
    let looks = 0;
    for (let tries = 1;; tries++) {
      const holder = Atomics.compareExchange(words, LOCK, 0, this.#thread);
      if (holder === 0) return;
      const now = Atomics.load(words, VERSION);
      if (holder !== known || now !== version) looks = 0;
      [known, version] = [holder, now];
      if (++looks === LOOKS_AT_HOLDER) {
        Atomics.compareExchange(words, LOCK, holder, 0);
        looks = 0;
      }
      if (tries === MAX_TRIES) {
        throw new Error(
          `thread ${holder} keeps the kernel double's lock for ` +
            `${MAX_TRIES / 1000} s`,
        );
      }
      if (tries > SPINS) pollReadable([], 1);
    }
  }

  #read(): KernelState {
    if (this.#words[VERSION] === this.#seen) return this.#state;
    const bytes = this.#text.slice(0, this.#words[LENGTH]);
    this.#state = JSON.parse(new TextDecoder().decode(bytes));
    this.#seen = this.#words[VERSION]!;
    return this.#state;
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
  }
}
