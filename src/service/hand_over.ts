/**
 * End of a service that leaves all to the next process: the order in which it
 * lets go, since guests wait from the first step that serves them no more.
 *
 * @module
 */
import { settlesWithin } from "../async/wait.ts";
import type { EdgeFile } from "./record/edge_file.ts";

/** Time limit of writing the last edges to a file. **Units**: milliseconds. */
export const FILE_LIMIT_MS = 1000;
/**
 * Time limit for what a guest must not wait for long: a disk that took nothing
 * before, and readers of the output. **Units**: milliseconds.
 */
const SHORT_LIMIT_MS = 20;

/** Parts of the service. */
interface HandOverParts {
  /** Ends leases that cannot be kept; absent without a control API. */
  readonly endLeases: (() => Promise<void>) | undefined;
  /** Serves nothing any more; false if something may go on. */
  readonly handOver: () => Promise<boolean>;
  readonly edgeFile: Pick<EdgeFile, "catchUp" | "close"> | undefined;
  /** Closes the listening sockets. */
  readonly leaveSockets: () => void;
  /** Writes what was reported. */
  readonly flush: () => Promise<void>;
  /** See the service's option of this name. */
  readonly handedOver: (() => void) | undefined;
}

/** Leaves all to the next process. This process is to end then. */
export async function handOverService(parts: HandOverParts): Promise<void> {
  const { endLeases, handOver, edgeFile, leaveSockets, flush } = parts;
  await endLeases?.();
  // Guests are still served while a disk takes most of it.
  const isWritten = await edgeFile?.catchUp(FILE_LIMIT_MS);
  const isQuiet = await handOver();
  await edgeFile?.close(isWritten === true ? FILE_LIMIT_MS : SHORT_LIMIT_MS);
  leaveSockets();
  const flushed = flush();
  // It comes before what the next one says, unless its reader takes nothing.
  await settlesWithin(flushed, SHORT_LIMIT_MS);
  if (isQuiet) parts.handedOver?.();
  await flushed;
}
