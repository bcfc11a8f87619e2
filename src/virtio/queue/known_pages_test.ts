/**
 * Pages that the kernel would allocate for the device's accesses: each is found
 * before its first use, and those in use cost no second look.
 */
import { assert, assertEquals } from "@std/assert";
import { RingDriver } from "../../../tests/doubles/ring_driver.ts";
import { ChainFault } from "./chain_fault.ts";
import { DescriptorChain } from "./descriptor_chain.ts";
import { GuestMemory, type GuestRegion, PAGE_BYTES } from "./guest_memory.ts";

const SIZE = 64;
const PAGES = 1024;
/** The ring and its tables lie before the pages that are asked for. */
const FIRST = 16;

/** Guest memory that counts looks for regions and pages. */
class CountedMemory extends GuestMemory {
  looks = 0;

  override locate(address: number, length: number): number {
    this.looks++;
    return super.locate(address, length);
  }

  override touch(address: number, length: number): void {
    this.looks++;
    super.touch(address, length);
  }
}

/** A guest of 4 MiB whose pages are recorded when they are looked at. */
class Guest {
  readonly asked: number[] = [];
  absent = 0;
  readonly memory: CountedMemory;
  readonly chain: DescriptorChain;
  readonly region: GuestRegion;

  constructor() {
    const buffer = new ArrayBuffer(PAGES * PAGE_BYTES);
    this.region = {
      guestAddress: 0,
      userAddress: 0,
      length: buffer.byteLength,
      buffer,
      bufferOffset: 0,
      absentPages: (offset, length) => {
        assertEquals(length, PAGE_BYTES);
        this.asked.push(offset / PAGE_BYTES);
        return 1;
      },
    };
    this.memory = new CountedMemory([this.region]);
    this.memory.onAbsentPages = (pages) => this.absent += pages;
    const table = new DataView(buffer, 0, SIZE * 16);
    this.chain = new DescriptorChain(this.memory, table, SIZE, true);
  }

  /** Returns a driver of the ring that has all of its descriptors. */
  ring(): RingDriver {
    return new RingDriver({
      memory: this.region.buffer,
      guestAddress: 0,
      offset: 0,
      size: SIZE,
    });
  }

  /** Loads a chain of parts in some pages; returns the pages looked at. */
  load(
    readable: readonly number[],
    writable: readonly number[],
    { tablePage, bytes = 1 }: { tablePage?: number; bytes?: number } = {},
  ): number[] {
    const buffers = [
      ...readable.map((page) => ({ page, writable: false })),
      ...writable.map((page) => ({ page, writable: true })),
    ].map(({ page, writable }) => ({
      address: page * PAGE_BYTES + 8,
      length: bytes,
      writable,
    }));
    const ring = this.ring();
    this.asked.length = 0;
    this.chain.load(
      tablePage === undefined
        ? ring.add(buffers)
        : ring.addIndirect(buffers, tablePage * PAGE_BYTES),
    );
    assertEquals(this.chain.fault, ChainFault.None);
    return this.asked.splice(0);
  }
}

Deno.test("a chain's pages are looked at before their first use, and not again", () => {
  const guest = new Guest();
  const tablePage = FIRST;
  const here = { tablePage, bytes: 8 };
  assertEquals(guest.load([20], [21], here), [FIRST, 20, 21]);
  assertEquals(guest.load([20], [21], here), []);
  // In neighbours on both sides, and far away.
  assertEquals(guest.load([19], [22], here), [19, 22]);
  assertEquals(guest.load([20], [21], here), []);
  assertEquals(guest.load([21], [20], here), []);
  assertEquals(guest.load([500], [600], here), [500, 600]);
  assertEquals(guest.load([20], [21], here), []);
  assertEquals(guest.load([500], [22], here), []);
  assertEquals(guest.load([502], [502], { tablePage: 502 }), [502]);
  assertEquals(guest.load([501], [501], here), [501]);
  assertEquals(guest.absent, 9);
});

Deno.test("buffers that are used again cost no look for their region or pages", () => {
  const guest = new Guest();
  const here = { tablePage: FIRST, bytes: 8 };
  guest.load([20], [21], here);
  guest.memory.looks = 0;
  guest.load([20], [21], here);
  guest.load([20, 20], [21, 21], here);
  assertEquals(guest.memory.looks, 0);
});

Deno.test("no page between two that exist is taken for one that does", () => {
  const guest = new Guest();
  guest.load([20], [22]);
  guest.load([22], [20]);
  assertEquals(guest.load([21], [21]), [21]);
  assertEquals(guest.load([23], [19]), [23, 19]);
  // Beyond the window's longest: it begins anew, and still covers nothing else.
  for (let page = 24; page < 700; page++) {
    assertEquals(guest.load([page], [page]), [page]);
  }
  for (let page = 19; page < 700; page++) {
    assertEquals(guest.load([page], [page]), [], `${page}`);
  }
  assertEquals(guest.load([700], [18]), [700, 18]);
});

Deno.test("a buffer that ends in the next page has that page looked at", () => {
  const guest = new Guest();
  guest.load([20], [20]);
  const at = 21 * PAGE_BYTES - 4;
  const ring = guest.ring();
  guest.asked.length = 0;
  guest.chain.load(ring.add([
    { address: at, length: 8, writable: false },
    { address: at, length: 2, writable: true },
  ]));
  assertEquals(guest.asked, [21]);
  // Requests are of 8 bytes: what follows is not used.
  guest.chain.load(ring.add([
    { address: at, length: 3 * PAGE_BYTES, writable: false },
    { address: at, length: 3 * PAGE_BYTES, writable: true },
  ]));
  assertEquals(guest.asked, [21]);
});

Deno.test("memory that changes is looked at again", () => {
  const guest = new Guest();
  guest.load([20], [21]);
  guest.memory.remove(0);
  guest.memory.add(guest.region);
  assertEquals(guest.load([20], [21]), [20, 21]);
  guest.memory.onAbsentPages = () => {};
  assertEquals(guest.load([20], [21]), [20, 21]);
  guest.memory.onAbsentPages = undefined;
  assertEquals(guest.load([20], [500]), []);
});

Deno.test("a region that shifts the others misleads no chain", () => {
  const page = new ArrayBuffer(4 * PAGE_BYTES);
  const buffer = new ArrayBuffer(4 * PAGE_BYTES);
  const at = 16 * PAGE_BYTES;
  const memory = new GuestMemory([{
    guestAddress: at,
    userAddress: 0,
    length: buffer.byteLength,
    buffer,
    bufferOffset: 0,
  }]);
  memory.onAbsentPages = () => {};
  const ring = new RingDriver({
    memory: buffer,
    guestAddress: at,
    offset: 0,
    size: 4,
  });
  const chain = new DescriptorChain(memory, new DataView(buffer), 4, true);
  const view = new DataView(buffer);
  view.setUint32(2 * PAGE_BYTES, 0x1234_5678, true);
  const head = ring.add([
    { address: at + 2 * PAGE_BYTES, length: 8, writable: false },
  ]);
  for (let i = 0; i < 2; i++) {
    chain.load(head);
    assertEquals(chain.readUint32(0), 0x1234_5678);
  }
  memory.add({
    guestAddress: 0,
    userAddress: 2 ** 32,
    length: page.byteLength,
    buffer: page,
    bufferOffset: 0,
  });
  chain.load(head);
  assertEquals(chain.readUint32(0), 0x1234_5678);
});

Deno.test("a long answer in short parts has each part's page looked at", () => {
  const guest = new Guest();
  const pages = Array.from({ length: 40 }, (_, i) => 100 + 2 * i);
  assertEquals(guest.load([20], pages), [20, ...pages.slice(0, 8)]);
  guest.chain.writeUint8(0, 0);
  guest.chain.writeBytes(1, new Uint8Array(pages.length - 1));
  assertEquals(guest.asked, pages.slice(8));
});

Deno.test("pages are known in a bounded number, however many regions there are", () => {
  const count = 4096;
  let asked = 0;
  const buffer = new ArrayBuffer(PAGE_BYTES);
  const memory = new GuestMemory(
    Array.from({ length: count }, (_, i) => ({
      guestAddress: i * PAGE_BYTES,
      userAddress: 0,
      length: PAGE_BYTES,
      buffer,
      bufferOffset: 0,
      absentPages: () => {
        asked++;
        return 0;
      },
    })),
  );
  memory.onAbsentPages = () => {};
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < count; i++) memory.touch(i * PAGE_BYTES, 8);
  }
  assert(asked > 2 * count - 2048, `${asked} of ${2 * count}`);
});
