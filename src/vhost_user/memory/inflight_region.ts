/**
 * The memory that holds the requests in flight on each ring: made here, kept by
 * the frontend, and handed to the next back end of the guest.
 *
 * Its size is the backend's to say, so a region of ours has a tail behind the
 * rings' logs in which the device keeps what the guest's driver never sends
 * again. A frontend that sized its region itself may give one without a tail.
 *
 * @module
 */
import { LITTLE_ENDIAN } from "../../../ffi/layout.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { atOnce, type Pieces } from "../../reactor/pieces.ts";
import {
  INFLIGHT_QUEUE_REGION,
  InflightLog,
  type LogRecord,
} from "../../virtio/queue/inflight.ts";
import type { InflightDescription } from "../messages/codec.ts";
import { MAX_VRING_SIZE } from "../messages/protocol.ts";
import { SharedFile } from "./shared_file.ts";

/** Version of a log in use; 0 in a new one. */
const WRITTEN_VERSION = 1;
/** Entries of the largest log that is read at once. */
const SHORT_LOG = 1024;

function shapeFault(numQueues: number, queueSize: number): string | undefined {
  if (numQueues < 1) return "an in-flight region is for one ring at least";
  if (queueSize < 1 || queueSize > MAX_VRING_SIZE) {
    return `an in-flight region is for rings of 1 to ${MAX_VRING_SIZE} entries, not ${queueSize}`;
  }
  return undefined;
}

/**
 * Makes an empty region for a frontend that asks for one. Its size is sealed,
 * so that it cannot be shrunk while it is mapped.
 *
 * @param stateBytes Size of the tail for the device's state.
 * @returns The region's fd and description, or why there cannot be one.
 * @throws {OsError} If there is no memory or fd for it.
 *
 * **Ownership**: the fd is the caller's.
 */
export function createInflightFile(
  numQueues: number,
  queueSize: number,
  stateBytes: number,
): { fd: OwnedFd; description: InflightDescription } | string {
  const fault = shapeFault(numQueues, queueSize);
  if (fault !== undefined) return fault;
  const mmapSize = numQueues * InflightLog.bytesFor(queueSize) + stateBytes;
  return {
    fd: createMemFd("vhost-user-inflight", mmapSize, { seal: true }),
    description: { mmapSize, mmapOffset: 0, numQueues, queueSize },
  };
}

/**
 * A region that the frontend handed over, or one of this process's own.
 * **Ownership**: owns the mapping of a frontend's.
 */
export class InflightRegion implements Disposable {
  readonly #file: SharedFile;
  readonly #first: number;
  readonly #numQueues: number;
  /** True if no frontend has it. */
  readonly isOwn: boolean;
  /** Entries that each ring may have at most. */
  readonly queueSize: number;
  /** Records of logs that were read and that no ring has used since. */
  readonly #records: (LogRecord | undefined)[] = [];
  #isRead = false;

  private constructor(
    file: SharedFile,
    first: number,
    numQueues: number,
    queueSize: number,
    isOwn: boolean,
  ) {
    this.#file = file;
    this.#first = file.offset + first;
    this.#numQueues = numQueues;
    this.queueSize = queueSize;
    this.isOwn = isOwn;
  }

  /**
   * A region of this process's own, in a file that is mapped already.
   *
   * @param first Offset of the region in the file. **Units**: bytes.
   *
   * **Ownership**: the file is lent.
   */
  static own(
    file: SharedFile,
    first: number,
    numQueues: number,
    queueSize: number,
  ): InflightRegion {
    return new InflightRegion(file, first, numQueues, queueSize, true);
  }

  /**
   * Maps a region; `fd` may be closed afterwards.
   *
   * @returns The region, or the rule that it breaks.
   * @throws {OsError} If the kernel refuses to map it.
   */
  static map(
    fd: OwnedFd,
    description: InflightDescription,
  ): InflightRegion | string {
    const { mmapOffset, mmapSize, numQueues, queueSize } = description;
    const fault = shapeFault(numQueues, queueSize);
    if (fault !== undefined) return fault;
    const needed = numQueues * InflightLog.bytesFor(queueSize);
    if (mmapSize < needed) {
      return `${numQueues} rings of ${queueSize} entries need an in-flight region of ${needed} bytes, not ${mmapSize}`;
    }
    if (mmapOffset % 8 !== 0) {
      return `an in-flight region begins at a multiple of 8, not at ${mmapOffset}`;
    }
    const file = SharedFile.map(
      fd,
      mmapOffset,
      mmapSize,
      "the in-flight region",
    );
    return typeof file === "string"
      ? file
      : new InflightRegion(file, 0, numQueues, queueSize, false);
  }

  /**
   * The tail, or `undefined` where it has fewer bytes than asked for. Must not
   * be used once the region is unmapped.
   */
  tail(byteLength: number): Uint8Array | undefined {
    const start = this.#start(this.#numQueues);
    return start + byteLength > this.#file.offset + this.#file.length
      ? undefined
      : new Uint8Array(this.#file.buffer, start, byteLength);
  }

  /** Returns true if the region has room for this ring at all. */
  covers(index: number): boolean {
    return index < this.#numQueues;
  }

  /**
   * Returns true if the region already holds the log of such a ring: then the
   * log knows better than the frontend where the ring stands.
   */
  holds(index: number, size: number): boolean {
    const at = this.#start(index);
    const view = new DataView(this.#file.buffer);
    const fields = INFLIGHT_QUEUE_REGION.at;
    return view.getUint16(at + fields.version, LITTLE_ENDIAN) ===
        WRITTEN_VERSION &&
      view.getUint16(at + fields.desc_num, LITTLE_ENDIAN) === size;
  }

  /** True once {@linkcode InflightRegion.read} has read all logs. */
  get isRead(): boolean {
    return this.#isRead;
  }

  /** True if reading its logs takes a fraction of a turn of the reactor. */
  get isShort(): boolean {
    if (!this.isOwn) return this.queueSize <= SHORT_LOG;
    for (let index = 0; index < this.#numQueues; index++) {
      if (this.#logSize(index) > SHORT_LOG) return false;
    }
    return true;
  }

  /** Entries of the ring whose log it is. */
  #logSize(index: number): number {
    return new DataView(this.#file.buffer).getUint16(
      this.#start(index) + INFLIGHT_QUEUE_REGION.at.desc_num,
      LITTLE_ENDIAN,
    );
  }

  /** Reads what the logs of the first rings say, in pieces. */
  *read(ringCount: number): Pieces {
    for (let index = 0; index < ringCount && this.covers(index); index++) {
      const size = this.#logSize(index);
      if (size > this.queueSize || !this.holds(index, size)) continue;
      const log = this.open(index, size);
      if (typeof log === "string") continue;
      this.#records[index] = yield* log.read();
    }
    this.#isRead = true;
  }

  /** Returns what the log of such a ring says, if the region holds one. */
  record(index: number, size: number): LogRecord | undefined {
    if (!this.covers(index) || size > this.queueSize) return undefined;
    if (!this.holds(index, size)) return undefined;
    const known = this.#records[index];
    if (known?.taken.size === size) return known;
    const log = this.open(index, size);
    if (typeof log === "string") return undefined;
    return this.#records[index] = atOnce(log.read());
  }

  /** Forgets what the log of a ring contained, which is about to change. */
  forgetRecord(index: number): void {
    this.#records[index] = undefined;
  }

  /** Opens the log of one ring, or says why there is none. */
  open(index: number, size: number): InflightLog | string {
    if (size > this.queueSize) {
      return `its ${size} entries do not fit into an in-flight region for ${this.queueSize}`;
    }
    return InflightLog.open(this.#file.buffer, this.#start(index), size);
  }

  /** Has no log of one ring any more. */
  forget(index: number): void {
    this.forgetRecord(index);
    new DataView(this.#file.buffer).setUint16(
      this.#start(index) + INFLIGHT_QUEUE_REGION.at.version,
      0,
      LITTLE_ENDIAN,
    );
  }

  /** Forgets what was in flight on one ring. */
  wipe(index: number): void {
    this.forget(index);
    // Pages that nothing has used stay so.
    if (this.isOwn) return;
    new Uint8Array(
      this.#file.buffer,
      this.#start(index),
      InflightLog.bytesFor(this.queueSize),
    ).fill(0);
  }

  /** Returns the number of pages of the logs that do not exist yet. */
  absentPages(): number {
    const bytes = this.#numQueues * InflightLog.bytesFor(this.queueSize);
    return this.#file.absentPages(0, bytes);
  }

  /** Offset of an access that found no page of its file; undefined if all did. */
  get fault(): number | undefined {
    return this.#file.fault;
  }

  /** Unmaps it; no log of it may be used any more. Idempotent. */
  [Symbol.dispose](): void {
    if (!this.isOwn) this.#file[Symbol.dispose]();
  }

  #start(index: number): number {
    return this.#first + index * InflightLog.bytesFor(this.queueSize);
  }
}
