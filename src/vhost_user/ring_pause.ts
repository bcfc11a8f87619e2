/**
 * State that a ring leaves behind when it stops, for the one that goes on.
 *
 * @module
 */
import type { InflightLog } from "../virtio/queue/inflight.ts";
import type { TakenHeads } from "../virtio/queue/taken_heads.ts";
import type { RingAddress } from "./guest_identity.ts";
import type { InflightRegion } from "./inflight_region.ts";

/** An open in-flight log. */
export interface RingLog {
  readonly region: InflightRegion;
  readonly log: InflightLog;
}

/** State of a ring when it stopped running. */
export interface Pause {
  readonly place: RingAddress;
  readonly size: number;
  readonly features: bigint;
  readonly nextAvail: number;
  readonly usedIndex: number;
  readonly taken: TakenHeads;
  /** The log that was kept of it, and the region that has it. */
  readonly log: RingLog | undefined;
  /** Checksum of what no driver of this ring changes, if it was mapped. */
  readonly signature: number | undefined;
  /** Number of the device's run that it was part of. */
  readonly run: number;
}
