/**
 * The frontend's side of an in-flight region: its fd, its description, and its
 * bytes, in the numbers of the specification.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { join, R, u64 } from "./vhost_peer.ts";
import type { VhostRig } from "./vhost_rig.ts";

/** Entries of each ring in a {@linkcode InflightFile}. */
export const QUEUE_SIZE = 64;
/** Bytes of one ring's log: 16 + 64 × 16, rounded up to 64. */
export const QUEUE_BYTES = 1088;

/** The payload of GET_INFLIGHT_FD and SET_INFLIGHT_FD. */
export function description(
  numQueues: number,
  queueSize: number,
  mmapSize = 0,
  mmapOffset = 0,
): Uint8Array {
  const counts = new Uint16Array([numQueues, queueSize, 0, 0]);
  return join(u64(mmapSize, mmapOffset), new Uint8Array(counts.buffer));
}

/** A region for two rings. **Ownership**: owns the fd. */
export class InflightFile implements Disposable {
  readonly fd: OwnedFd;
  readonly payload: Uint8Array;
  readonly view: DataView;
  readonly #mapping: Mapping;

  constructor(fd: OwnedFd, payload: Uint8Array) {
    this.fd = fd;
    this.payload = payload;
    const { buffer, byteOffset } = payload;
    const size = new DataView(buffer, byteOffset).getBigUint64(0, true);
    this.#mapping = Mapping.map(fd.fd, {
      length: Number(size),
      subject: "the in-flight region",
    });
    this.view = new DataView(this.#mapping.buffer);
  }

  /** Asks the backend for one. */
  static get(rig: VhostRig): InflightFile {
    const { payload, fds } = rig.ask(
      R.GET_INFLIGHT_FD,
      description(2, QUEUE_SIZE),
    );
    if (fds.length !== 1) throw new Error(`${fds.length} fds`);
    return new InflightFile(fds[0]!, payload);
  }

  /** Bytes behind the rings' logs. */
  get tail(): Uint8Array {
    return new Uint8Array(this.#mapping.buffer, 2 * QUEUE_BYTES);
  }

  /** Hands it to the backend. */
  set(rig: VhostRig): void {
    rig.must(R.SET_INFLIGHT_FD, this.payload, [this.fd.fd]);
  }

  /** The heads that a ring has in flight by this region. */
  heads(index: number): number[] {
    return Array.from({ length: QUEUE_SIZE }, (_, head) => head).filter(
      (head) => this.view.getUint8(this.at(index, head)) === 1,
    );
  }

  /** Returns the place of the state of a descriptor. */
  at(index: number, head: number): number {
    return index * QUEUE_BYTES + 16 + head * 16;
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
    this.fd.close();
  }
}
