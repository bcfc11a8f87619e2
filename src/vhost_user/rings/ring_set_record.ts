/**
 * The rings of a session, as the next process finds them described, and how it
 * goes on with them. The guest has not noticed anything; what its memory and its
 * descriptors have become since is looked at like anything that a frontend says.
 *
 * @module
 */
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { GuestState } from "./guest_state.ts";
import { InflightRegion } from "../memory/inflight_region.ts";
import type { MemoryTable } from "../memory/memory_table.ts";
import type { NamedFds } from "../messages/named_fds.ts";
import { VHOST_USER_F_PROTOCOL_FEATURES_MASK } from "../messages/protocol.ts";
import type {
  InflightRecord,
  RingSetRecord,
  SessionFds,
} from "../session_record.ts";
import type { Vring } from "./vring.ts";

/** Parts of a set of rings. */
export interface RingSetParts {
  readonly rings: readonly Vring[];
  readonly table: MemoryTable;
  readonly guest: GuestState;
  readonly named: NamedFds;
}

/** State of a set of rings that belongs to none of its parts. */
type RingSetNumbers = Pick<
  RingSetRecord,
  "features" | "run" | "inflight"
>;

/** Describes the rings, and names their descriptors. */
export function recordRings(
  { rings, table, guest, named }: RingSetParts,
  numbers: RingSetNumbers,
  fds: SessionFds,
): RingSetRecord {
  const { inflight } = numbers;
  if (inflight !== undefined) {
    fds.set(inflight.file, named.findFd(inflight.file));
  }
  return {
    ...numbers,
    isKnown: guest.isKnown,
    isAbandoned: guest.isAbandoned,
    regions: table.record(fds),
    rings: rings.map((ring) => ring.record(fds)),
  };
}

/**
 * Takes memory and rings of an earlier process; none runs yet.
 *
 * @returns Why it cannot. **Ownership**: takes kicks, calls and error fds out of
 * `fds`; the others stay the caller's.
 */
export function resumeRings(
  { rings, table, guest }: RingSetParts,
  record: RingSetRecord,
  fds: Map<string, OwnedFd>,
): string | undefined {
  if (record.rings.length !== rings.length) {
    return "it has another number of rings";
  }
  for (const region of record.regions) {
    const fd = fds.get(region.file);
    const fault = fd === undefined
      ? "a descriptor of its memory is missing"
      : table.addMapped(region, fd, region.file);
    if (fault !== undefined) return fault;
  }
  const fault = resumeRegion(guest, record.inflight, fds);
  if (fault !== undefined) return fault;
  const { memory } = table;
  const region = guest.region;
  if (region === undefined) return "it has no state memory";
  for (const [index, ring] of rings.entries()) {
    const fault = ring.resume(record.rings[index]!, memory, region) ??
      ring.takeFds(fds);
    if (fault !== undefined) return fault;
  }
  if (!record.isKnown && !record.isAbandoned) return undefined;
  guest.resume(
    record.features & ~VHOST_USER_F_PROTOCOL_FEATURES_MASK,
    record.isAbandoned,
    rings.every((ring) => ring.compare(memory, region) !== "other"),
  );
  return undefined;
}

/** Takes the frontend's own in-flight region, if there is one. */
function resumeRegion(
  guest: GuestState,
  inflight: InflightRecord | undefined,
  fds: ReadonlyMap<string, OwnedFd>,
): string | undefined {
  if (inflight === undefined) return undefined;
  const fd = fds.get(inflight.file);
  if (fd === undefined) return "its in-flight region is missing";
  const region = InflightRegion.map(fd, inflight);
  if (typeof region === "string") return region;
  guest.setRegion(region);
  return undefined;
}
