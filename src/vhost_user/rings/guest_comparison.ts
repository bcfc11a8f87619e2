/**
 * Comparison of all rings of a session with the in-flight region that its
 * frontend handed over: whether the guest is the one that the region describes.
 *
 * @module
 */
import type { GuestMemory } from "../../virtio/queue/guest_memory.ts";
import type { InflightRegion } from "../memory/inflight_region.ts";
import type { Vring } from "./vring.ts";

/**
 * Returns true if no earlier session or process can have served the guest.
 * Then nothing remains of the guest that the region describes, and its logs are
 * wiped: a ring that looks unchanged may have been initialized again.
 */
export function isOtherGuest(
  rings: readonly Vring[],
  memory: GuestMemory,
  region: InflightRegion | undefined,
): boolean {
  const found = region === undefined
    ? []
    : rings.map((ring) => ring.compare(memory, region));
  if (found.includes("other")) {
    for (const [index] of rings.entries()) {
      if (region!.covers(index)) region!.wipe(index);
    }
    return true;
  }
  // Every driver uses the first ring from the first moment on.
  return !found.includes("same") && rings[0]!.isUntouched(memory);
}

/**
 * Returns true if the rings are those of the logs, by all that is known of
 * them.
 */
export function isSameGuest(
  rings: readonly Vring[],
  memory: GuestMemory,
  region: InflightRegion,
): boolean {
  const found = rings.map((ring) => ring.compare(memory, region));
  return found.includes("same") && !found.includes("other");
}
