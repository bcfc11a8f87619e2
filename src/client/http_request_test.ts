import { assertEquals, assertRejects } from "@std/assert";
import { readLines, readText } from "./http_request.ts";
import { TimeLimit } from "../async/wait.ts";

const PIECE = new Uint8Array(1024 * 1024).fill(0x20);

/** A body that has no end; reports how much was taken. */
async function* endless(taken: { bytes: number }) {
  for (;;) {
    taken.bytes += PIECE.length;
    yield await Promise.resolve(PIECE);
  }
}

async function* bodyOf(...pieces: string[]) {
  for (const piece of pieces) yield new TextEncoder().encode(piece);
}

Deno.test("readLines() joins the pieces of a line", async () => {
  const lines = await Array.fromAsync(
    readLines(bodyOf("a", "b\n", "c\nd\ne", "", "f\n\n", "rest")),
  );
  assertEquals(lines, ["ab", "c", "d", "ef", ""]);
  assertEquals(await readText(bodyOf("a", "b\n", "c")), "ab\nc");
});

for (
  const [name, read] of [
    ["readText", (body: AsyncIterable<Uint8Array>) => readText(body)],
    [
      "readLines",
      (body: AsyncIterable<Uint8Array>) => readLines(body).next(),
    ],
  ] as const
) {
  Deno.test(`${name}() takes no answer without an end`, async () => {
    const taken = { bytes: 0 };
    await assertRejects(
      async () => void await read(endless(taken)),
      RangeError,
      "more than 256 MiB",
    );
    assertEquals(taken.bytes, 257 * PIECE.length);
  });
}

for (const limitMs of [-1, Infinity, 2 ** 31, 1e15]) {
  Deno.test(`a limit of ${limitMs} ms is not over at once`, async () => {
    const limit = new TimeLimit("/socket", limitMs);
    const later = new Promise((resolve) => setTimeout(() => resolve(7), 30));
    assertEquals(await limit.hold(later, () => {}), 7);
    await limit.sleep(1);
  });
}
