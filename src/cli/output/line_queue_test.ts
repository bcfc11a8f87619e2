import { assert, assertEquals } from "@std/assert";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import { LineQueue } from "./line_queue.ts";

/** A sink that is played by a test. */
function rig(maxBytes = 200) {
  const it = {
    text: "",
    /** Course of a write: takes so many bytes, or throws. */
    plan: (bytes: Uint8Array): number | Promise<number> => bytes.length,
    writes: 0,
  };
  const queue = new LineQueue({
    write: async (bytes) => {
      it.writes++;
      const taken = await it.plan(bytes);
      it.text += new TextDecoder().decode(bytes.subarray(0, taken));
      return taken;
    },
  }, {
    lost: (count) => `${count} lost`,
    maxBytes,
    retryMs: { first: 1, most: 4 },
  });
  return { it, queue };
}

function fails(error: Error): () => never {
  return () => {
    throw error;
  };
}

Deno.test("LineQueue writes lines in their order, whatever pieces are taken", async () => {
  const { it, queue } = rig();
  it.plan = (bytes) => Math.min(3, bytes.length);
  for (const line of ["one", "two", "three"]) queue.push(line);
  assert(await queue.flush(1000));
  assertEquals(it.text, "one\ntwo\nthree\n");
});

Deno.test("LineQueue neither waits nor fails, and tells what was lost", async () => {
  for (
    const error of [
      new Error("No space left on device (os error 28)"),
      new Deno.errors.WouldBlock("EAGAIN"),
      new Deno.errors.WriteZero("nothing was taken"),
    ]
  ) {
    const { it, queue } = rig();
    it.plan = fails(error);
    for (let i = 0; i < 1000; i++) queue.push(`line ${i}`);
    assert(!await queue.flush(20), "it cannot be written");
    assert(queue.lost > 900);
    it.plan = (bytes) => bytes.length;
    assert(await queue.flush(1000));
    const lines = it.text.trimEnd().split("\n");
    assertEquals(lines[0], "line 0");
    assertEquals(lines.at(-1), `${1000 - (lines.length - 1)} lost`);
    queue.push("after");
    await queue.flush(1000);
    assert(it.text.endsWith(" lost\nafter\n"), it.text);
  }
});

testLarge(
  "LineQueue holds a bounded amount for a sink that hangs",
  async () => {
    const { it, queue } = rig();
    const hanging = Promise.withResolvers<number>();
    it.plan = () => hanging.promise;
    for (let i = 0; i < 100_000; i++) queue.push("x".repeat(50));
    assert(!await queue.flush(30));
    assertEquals(it.writes, 1);
    assert(queue.lost >= 99_996, `${queue.lost}`);
    it.plan = (bytes) => bytes.length;
    hanging.resolve(51);
    assert(await queue.flush(1000));
    assert(it.text.endsWith(`${queue.lost} lost\n`), it.text);
  },
);

Deno.test("LineQueue gives up on a reader that is gone", async () => {
  const { it, queue } = rig();
  it.plan = fails(new Deno.errors.BrokenPipe("EPIPE"));
  queue.push("one");
  assert(await queue.flush(1000));
  queue.push("two");
  assert(await queue.flush(1000));
  assertEquals(it.writes, 1);
});

Deno.test("LineQueue takes a line that is larger than itself if it is alone", async () => {
  const { it, queue } = rig();
  queue.push("y".repeat(1000));
  queue.push("z".repeat(1000));
  assert(await queue.flush(1000));
  assertEquals(it.text, "y".repeat(1000) + "\n1 lost\n");
});
