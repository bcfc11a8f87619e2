import { assertEquals, assertRejects } from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import { readLines, readText } from "./http_request.ts";
import { TimeLimit } from "../async/wait.ts";

/** Limit of an answer: the program's own, before a release. */
const LIMIT_MIB = rounds(256, 16);

const PIECE = new Uint8Array(1024 * 1024).fill(0x20);

/** A body that has no end; reports how much was taken. */
async function* endless(taken: { bytes: number }) {
  for (;;) {
    taken.bytes += PIECE.length;
    yield await Promise.resolve(PIECE);
  }
}

/** The limit in bytes; that of the program need not be given. */
function parseLimit(mib: number): number | undefined {
  return mib === 256 ? undefined : mib * 1024 * 1024;
}

async function* streamPieces(...pieces: string[]) {
  for (const piece of pieces) yield new TextEncoder().encode(piece);
}

Deno.test("readLines() joins the pieces of a line", async () => {
  const lines = await Array.fromAsync(
    readLines(streamPieces("a", "b\n", "c\nd\ne", "", "f\n\n", "rest")),
  );
  assertEquals(lines, ["ab", "c", "d", "ef", ""]);
  assertEquals(await readText(streamPieces("a", "b\n", "c")), "ab\nc");
});

for (
  const [name, read] of [
    [
      "readText",
      (body: AsyncIterable<Uint8Array>) =>
        readText(body, parseLimit(LIMIT_MIB)),
    ],
    [
      "readLines",
      (body: AsyncIterable<Uint8Array>) =>
        readLines(body, parseLimit(LIMIT_MIB)).next(),
    ],
  ] as const
) {
  Deno.test(`${name}() takes no answer without an end`, async () => {
    const taken = { bytes: 0 };
    await assertRejects(
      async () => void await read(endless(taken)),
      RangeError,
      `more than ${LIMIT_MIB} MiB`,
    );
    assertEquals(taken.bytes, (LIMIT_MIB + 1) * PIECE.length);
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
