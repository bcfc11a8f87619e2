import { assertEquals } from "@std/assert";
import { LINE_EVENT } from "../../../ffi/gpio_v2.ts";
import { EdgeEventBatch } from "../../gpio/mod.ts";
import { LostEdges } from "./lost_edges.ts";

/** Edges of these numbers, as the kernel tells them. */
function note(lost: LostEdges, ...seqnos: number[]): number {
  const batch = new EdgeEventBatch(16);
  const view = new DataView(batch.bytes.buffer);
  for (const [i, seqno] of seqnos.entries()) {
    view.setUint32(
      i * LINE_EVENT.size + LINE_EVENT.at.line_seqno,
      seqno,
      true,
    );
  }
  lost.note(batch, seqnos.length);
  return lost.total;
}

Deno.test("LostEdges counts the gaps in a line's numbers, those before its first edge too", () => {
  const lost = new LostEdges();
  lost.begin(false);
  assertEquals(note(lost, 1, 2), 0);
  assertEquals(note(lost), 0);
  assertEquals(note(lost, 3, 7, 8), 3);
  lost.begin(false);
  assertEquals(note(lost, 3), 5);
});

Deno.test("LostEdges begins where it finds a request that others have read from", () => {
  const lost = new LostEdges();
  lost.begin(true);
  assertEquals(note(lost, 70, 71), 0);
  assertEquals(note(lost, 73), 1);
});

Deno.test("LostEdges goes on where the numbers wrap", () => {
  const lost = new LostEdges();
  lost.begin(true);
  assertEquals(note(lost, 0xffff_ffff, 0, 2), 1);
});
