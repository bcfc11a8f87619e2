/**
 * State that a ring leaves behind when it stops, for the one that goes on.
 *
 * @module
 */
import type { InflightLog } from "../virtio/queue/inflight.ts";
import { TakenHeads } from "../virtio/queue/taken_heads.ts";
import type { RingAddress } from "./guest_identity.ts";
import type { InflightRegion } from "./inflight_region.ts";
import type { PauseRecord } from "./session_record.ts";

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

/** Describes a paused ring for the next process. */
export function pauseRecord(pause: Pause): PauseRecord {
  const { place, size, features, nextAvail, usedIndex, signature, run } = pause;
  return { ...place, size, features, nextAvail, usedIndex, signature, run };
}

/**
 * Returns the pause that an earlier process described; what the ring had in
 * flight is in the log.
 */
export function resumedPause(
  record: PauseRecord,
  index: number,
  region: InflightRegion,
): Pause {
  const { descriptorAddress, availAddress, usedAddress } = record;
  const { size, features, nextAvail, usedIndex, signature, run } = record;
  const log = region.open(index, size);
  const known = region.record(index, size);
  return {
    place: { descriptorAddress, availAddress, usedAddress },
    size,
    features,
    nextAvail,
    usedIndex,
    signature,
    run,
    taken: known?.taken ?? new TakenHeads(size),
    log: known === undefined || typeof log === "string"
      ? undefined
      : { region, log },
  };
}
