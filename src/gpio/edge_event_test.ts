import { assertEquals, assertThrows } from "@std/assert";
import { EdgeEventBatch } from "./edge_event.ts";

/** Writes a gpio_v2_line_event as the kernel would. */
function put(batch: EdgeEventBatch, i: number, id: number) {
  const view = new DataView(batch.bytes.buffer, 48 * i);
  view.setBigUint64(0, 2n ** 63n + BigInt(i), true);
  view.setUint32(8, id, true);
  view.setUint32(12, 30 + i, true);
  view.setUint32(16, 100 + i, true);
  view.setUint32(20, 200 + i, true);
}

Deno.test("EdgeEventBatch reads the fields of each event", () => {
  const batch = new EdgeEventBatch(3);
  assertEquals(batch.bytes.length, 3 * 48);
  put(batch, 0, 1);
  put(batch, 2, 2);
  assertEquals(
    [
      batch.kindAt(2),
      batch.timestampAt(2),
      batch.offsetAt(2),
      batch.seqnoAt(2),
      batch.lineSeqnoAt(2),
    ],
    [2, 2n ** 63n + 2n, 32, 102, 202],
  );
  assertEquals(batch.eventAt(0), {
    kind: "rising",
    offset: 30,
    timestampNs: 2n ** 63n,
    seqno: 100,
    lineSeqno: 200,
  });
  assertEquals(batch.eventAt(2)?.kind, "falling");
});

Deno.test("EdgeEventBatch does not guess at an unknown kind", () => {
  const batch = new EdgeEventBatch(1);
  put(batch, 0, 3);
  assertEquals(batch.eventAt(0), undefined);
  assertEquals(batch.kindAt(0), 3);
});

Deno.test("EdgeEventBatch needs room for one event", () => {
  assertThrows(() => new EdgeEventBatch(0), RangeError, "0 events");
  assertThrows(() => new EdgeEventBatch(1.5), RangeError);
});
