import { assertEquals, assertThrows } from "@std/assert";
import {
  packConfig,
  type PackedLine,
  packLineConfig,
} from "./gpio_v2_config.ts";

// The numbers below are literals on purpose: they are what the kernel reads.
const INPUT = 0x04;
const OUTPUT = 0x08;
const EDGES = 0x30;
const PULL_UP = 0x100;

const line = (
  flags: number,
  more: Partial<PackedLine> = {},
): PackedLine => ({ flags, debounceUs: 0, value: 0, ...more });

/** Packs into memory full of ones, and gives the words that are not zero. */
function packed(lines: readonly PackedLine[]): Record<number, number> {
  const bytes = new Uint8Array(272 + 16).fill(0xff);
  const view = new DataView(bytes.buffer, 8);
  packConfig(view, 0, lines);
  assertEquals(bytes.subarray(0, 8), new Uint8Array(8).fill(0xff));
  assertEquals(bytes.subarray(280), new Uint8Array(8).fill(0xff));
  return nonZeroWords(view, 272);
}

function nonZeroWords(view: DataView, length: number): Record<number, number> {
  const words: Record<number, number> = {};
  for (let at = 0; at < length; at += 4) {
    const word = view.getUint32(at, true);
    if (word !== 0) words[at] = word;
  }
  return words;
}

Deno.test("packConfig() of equal lines is the default flags alone", () => {
  assertEquals(packed([line(INPUT), line(INPUT), line(INPUT)]), { 0: INPUT });
  assertEquals(packed([line(0)]), {});
});

Deno.test("packConfig() makes the most frequent flags the default", () => {
  assertEquals(packed([line(OUTPUT), line(INPUT), line(INPUT)]), {
    0: INPUT,
    8: 1, // num_attrs
    32: 1, // attrs[0].attr.id: flags
    40: OUTPUT, // attrs[0].attr.flags
    48: 0b001, // attrs[0].mask
  });
});

Deno.test("packConfig() makes the earliest of equally frequent flags the default", () => {
  const words = packed([
    line(INPUT | EDGES),
    line(INPUT),
    line(OUTPUT),
    line(INPUT),
    line(INPUT | EDGES),
  ]);
  assertEquals(words, {
    0: INPUT | EDGES,
    8: 2,
    32: 1,
    40: INPUT,
    48: 0b01010,
    56: 1,
    64: OUTPUT,
    72: 0b00100,
  });
});

Deno.test("packConfig() gives one word of output values, about outputs only", () => {
  assertEquals(
    packed([
      line(INPUT),
      line(OUTPUT, { value: 1 }),
      line(OUTPUT),
      line(OUTPUT, { value: 1 }),
    ]),
    {
      0: OUTPUT,
      8: 2,
      32: 1,
      40: INPUT,
      48: 0b0001,
      56: 2, // attrs[1].attr.id: output values
      64: 0b1010,
      72: 0b1110,
    },
  );
});

Deno.test("packConfig() leaves out output values that are all inactive", () => {
  assertEquals(packed([line(OUTPUT), line(OUTPUT)]), { 0: OUTPUT });
});

Deno.test("packConfig() gives each debounce period one attribute", () => {
  assertEquals(
    packed([
      line(INPUT, { debounceUs: 5000 }),
      line(INPUT, { debounceUs: 10 }),
      line(INPUT),
      line(INPUT, { debounceUs: 5000 }),
    ]),
    {
      0: INPUT,
      8: 2,
      32: 3, // debounce
      40: 5000,
      48: 0b1001,
      56: 3,
      64: 10,
      72: 0b0010,
    },
  );
});

Deno.test("packConfig() reaches all 64 lines", () => {
  const lines = Array.from({ length: 64 }, (_, bit) => {
    if (bit === 0 || bit === 31) return line(INPUT | PULL_UP);
    if (bit === 32) return line(INPUT, { debounceUs: 0xffff_ffff });
    if (bit === 63) return line(OUTPUT, { value: 1 });
    return line(OUTPUT);
  });
  assertEquals(packed(lines), {
    0: OUTPUT,
    8: 4,
    32: 1,
    40: INPUT | PULL_UP,
    48: 0x8000_0001,
    // mask's upper word, at 52, is 0
    56: 1,
    64: INPUT,
    76: 0x0000_0001,
    80: 2,
    92: 0x8000_0000,
    96: 0x7fff_fffe,
    100: 0xffff_fffe,
    104: 3,
    112: 0xffff_ffff,
    124: 0x0000_0001,
  });
});

Deno.test("packConfig() uses all 10 attributes", () => {
  const lines = Array.from(
    { length: 9 },
    (_, bit) => line(INPUT | (bit << 8), { debounceUs: bit < 2 ? bit + 1 : 0 }),
  );
  const words = packed(lines);
  assertEquals(words[8], 10);
  assertEquals(words[32 + 9 * 24], 3);
});

Deno.test("packConfig() names both numbers when attributes do not suffice", () => {
  const lines = Array.from(
    { length: 12 },
    (_, bit) => line(INPUT | (bit << 8)),
  );
  const view = new DataView(new ArrayBuffer(272));
  view.setUint32(0, 0xabcd);
  assertThrows(
    () => packConfig(view, 0, lines),
    RangeError,
    "11 attributes are needed, and the kernel takes 10",
  );
  assertEquals(view.getUint32(0), 0xabcd, "nothing was written");
});

Deno.test("packConfig() refuses no line and a 65th", () => {
  const view = new DataView(new ArrayBuffer(272));
  assertThrows(() => packConfig(view, 0, []), RangeError, "0 lines");
  assertThrows(
    () => packConfig(view, 0, Array.from({ length: 65 }, () => line(0))),
    RangeError,
    "65 lines in one request: 1 to 64",
  );
});

Deno.test("packConfig() gives the same bytes for the same lines", () => {
  const make = () =>
    Array.from(
      { length: 64 },
      (_, bit) =>
        line(bit % 3 === 0 ? OUTPUT : INPUT | ((bit % 4) << 8), {
          debounceUs: bit % 3 === 0 ? 0 : (bit % 4) * 100,
          value: bit % 6 === 0 ? 1 : 0,
        }),
    );
  assertEquals(packed(make()), packed(make()));
});

Deno.test("packLineConfig() is packConfig() of one line", () => {
  for (const flags of [0, INPUT, OUTPUT, INPUT | EDGES]) {
    for (const debounceUs of [0, 1, 0xffff_ffff]) {
      for (const value of [0, 1]) {
        const view = new DataView(new Uint8Array(272).fill(0xff).buffer);
        packLineConfig(view, 0, flags, debounceUs, value);
        assertEquals(
          nonZeroWords(view, 272),
          packed([{ flags, debounceUs, value }]),
        );
      }
    }
  }
});
