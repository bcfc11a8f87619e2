import { assertEquals, assertThrows } from "@std/assert";
import {
  array,
  bytes,
  I64,
  layout,
  PADDING,
  U16,
  U32,
  U64,
  U8,
} from "./layout.ts";

Deno.test("layout() yields the offset of each field", () => {
  const line = layout("line", 16, [
    ["id", U32],
    ["kind", U16],
    ["flags", array(U8, 2)],
    ["stamp", I64],
  ]);
  assertEquals(line.size, 16);
  assertEquals({ ...line.at }, { id: 0, kind: 4, flags: 6, stamp: 8 });
});

Deno.test("layout() takes layouts as fields and aligns them", () => {
  const inner = layout("inner", 16, [["id", U32], ["_pad", U32], [
    "value",
    U64,
  ]]);
  const outer = layout("outer", 40, [
    ["count", U32],
    ["_hole", PADDING],
    ["items", array(inner, 2)],
  ]);
  assertEquals(outer.at.items, 8);
  assertEquals(outer.alignment, 8);
});

Deno.test("layout() gives PADDING the bytes that C leaves", () => {
  const padded = layout("padded", 24, [
    ["a", U8],
    ["_a", PADDING],
    ["b", U64],
    ["c", U16],
    ["_c", PADDING],
  ]);
  assertEquals({ ...padded.at }, { a: 0, _a: 1, b: 8, c: 16, _c: 18 });
});

Deno.test("layout() refuses a hole without a name", () => {
  assertThrows(
    () => layout("holed", 16, [["a", U8], ["b", U64]]),
    TypeError,
    'unnamed hole of 7 bytes before "b"',
  );
});

Deno.test("layout() refuses a hole without a name at the end", () => {
  assertThrows(
    () => layout("tail", 16, [["a", U64], ["b", U16]]),
    TypeError,
    "unnamed hole of 6 bytes at the end",
  );
});

Deno.test("layout() refuses a total that is not the kernel's", () => {
  assertThrows(
    () => layout("short", 12, [["a", U64]]),
    TypeError,
    "the fields take 8 bytes, not 12",
  );
});

Deno.test("layout() refuses PADDING where there is no hole", () => {
  assertThrows(
    () => layout("tight", 8, [["a", U32], ["_a", PADDING], ["b", U32]]),
    TypeError,
    'no hole at "_a"',
  );
});

Deno.test("layout() refuses a name that comes twice", () => {
  assertThrows(
    () => layout("twice", 8, [["a", U32], ["a", U32]]),
    TypeError,
    '"a" comes twice',
  );
});

Deno.test("layout() of a packed struct has no alignment", () => {
  const packed = layout("packed", 13, [["a", U8], ["b", U32], ["c", U64]], {
    packed: true,
  });
  assertEquals({ ...packed.at }, { a: 0, b: 1, c: 5 });
  assertEquals(packed.alignment, 1);
});

Deno.test("layout() freezes what it yields", () => {
  const frozen = layout("frozen", 1, [["a", U8]]);
  assertThrows(() => {
    (frozen.at as { a: number }).a = 7;
  }, TypeError);
});

Deno.test("layout() makes an unknown field a type error", () => {
  const typed = layout("typed", 4, [["known", U32]]);
  // @ts-expect-error: the table has no such field
  assertEquals(typed.at.unknown, undefined);
});

Deno.test("bytes() and array() refuse lengths that no C array has", () => {
  assertThrows(() => bytes(0), RangeError);
  assertThrows(() => array(U32, 1.5), RangeError);
});
