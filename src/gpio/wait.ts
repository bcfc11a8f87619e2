/**
 * Waiting for events without `async`, on several things at once.
 *
 * @module
 */
import { pollReadable } from "../../ffi/poll.ts";
import { type ReadinessWait, whenReadable } from "../../ffi/readiness.ts";
import {
  requireArray,
  requireKeys,
  requireNumber,
  requireObject,
  requireSignal,
  requireTimeout,
} from "../text/arguments.ts";

/** Longest time of a timer: 24 days. A longer limit counts as none. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Something with events: a chip, a line request. */
export interface HasEvents {
  /** The fd that is readable when there is an event. */
  readonly fd: number;
}

/**
 * Waits until one of several chips or requests has events.
 *
 * One that hung up (its chip is gone) counts as having some: a read shows which.
 *
 * @param sources Chips and requests.
 * @param timeoutMs Milliseconds, rounded up to whole ones; -1 waits without a
 * limit, 0 only looks.
 * @returns Those that have events, in the order given; none when the time is
 * over.
 * @throws {OsError} If the kernel refuses.
 *
 * **Blocking**: the whole isolate. For programs that do nothing else; others use
 * {@linkcode whenEvents} or the async iterators.
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
  checkSources(sources);
  requireTimeout("timeoutMs", timeoutMs);
  const ready = pollReadable(sources.map((source) => source.fd), timeoutMs);
  return sources.filter((_, i) => ready[i] !== 0);
}

function checkSources(sources: readonly HasEvents[]): void {
  requireArray("sources", sources);
  for (const [i, source] of sources.entries()) {
    requireObject(`sources[${i}]`, source);
    requireNumber(`sources[${i}].fd`, source.fd);
  }
}

/** Limits of {@linkcode whenEvents}. */
export interface WhenOptions {
  /** Milliseconds; no limit by default. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait when it is aborted: the promise rejects with its reason. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits until one of several chips or requests has events, while the rest of the
 * program goes on.
 *
 * @param sources Chips and requests, which must stay open until it is done.
 * @returns Those that have events, in the order given; none when the time is
 * over.
 * @throws {unknown} As a rejection, the reason of `signal` when it is aborted.
 * @throws {TypeError} For an unknown option, or a value of another type.
 *
 * @example Wait for one of two requests, for a second at most
 * ```ts
 * import { type LineRequest, whenEvents } from "@gpioagg/gpioagg";
 *
 * async function eitherEdge(one: LineRequest, other: LineRequest) {
 *   const ready = await whenEvents([one, other], { timeoutMs: 1000 });
 *   return ready.flatMap((request) => request.readEdgeEvents());
 * }
 * ```
 */
export async function whenEvents<Source extends HasEvents>(
  sources: readonly Source[],
  options: WhenOptions = {},
): Promise<Source[]> {
  requireKeys("the options", options, ["timeoutMs", "signal"], {
    timeout: "timeoutMs",
  });
  const { timeoutMs = -1, signal } = options;
  requireTimeout("timeoutMs", timeoutMs);
  requireSignal("signal", signal);
  signal?.throwIfAborted();
  const ready = waitForEvents(sources, 0);
  if (ready.length > 0 || timeoutMs === 0) return ready;
  const waits: ReadinessWait[] = [];
  const over = Promise.withResolvers<void>();
  const end = () => over.resolve();
  const timer = timeoutMs < 0 || timeoutMs > LONGEST_TIMER_MS
    ? undefined
    : setTimeout(end, timeoutMs);
  signal?.addEventListener("abort", end);
  try {
    for (const { fd } of sources) waits.push(whenReadable(fd));
    await Promise.race([over.promise, ...waits.map((wait) => wait.ready)]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    for (const wait of waits) wait.cancel();
    await Promise.all(waits.map((wait) => wait.ready));
  }
  signal?.throwIfAborted();
  return waitForEvents(sources, 0);
}
