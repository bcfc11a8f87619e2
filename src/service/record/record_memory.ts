/**
 * Memory that a reactor records edges in, on its way to that reactor.
 *
 * @module
 */
import { Mapping } from "../../../ffi/mapping.ts";

/** Memory for edges. */
export interface RecordMemory {
  /** Memory file; see `edges/edge_ring.ts`. */
  fd: number;
  /** Size of the file. */
  bytes: number;
  /** True to record inputs that their guests do not watch. */
  withInputs: boolean;
}

/** Maps it. **Ownership**: of the mapping, the caller's; its fd is not needed. */
export function mapRecord({ fd, bytes }: RecordMemory): Mapping {
  return Mapping.map(fd, { length: bytes, subject: "record of edges" });
}
