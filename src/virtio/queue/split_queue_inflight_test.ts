import { assertEquals, assertStringIncludes } from "@std/assert";
import { InflightLog } from "./inflight.ts";
import { SplitQueue } from "./split_queue.ts";
import {
  BUFFER,
  made,
  popAll,
  queueRig,
  show,
} from "../../../tests/doubles/queue_rig.ts";

Deno.test("SplitQueue yields what is to be resubmitted first, oldest first", () => {
  const first = queueRig();
  const heads = show(first.ring, 4);
  popAll(first.queue);
  first.queue.push(heads[1]!, 0);
  first.queue.flush();
  first.queue.close();
  assertEquals(first.queue.pop(), undefined);
  const again = made(SplitQueue.create({
    ...first.options,
    nextAvail: first.queue.nextAvail,
    resubmit: first.queue.inFlightHeads(),
  }));
  assertEquals(again.hasBuffered, true);
  assertEquals(again.inFlightHeads(), [heads[0], heads[2], heads[3]]);
  const [newest] = show(first.ring, 1);
  assertEquals(popAll(again), [heads[0]!, heads[2]!, heads[3]!, newest!]);
  again.push(heads[2]!, 1);
  again.flush();
  assertEquals(first.ring.usedIndex(), 2);
});

Deno.test("SplitQueue recovers from its in-flight log, whatever base it is told", () => {
  // Frontends set used.idx (1 here) or avail.idx (4) after a crash.
  for (const nextAvail of [1, 4, 0]) {
    const logBuffer = new ArrayBuffer(InflightLog.bytesFor(8));
    const log = made(InflightLog.open(logBuffer, 0, 8));
    const { ring, queue, options } = queueRig({ more: { inflight: log } });
    const heads = show(ring, 4);
    for (let i = 0; i < 3; i++) queue.pop();
    queue.push(heads[1]!, 0);
    queue.flush();
    // The process dies: nothing but guest memory and the log is left.
    const reopened = made(InflightLog.open(logBuffer, 0, 8));
    const again = made(SplitQueue.create({
      ...options,
      nextAvail,
      inflight: reopened,
    }));
    assertEquals(popAll(again), [heads[0]!, heads[2]!, heads[3]!]);
    assertEquals(again.nextAvail, 4);
  }
});

Deno.test("SplitQueue enters what it is given to resubmit into a new log", () => {
  const logBuffer = new ArrayBuffer(InflightLog.bytesFor(8));
  const log = made(InflightLog.open(logBuffer, 0, 8));
  const { ring, queue, options } = queueRig();
  const heads = show(ring, 2);
  popAll(queue);
  const again = made(SplitQueue.create({
    ...options,
    nextAvail: queue.nextAvail,
    resubmit: queue.inFlightHeads(),
    inflight: log,
  }));
  assertEquals(again.nextAvail, 2);
  const reopened = made(InflightLog.open(logBuffer, 0, 8));
  assertEquals(reopened.recover(0).list(), heads);
});

Deno.test("SplitQueue believes the base when it is told what to resubmit, be it nothing", () => {
  const { ring, options } = queueRig();
  show(ring, 3);
  const log = made(
    InflightLog.open(new ArrayBuffer(InflightLog.bytesFor(8)), 0, 8),
  );
  const told = { ...options, nextAvail: 2, inflight: log };
  assertEquals(made(SplitQueue.create({ ...told, resubmit: [] })).nextAvail, 2);
  assertEquals(made(SplitQueue.create(told)).nextAvail, 0);
});

Deno.test("SplitQueue.create() refuses a log of another size", () => {
  const log = made(InflightLog.open(new ArrayBuffer(512), 0, 16));
  const { options } = queueRig();
  assertStringIncludes(
    String(SplitQueue.create({ ...options, inflight: log })),
    "in-flight log for 16",
  );
});

Deno.test("SplitQueue goes on with the heads and the log of a closed one as they are", () => {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(8));
  const log = made(InflightLog.open(buffer, 0, 8));
  const { ring, queue, options } = queueRig({ more: { inflight: log } });
  const heads = show(ring, 3);
  popAll(queue);
  queue.push(heads[1]!, 0);
  queue.flush();
  queue.close();
  const { nextAvail, taken } = queue;
  // A byte that a scan of the log would set right.
  const bytes = new Uint8Array(buffer);
  bytes[16 + heads[1]! * 16] = 1;
  const next = { ...options, nextAvail, resubmit: taken };
  const again = made(SplitQueue.create({ ...next, inflight: log }));
  assertEquals(again.taken, taken);
  assertEquals(bytes[16 + heads[1]! * 16], 1);
  assertEquals(popAll(again), [heads[0]!, heads[2]!]);
  again.close();
  // A log that its owner has wiped is written anew.
  bytes.fill(0);
  made(SplitQueue.create({ ...next, inflight: log }));
  const reopened = made(InflightLog.open(buffer, 0, 8));
  assertEquals(reopened.recover(1).list(), [heads[0]!, heads[2]!]);
});

Deno.test("SplitQueue does not yield again what was given back before its turn", () => {
  const { ring, queue, options } = queueRig();
  const heads = [0, 1, 2].map(() => ring.add([BUFFER]));
  ring.publish();
  for (const _ of heads) queue.pop();
  queue.close();
  const next = made(
    SplitQueue.create({ ...options, nextAvail: 3, resubmit: heads }),
  );
  next.push(heads[0]!, 0);
  assertEquals(next.pop()?.head, heads[1]);
  next.push(heads[2]!, 0);
  assertEquals(next.pop(), undefined);
});

Deno.test("SplitQueue begins its later log once, with what it has taken by then", () => {
  const region = new ArrayBuffer(InflightLog.bytesFor(8));
  const laterLog = made(InflightLog.open(region, 0, 8));
  const { ring, queue } = queueRig({ more: { laterLog, resubmit: [] } });
  const heads = [0, 1].map(() => ring.add([BUFFER]));
  ring.publish();
  for (const _ of heads) queue.pop();
  queue.push(heads[0]!, 0);
  assertEquals(queue.log, undefined);
  queue.beginLog();
  assertEquals(queue.log, laterLog);
  assertEquals(ring.usedIndex(), 1, "it is published first");
  const kept = region.slice(0);
  queue.beginLog();
  assertEquals(new Uint8Array(region), new Uint8Array(kept));
  const known = made(InflightLog.open(region, 0, 8));
  assertEquals(known.recover(1).list(), [heads[1]!]);
  // Without one there is nothing to begin.
  const other = queueRig();
  other.queue.beginLog();
  assertEquals(other.queue.log, undefined);
});
