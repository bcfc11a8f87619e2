import { assertEquals } from "@std/assert";
import {
  decodeHeader,
  decodeInflight,
  decodeU64,
  decodeVringState,
  encodeConfig,
  encodeInflight,
  encodeMemoryRegion,
  encodeMemoryTable,
  encodeMessage,
  encodeU64,
  encodeVringAddress,
  encodeVringFd,
  encodeVringState,
} from "./messages.ts";

/** Bytes from hex digits; blanks separate fields for the reader only. */
function bytes(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replaceAll(/\s/g, ""));
}

const REGION = {
  guestAddress: 0x4000_0000,
  length: 0x10_0000,
  userAddress: 0x7f10_4000_0000,
  fileOffset: 0x2000,
};
const REGION_BYTES = "0000004000000000 0000100000000000" +
  "00000040107f0000 0020000000000000";

Deno.test("a message is a 12-byte header and its payload", () => {
  assertEquals(
    encodeMessage(18, 0x9, 8, encodeVringState(1, 1)),
    bytes("12000000 09000000 08000000 01000000 01000000"),
  );
});

Deno.test("a message's size field may lie", () => {
  assertEquals(
    encodeMessage(1, 1, 0xffff_ffff, new Uint8Array(0)),
    bytes("01000000 01000000 ffffffff"),
  );
});

Deno.test("decodeHeader() reads the three words", () => {
  assertEquals(decodeHeader(bytes("0b000000 05000000 08000000")), {
    request: 11,
    flags: 5,
    size: 8,
  });
});

Deno.test("64-bit payloads keep all bits", () => {
  assertEquals(
    encodeU64(0x8123_4567_89ab_cdefn),
    bytes("efcdab8967452381"),
  );
  assertEquals(decodeU64(bytes("efcdab8967452381")), 0x8123_4567_89ab_cdefn);
});

Deno.test("a vring state is the index, then the number", () => {
  assertEquals(encodeVringState(1, 256), bytes("01000000 00010000"));
  assertEquals(decodeVringState(bytes("01000000 00010000")), {
    index: 1,
    value: 256,
  });
});

Deno.test("SET_VRING_ADDR names the used ring before the available one", () => {
  assertEquals(
    encodeVringAddress(1, {
      descriptors: 0x1_0000_0010,
      avail: 0x22n,
      used: 0x33,
      flags: 1,
      log: 0xffff_ffff_ffff_fff0n,
    }),
    bytes(
      "01000000 01000000 1000000001000000 3300000000000000" +
        "2200000000000000 f0ffffffffffffff",
    ),
  );
});

Deno.test("a vring fd message without an fd has bit 8 set", () => {
  assertEquals(encodeVringFd(1, true), bytes("0100000000000000"));
  assertEquals(encodeVringFd(1, false), bytes("0101000000000000"));
});

Deno.test("SET_MEM_TABLE carries the regions after count and padding", () => {
  assertEquals(
    encodeMemoryTable([REGION, { ...REGION, fileOffset: 0 }]),
    bytes(
      "02000000 00000000" + REGION_BYTES + REGION_BYTES.slice(0, -16) +
        "0000000000000000",
    ),
  );
});

Deno.test("ADD_MEM_REG carries one region after 8 bytes of padding", () => {
  assertEquals(
    encodeMemoryRegion(REGION),
    bytes("0000000000000000" + REGION_BYTES),
  );
});

Deno.test("GET_CONFIG carries offset, size, flags and the bytes", () => {
  assertEquals(
    encodeConfig(4, 2, 1, bytes("aabb")),
    bytes("04000000 02000000 01000000 aabb"),
  );
});

Deno.test("the in-flight description has the C struct's 24 bytes", () => {
  const encoded = bytes("0030000000000000 0010000000000000 0200 0001 00000000");
  assertEquals(encodeInflight(0x3000, 0x1000, 2, 256), encoded);
  assertEquals(decodeInflight(encoded), { size: 0x3000, offset: 0x1000 });
});
