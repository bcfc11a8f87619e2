/**
 * CPU time of the calling thread: what work costs, however busy the machine
 * is. No limit in a unit test is one of the wall clock.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";

/** Returns the time for which this thread has run. **Units**: milliseconds. */
export function threadCpuMs(): number {
  const [ran = ""] = readSmallFile("/proc/thread-self/schedstat")!.split(" ");
  return Number(ran) / 1e6;
}
