/**
 * State that a ring leaves behind when it stops, for the one that goes on.
 *
 * @module
 */
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import type { InflightLog } from "../../virtio/queue/inflight.ts";
import type { SplitQueue } from "../../virtio/queue/split_queue.ts";
import { TakenHeads } from "../../virtio/queue/taken_heads.ts";
import {
  readUsedIndex,
  type RingAddress,
  ringSignature,
} from "../guest/guest_identity.ts";
import type { InflightRegion } from "../memory/inflight_region.ts";
import type { PauseRecord } from "../session_record.ts";

/** An open in-flight log. */
interface RingLog {
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

/**
 * Returns the state of a ring whose queue was just closed.
 *
 * @param region The region that has, or may have, its log.
 * @param run Number of the device's run.
 */
export function makePause(
  queue: SplitQueue,
  { place, features }: Pick<Pause, "place" | "features">,
  region: InflightRegion | undefined,
  run: number,
): Pause {
  const { memory, size, taken, nextAvail, log } = queue;
  return {
    place,
    size,
    features,
    nextAvail,
    usedIndex: readUsedIndex(memory, place),
    taken,
    log: log === undefined || region === undefined
      ? undefined
      : { region, log },
    signature: ringSignature(memory, place, size, taken),
    run,
  };
}

/**
 * Returns true if the memory of a paused ring has changed in a way that its
 * driver has no right to.
 */
export function isOverwritten(
  { place, signature, size, taken }: Pause,
  memory: GuestMemory,
): boolean {
  if (signature === undefined) return false;
  const found = ringSignature(memory, place, size, taken);
  return found !== undefined && found !== signature;
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
