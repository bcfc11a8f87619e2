/**
 * Requests through a real ring: one at a time, and many at a time.
 *
 * @module
 */
import { MessageType } from "../../src/virtio/gpio/protocol.ts";
import type { RequestQueue } from "../../src/vhost_frontend/request_queue.ts";
import { median, type Round, summarize } from "./statistics.ts";

const LIMIT_MS = 5000;
/** Requests that are timed together: well under a millisecond's worth. */
const STRETCH = 2000;
/** Looks at the used ring between two at the clock. */
const LOOKS = 100_000;

/**
 * One GET_VALUE after another, each from its kick to its call. Lines take
 * turns.
 *
 * **Units**: microseconds.
 *
 * @param times Room for the times; where it is full, the round ends.
 * @param limitMs Time after which the round ends, with one trip at least.
 * **Units**: milliseconds.
 */
export function roundTrips(
  queue: RequestQueue,
  lineCount: number,
  times: Float64Array,
  limitMs = Infinity,
): Round {
  const slots = Math.min(lineCount, queue.depth);
  for (let slot = 0; slot < slots; slot++) {
    queue.prepare(slot, MessageType.GetValue, slot, 0);
  }
  let before = performance.now();
  const end = before + limitMs;
  let slot = 0;
  let count = 0;
  do {
    queue.submit(slot);
    queue.flush();
    while (queue.wait(LIMIT_MS) === 0) checkLimit(before);
    const now = performance.now();
    times[count++] = (now - before) * 1000;
    before = now;
    if (++slot === slots) slot = 0;
  } while (count < times.length && before < end);
  return summarize(times.subarray(0, count));
}

/**
 * One GET_VALUE after another, each until its answer is seen in the used ring:
 * the device is asked for no calls. **Units**: microseconds.
 */
export function polledTrips(
  queue: RequestQueue,
  lineCount: number,
  times: Float64Array,
): Round {
  const slots = Math.min(lineCount, queue.depth);
  for (let slot = 0; slot < slots; slot++) {
    queue.prepare(slot, MessageType.GetValue, slot, 0);
  }
  let before = performance.now();
  for (let i = 0; i < times.length; i++) {
    queue.submit(i % slots);
    queue.flush();
    for (let looks = 1; queue.reap() === 0; looks++) {
      if (looks % LOOKS === 0) checkLimit(before);
    }
    const now = performance.now();
    times[i] = (now - before) * 1000;
    before = now;
  }
  return summarize(times);
}

/**
 * Keeps `depth` requests under way until `count` are done: what comes back is
 * sent again at once. Half are GET_VALUE, half SET_VALUE, lines take turns.
 *
 * @param count At least `depth` and a few stretches.
 * @returns Wall time for each request, the median of short stretches: one in
 * which another program had the CPU says nothing about this one. **Units**:
 * microseconds.
 */
export function throughput(
  queue: RequestQueue,
  lineCount: number,
  depth: number,
  count: number,
): number {
  const { completed } = queue;
  for (let slot = 0; slot < depth; slot++) {
    const line = slot % lineCount;
    const type = slot & 1 ? MessageType.SetValue : MessageType.GetValue;
    queue.prepare(slot, type, line, slot & 1 ? slot >> 1 & 1 : 0);
  }
  const stretches: number[] = [];
  let stretchStart = performance.now();
  let stretch = 0;
  for (let slot = 0; slot < depth; slot++) queue.submit(slot);
  queue.flush();
  let underWay = depth;
  let toSubmit = count - depth;
  let silentSince = 0;
  while (underWay > 0) {
    const done = queue.wait(LIMIT_MS);
    if (done === 0) {
      silentSince ||= performance.now();
      checkLimit(silentSince);
      continue;
    }
    silentSince = 0;
    const again = Math.min(done, toSubmit);
    for (let i = 0; i < again; i++) queue.submit(completed[i]!);
    if (again > 0) queue.flush();
    toSubmit -= again;
    underWay += again - done;
    stretch += done;
    if (stretch >= STRETCH) {
      const now = performance.now();
      stretches.push((now - stretchStart) * 1000 / stretch);
      stretchStart = now;
      stretch = 0;
    }
  }
  return median(stretches);
}

function checkLimit(since: number): void {
  if (performance.now() - since < LIMIT_MS) return;
  throw new Error(`The server did not answer within ${LIMIT_MS / 1000} s`);
}
