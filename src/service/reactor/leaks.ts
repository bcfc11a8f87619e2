/**
 * Reports resources that were dropped without being closed, which are bugs of
 * ours.
 *
 * @module
 */
import { onLeakedMapping } from "../../../ffi/mapping.ts";
import { onLeakedFd } from "../../../ffi/owned_fd.ts";

/** Calls `report` with a text for each leak in this isolate. */
export function reportLeaks(report: (text: string) => void): void {
  onLeakedFd((fd, what) => report(`fd ${fd} (${what}) was never closed`));
  onLeakedMapping((what) => report(`a mapping of ${what} was never disposed`));
}
