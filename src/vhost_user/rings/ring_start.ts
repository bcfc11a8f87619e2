/**
 * Decision how a ring starts: where it is, and whether it is the one that was
 * left.
 *
 * @module
 */
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import type { VringAddress } from "../messages/codec.ts";
import { readUsedIndex, type RingAddress } from "../guest/guest_identity.ts";
import { locateRing } from "./ring_address.ts";
import { isOverwritten, type Pause } from "./ring_pause.ts";

/** Consequences of starting a ring. */
export interface RingStart {
  /** Place of the ring. */
  readonly place: RingAddress;
  /** `used.idx` as it stands in guest memory. **Units**: entries, modulo 2^16. */
  readonly usedIndex: number;
  /** The negotiated features. */
  readonly features: bigint;
  /** Position at which the driver goes on, by the frontend. */
  readonly base: number;
  /**
   * `first`: nothing is known of the ring in this session. `resumed`: it goes on
   * where it was paused. `anew`: it was paused elsewhere, so the guest was
   * rebooted or its driver loaded again. `fresh`: the device was reset since.
   */
  readonly kind: "first" | "resumed" | "anew" | "fresh";
}

/** A ring as the frontend has set it up. */
interface RingSettings {
  /** Entries, 0 before SET_VRING_NUM. */
  readonly size: number;
  /** Addresses of the ring, in the frontend's own address space. */
  readonly address: VringAddress | undefined;
  /** Position at which the driver goes on. */
  readonly base: number;
}

/**
 * Looks at a ring that is wanted and not active.
 *
 * @param pause State that it left when it was paused, if it was.
 * @param isForgotten True if its past in this session is void.
 * @returns Consequences of starting it, or why it cannot be started.
 */
export function planStart(
  { address, size, base }: RingSettings,
  pause: Pause | undefined,
  isForgotten: boolean,
  memory: GuestMemory,
  features: bigint,
): RingStart | string {
  if (address === undefined) return "it has no addresses yet";
  const place = locateRing(memory, address, size);
  if (typeof place === "string") return place;
  const usedIndex = readUsedIndex(memory, place);
  if (pause === undefined) {
    const kind = isForgotten ? "fresh" : "first";
    return { place, usedIndex, features, base, kind };
  }
  // The frontend names where the driver goes on; the ring itself says whether
  // it is still the one that was left.
  const isSame = base === pause.nextAvail && size === pause.size &&
    usedIndex === pause.usedIndex && features === pause.features &&
    place.descriptorAddress === pause.place.descriptorAddress &&
    place.availAddress === pause.place.availAddress &&
    place.usedAddress === pause.place.usedAddress &&
    !isOverwritten(pause, memory);
  const kind = isSame ? "resumed" : "anew";
  return { place, usedIndex, features, base, kind };
}
