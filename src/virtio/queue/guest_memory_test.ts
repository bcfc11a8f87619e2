import { assertEquals, assertThrows } from "@std/assert";
import { GuestMemory, type GuestRegion } from "./guest_memory.ts";

const USER = 0x7f00_0000_0000;

/** Two adjacent regions, a gap, and a third; user addresses are contiguous. */
function regions(): GuestRegion[] {
  const low = new ArrayBuffer(0x1000);
  const middle = new ArrayBuffer(0x3000);
  const high = new ArrayBuffer(0x100);
  return [
    region(0x10000, USER + 0x1000, 0x2000, middle, 0x1000),
    region(0xf000, USER, 0x1000, low, 0),
    region(0x20000, USER + 0x3000, 0x100, high, 0),
  ];
}

function region(
  guestAddress: number,
  userAddress: number,
  length: number,
  buffer: ArrayBuffer,
  bufferOffset: number,
): GuestRegion {
  return { guestAddress, userAddress, length, buffer, bufferOffset };
}

Deno.test("GuestMemory.locate() takes a range only if one region holds all of it", () => {
  const memory = new GuestMemory(regions());
  const cases: [address: number, length: number, region: number][] = [
    [0xf000, 0x1000, 0],
    [0xf000, 0x1001, -1], // goes on in the next region
    [0x10000, 0x2000, 1],
    [0x11fff, 1, 1],
    [0x11fff, 2, -1],
    [0x12000, 1, -1], // the gap
    [0xefff, 1, -1],
    [0x20000, 0x100, 2],
    [0x20000, 0x101, -1],
    [0x200ff, 1, 2],
    [0, 0xffff_ffff, -1],
    [2 ** 53, 1, -1],
    [2 ** 64 - 1, 2, -1], // as near as a number comes: wraps in 64 bits
    [2 ** 64 - 2 ** 11, 2 ** 32 - 1, -1],
  ];
  for (const [address, length, expected] of cases) {
    assertEquals(memory.locate(address, length), expected);
  }
});

Deno.test("GuestMemory reads and writes across adjacent regions", () => {
  const memory = new GuestMemory(regions());
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
  assertEquals(memory.copyIn(0xfff8, bytes), true);
  const back = new Uint8Array(16);
  assertEquals(memory.copyOut(0xfff8, back), true);
  assertEquals(back, bytes);
  assertEquals(memory.readUint8(0xffff), 8);
  assertEquals(memory.readUint8(0x10000), 9);
  assertEquals(memory.reach(0xfff8, 16), 8);
});

Deno.test("GuestMemory.copyIn() writes nothing when part of the range is missing", () => {
  const memory = new GuestMemory(regions());
  assertEquals(memory.copyIn(0x11ff8, new Uint8Array(16).fill(7)), false);
  assertEquals(memory.readUint8(0x11ff8), 0);
  assertEquals(memory.copyOut(0x11ff8, new Uint8Array(16)), false);
  assertEquals(memory.covers(0x11ff8, 8), true);
  assertEquals(memory.covers(0x11ff8, 9), false);
  assertEquals(memory.covers(0xf000, 0x3000), true);
  assertEquals(memory.covers(0x30000, 1), false);
});

Deno.test("GuestMemory knows which regions have one behind them", () => {
  const buffer = new ArrayBuffer(32);
  const memory = new GuestMemory();
  // The first ends at 1, where the ranges of absent regions begin.
  for (const [guestAddress, length] of [[0, 1], [2, 4], [6, 1]] as const) {
    assertEquals(memory.isAdjacent(0), false);
    memory.add({
      guestAddress,
      userAddress: guestAddress,
      length,
      buffer,
      bufferOffset: guestAddress,
    });
  }
  assertEquals([0, 1, 2].map((i) => memory.isAdjacent(i)), [
    false,
    true,
    false,
  ]);
});

Deno.test("GuestMemory leaves single bytes outside every region alone", () => {
  const memory = new GuestMemory(regions());
  assertEquals(memory.readUint8(0x12000), -1);
  assertEquals(memory.writeUint8(0x12000, 1), false);
  assertEquals(memory.writeUint8(0x11fff, 5), true);
  assertEquals(memory.readUint8(0x11fff), 5);
});

Deno.test("GuestMemory respects where in its buffer a region begins", () => {
  const buffer = new ArrayBuffer(0x3000);
  const memory = new GuestMemory([region(0, 0, 0x1000, buffer, 0x2000)]);
  memory.writeUint8(0x10, 9);
  assertEquals(new Uint8Array(buffer)[0x2010], 9);
});

Deno.test("GuestMemory.userToGuest() translates whole ranges only", () => {
  const memory = new GuestMemory(regions());
  const cases: [address: number, length: number, guest: number | undefined][] =
    [
      [USER, 1, 0xf000],
      [USER + 0x1234, 4, 0x10234],
      [USER, 0x3000, 0xf000], // contiguous on both sides
      [USER, 0x3001, undefined], // the third is elsewhere in the guest
      [USER + 0x3000, 0x100, 0x20000],
      [USER + 0x3000, 0x101, undefined],
      [USER - 1, 2, undefined],
      [2 ** 64, 1, undefined],
    ];
  for (const [address, length, expected] of cases) {
    assertEquals(memory.userToGuest(address, length), expected);
  }
});

Deno.test("GuestMemory without regions holds nothing", () => {
  const memory = new GuestMemory([]);
  assertEquals(memory.locate(0, 0), -1);
  assertEquals(memory.locate(1, 0), -1);
  assertEquals(memory.locate(0, 1), -1);
  assertEquals(memory.userToGuest(0, 1), undefined);
  assertEquals(memory.covers(0, 1), false);
});

Deno.test("GuestMemory reaches the far end of a region of several GiB", () => {
  const length = 6 * 2 ** 30;
  const buffer = new ArrayBuffer(length);
  const memory = new GuestMemory([
    region(0x1_0000_0000, USER, length, buffer, 0),
  ]);
  const last = 0x1_0000_0000 + length - 1;
  assertEquals(memory.writeUint8(last, 0x5a), true);
  assertEquals(memory.readUint8(last), 0x5a);
  assertEquals(memory.locate(last, 2), -1);
  const back = new Uint8Array(2);
  assertEquals(memory.copyOut(last - 1, back), true);
  assertEquals([...back], [0, 0x5a]);
});

Deno.test("GuestMemory.add() names what is wrong with a region", () => {
  const buffer = new ArrayBuffer(0x1000);
  const good = region(0x1000, 0, 0x1000, buffer, 0);
  const cases: [bad: GuestRegion[], text: string][] = [
    [[{ ...good, length: 0 }], "is empty"],
    [[{ ...good, length: 0x1001 }], "4097 bytes from 0 are more than the 4096"],
    [[{ ...good, bufferOffset: 1 }], "more than the 4096 that are mapped"],
    [[{ ...good, guestAddress: -1 }], "with -1 as an address"],
    [[{ ...good, guestAddress: 2 ** 53 }], "must be an integer"],
    [[{ ...good, guestAddress: 2 ** 53 - 1 }], "ends beyond 2^53 - 1"],
    [[{ ...good, userAddress: 2 ** 53 - 1 }], "ends beyond 2^53 - 1"],
    [[good, { ...good, guestAddress: 0x1fff }], "0x1fff: it overlaps the one"],
    [
      [good, { ...good, guestAddress: 0x800, length: 0x801 }],
      "0x800: it overlaps the one at 0x1000",
    ],
  ];
  for (const [bad, text] of cases) {
    assertThrows(() => new GuestMemory(bad), RangeError, text);
  }
  const memory = new GuestMemory([good]);
  assertEquals(
    memory.add({ ...good, guestAddress: 0x1800 })?.length! > 0,
    true,
  );
  assertEquals(memory.regionCount, 1);
  assertEquals(memory.add({ ...good, guestAddress: 0x2000 }), undefined);
});

Deno.test("GuestMemory keeps its order while regions come and go", () => {
  const page = 0x1000;
  const count = 100;
  const buffer = new ArrayBuffer(count * page);
  const memory = new GuestMemory();
  const one = (i: number) =>
    region(2 * i * page, USER + i * page, page, buffer, i * page);
  const order = Array.from({ length: count }, (_, i) => (i * 37) % count);
  for (const i of order) assertEquals(memory.add(one(i)), undefined);
  for (const i of order.slice(0, 50)) memory.remove(2 * i * page);
  memory.remove(7);
  const gone = new Set(order.slice(0, 50));
  assertEquals(memory.regionCount, 50);
  for (let i = 0; i < count; i++) {
    assertEquals(
      memory.locate(2 * i * page, page) >= 0,
      !gone.has(i),
      `page ${i}`,
    );
    assertEquals(
      memory.userToGuest(USER + i * page, page),
      gone.has(i) ? undefined : 2 * i * page,
    );
    assertEquals(memory.writeUint8(2 * i * page + 5, 1), !gone.has(i));
  }
  for (const i of gone) assertEquals(memory.add(one(i)), undefined);
  assertEquals(memory.userToGuest(USER + 3 * page, page), 6 * page);
});

Deno.test("GuestMemory translates user addresses that are mapped twice", () => {
  const buffer = new ArrayBuffer(0x10000);
  const memory = new GuestMemory([
    region(0, USER, 0x8000, buffer, 0),
    region(0xc000, USER + 0x4000, 0x1000, buffer, 0x4000),
    region(0x10000, USER, 0x8000, buffer, 0),
  ]);
  assertEquals(memory.userToGuest(USER, 0x100), 0);
  assertEquals(memory.userToGuest(USER + 0x4000, 0x100), 0xc000);
  // It exceeds the small one, so that it must lie in the large one.
  assertEquals(memory.userToGuest(USER + 0x4000, 0x2000), 0x4000);
});

Deno.test("GuestMemory.touch() finds each page that does not exist once, and forgets them with their region", () => {
  const asked: [number, number][] = [];
  const region = {
    guestAddress: 0x1_0000_0000,
    userAddress: 0,
    length: 0x8000,
    buffer: new ArrayBuffer(0x8000),
    bufferOffset: 0,
    absentPages: (offset: number, length: number) => {
      asked.push([offset, length]);
      return offset >= 0x4000 ? 1 : 0;
    },
  };
  const memory = new GuestMemory([region]);
  const at = region.guestAddress;
  // Nothing is looked at for a process that does not care.
  memory.touch(at, 0x8000);
  assertEquals(asked, []);
  let absent = 0;
  memory.onAbsentPages = (pages) => absent += pages;
  memory.touch(at + 0x3ff8, 8);
  assertEquals([asked, absent], [[[0x3000, 0x1000]], 0]);
  memory.touch(at + 0x3ff8, 9);
  memory.touch(at + 0x3000, 0x1001);
  memory.touch(at + 0x4fff, 1);
  assertEquals([asked.length, absent], [2, 1]);
  assertEquals([memory.isKnown(0x10_0004), memory.isKnown(0x10_0005)], [
    true,
    false,
  ]);
  memory.touch(at, 0x8000);
  assertEquals([asked.length, absent], [8, 4]);
  // Beyond all regions there is nothing.
  memory.touch(at + 0x8000, 1);
  assertEquals(asked.length, 8);
  memory.remove(at);
  memory.add(region);
  memory.touch(at + 0x7000, 1);
  assertEquals([asked.length, absent], [9, 5]);
});
