/**
 * State memory of a session: what its device holds of the rings, and what its
 * guest made of the lines, written as it happens and for the next process. It is
 * laid out as an in-flight region for the largest rings there are; of a sparse
 * file only the pages that are used exist.
 *
 * @module
 */
import { createMemFd } from "../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { VirtioDevice } from "../../virtio/device.ts";
import { InflightLog } from "../../virtio/queue/inflight.ts";
import { InflightRegion } from "./inflight_region.ts";
import { MAX_VRING_SIZE } from "../messages/protocol.ts";
import { SharedFile } from "./shared_file.ts";

/** "vhus" as a number. */
const MAGIC = 0x7375_6876;
const VERSION = 1;

/** Words of the head. */
const At = {
  magic: 0,
  version: 1,
  queueCount: 2,
  stateBytes: 3,
  isServing: 4,
} as const;
const HEAD_WORDS = 16;
const HEAD_BYTES = 4 * HEAD_WORDS;

/** The part of a device that decides how much memory there is. */
type DeviceShape = Pick<VirtioDevice, "queueCount" | "stateBytes">;

function bytesFor({ queueCount, stateBytes }: DeviceShape): number {
  return HEAD_BYTES + queueCount * InflightLog.bytesFor(MAX_VRING_SIZE) +
    stateBytes;
}

/** State memory of one session. **Ownership**: owns its mapping, and its fd. */
export class StateMemory implements Disposable {
  readonly #file: SharedFile;
  readonly #head: Uint32Array;
  readonly #queueCount: number;
  #fd: OwnedFd | undefined;

  private constructor(
    file: SharedFile,
    queueCount: number,
    fd: OwnedFd | undefined,
  ) {
    this.#file = file;
    this.#head = new Uint32Array(file.buffer, file.offset, HEAD_WORDS);
    this.#queueCount = queueCount;
    this.#fd = fd;
  }

  /**
   * Makes empty memory.
   *
   * @throws {OsError} If there is none.
   */
  static create(device: DeviceShape): StateMemory {
    using stack = new DisposableStack();
    const size = bytesFor(device);
    const fd = stack.use(
      createMemFd("vhost-user session", size, { seal: true }),
    );
    const file = SharedFile.map(fd, 0, size, "the state of a session");
    if (typeof file === "string") throw new Error(file);
    const memory = new StateMemory(file, device.queueCount, fd);
    const head = memory.#head;
    head[At.queueCount] = device.queueCount;
    head[At.stateBytes] = device.stateBytes;
    head[At.version] = VERSION;
    head[At.magic] = MAGIC;
    stack.move();
    return memory;
  }

  /**
   * Takes over the memory of an earlier process.
   *
   * @returns The memory, or why it cannot be used.
   * @throws {OsError} If the kernel refuses to map it.
   *
   * **Ownership**: the fd is lent.
   */
  static resume(fd: OwnedFd, device: DeviceShape): StateMemory | string {
    const size = bytesFor(device);
    const file = SharedFile.map(fd, 0, size, "its state memory");
    if (typeof file === "string") return file;
    const memory = new StateMemory(file, device.queueCount, undefined);
    const head = memory.#head;
    const fault = head[At.magic] !== MAGIC || head[At.version] !== VERSION
      ? "its state memory is that of another version"
      : head[At.queueCount] !== device.queueCount ||
          head[At.stateBytes] !== device.stateBytes
      ? "its state memory is that of another device"
      : head[At.isServing] !== 0
      ? "gpioagg was killed in the midst of a message of the VMM"
      : undefined;
    if (fault === undefined) return memory;
    memory[Symbol.dispose]();
    return fault;
  }

  /** The fd until it is kept elsewhere. */
  get fd(): number | undefined {
    return this.#fd?.fd;
  }

  /** The fd is kept elsewhere: it is not needed here any more. */
  isKept(): void {
    this.#fd?.close();
    this.#fd = undefined;
  }

  /** A message is taken from the connection, and not served yet. */
  set isServing(isServing: boolean) {
    Atomics.store(this.#head, At.isServing, isServing ? 1 : 0);
  }

  /** The logs and the device's state, for rings of any size. */
  region(): InflightRegion {
    return InflightRegion.own(
      this.#file,
      HEAD_BYTES,
      this.#queueCount,
      MAX_VRING_SIZE,
    );
  }

  /** Forgets what is in flight, and all that a guest made of the device. */
  clear(): void {
    const region = this.region();
    for (let index = 0; index < this.#queueCount; index++) region.forget(index);
    region.tail(this.#head[At.stateBytes]!)?.fill(0);
  }

  [Symbol.dispose](): void {
    this.isKept();
    this.#file[Symbol.dispose]();
  }
}
