/**
 * Waiting for events without `async`, on several things at once.
 *
 * @module
 */
import { pollReadable } from "../../ffi/poll.ts";

/** Something with events: a chip, a line request. */
export interface HasEvents {
  /** The fd that is readable when there is an event. */
  readonly fd: number;
}

/**
 * Waits until one of several chips or requests has events.
 *
 * One that hung up (its chip is gone) counts as having some: reading tells.
 *
 * @param sources Chips and requests.
 * @param timeoutMs Milliseconds, rounded up to whole ones; -1 waits without a
 * limit, 0 only looks.
 * @returns Those that have events, in the order given; none when the time is
 * over.
 * @throws {OsError} If the kernel refuses.
 *
 * **Blocking**: the whole isolate. For programs that do nothing else; others use
 * the async iterators.
 *
 * @example Look whether anything happened
 * ```ts
 * import { listChips, openChip, waitForEvents } from "@gpioagg/gpioagg";
 *
 * using stack = new DisposableStack();
 * const chips = listChips().map((path) => stack.use(openChip(path)));
 * for (const chip of chips) {
 *   if (chip.lineCount > 0) chip.watchLineInfo(0);
 * }
 * for (const chip of waitForEvents(chips, 0)) {
 *   console.log(chip.name, chip.readInfoEvents());
 * }
 * ```
 */
export function waitForEvents<Source extends HasEvents>(
  sources: readonly Source[],
  timeoutMs = -1,
): Source[] {
  const ready = pollReadable(sources.map((source) => source.fd), timeoutMs);
  return sources.filter((_, i) => ready[i] !== 0);
}
