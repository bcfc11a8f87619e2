import { assertEquals } from "@std/assert";
import {
  type DriverBuffer,
  RingDriver,
} from "../../../tests/doubles/ring_driver.ts";
import { ChainFault } from "./chain_fault.ts";
import { DescriptorChain } from "./descriptor_chain.ts";
import { GuestMemory } from "./guest_memory.ts";

const SIZE = 8;
const BASE = 0x10000;
const BYTES = 0x4000;
const SPLIT = 0x2000; // a second, adjacent region begins here
const WRITE = 2;
const NEXT = 1;
const INDIRECT = 4;

interface Rig {
  ring: RingDriver;
  chain: DescriptorChain;
  bytes: Uint8Array;
  view: DataView;
}

/** Guest memory in two adjacent regions, and a gap behind them. */
function rig(indirect = true, size = SIZE): Rig {
  const buffer = new ArrayBuffer(BYTES);
  const memory = new GuestMemory([
    {
      guestAddress: BASE,
      userAddress: 0,
      length: SPLIT,
      buffer,
      bufferOffset: 0,
    },
    {
      guestAddress: BASE + SPLIT,
      userAddress: SPLIT,
      length: BYTES - SPLIT,
      buffer,
      bufferOffset: SPLIT,
    },
  ]);
  const ring = new RingDriver({
    memory: buffer,
    guestAddress: BASE,
    offset: 0,
    size,
  });
  const table = new DataView(buffer, 0, size * 16);
  const chain = new DescriptorChain(memory, table, size, indirect);
  return {
    ring,
    chain,
    bytes: new Uint8Array(buffer),
    view: new DataView(buffer),
  };
}

function readable(offset: number, length: number): DriverBuffer {
  return { address: BASE + offset, length, writable: false };
}

function writable(offset: number, length: number): DriverBuffer {
  return { address: BASE + offset, length, writable: true };
}

const MESSAGE = Uint8Array.of(0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);

/** Every way of cutting `length` bytes into pieces. */
function cuts(length: number): number[][] {
  const all: number[][] = [];
  for (let bits = 0; bits < 1 << (length - 1); bits++) {
    const pieces = [1];
    for (let i = 1; i < length; i++) {
      if ((bits >> (i - 1) & 1) === 1) pieces.push(1);
      else pieces[pieces.length - 1]!++;
    }
    all.push(pieces);
  }
  return all;
}

Deno.test("DescriptorChain reads a message however it is cut into parts", () => {
  for (const indirect of [false, true]) {
    for (const pieces of cuts(MESSAGE.length)) {
      const { ring, chain, bytes } = rig(true, 16);
      let at = 0x800;
      let done = 0;
      const buffers = pieces.map((length) => {
        bytes.set(MESSAGE.subarray(done, done + length), at);
        const buffer = readable(at, length);
        done += length;
        at += length + 3;
        return buffer;
      });
      buffers.push(writable(0x1000, 1), writable(0x1010, 1));
      chain.load(
        indirect ? ring.addIndirect(buffers, BASE + 0x1800) : ring.add(buffers),
      );
      assertEquals(chain.fault, ChainFault.None);
      assertEquals(chain.readableBytes, 8);
      assertEquals(chain.writableBytes, 2);
      assertEquals(chain.readUint32(0), 0x44332211);
      assertEquals(chain.readUint32(4), 0x88776655);
      assertEquals(chain.readUint16(2), 0x4433);
      chain.writeUint16(0, 0xbeef);
      assertEquals([bytes[0x1000], bytes[0x1010]], [0xef, 0xbe]);
    }
  }
});

Deno.test("DescriptorChain takes direct descriptors in front of an indirect one", () => {
  const { ring, chain, bytes } = rig();
  bytes.set(MESSAGE, 0x800);
  const table = BASE + 0x1800;
  ring.addIndirect([readable(0x804, 4), writable(0x900, 2)], table);
  ring.writeDescriptor(3, {
    address: BASE + 0x800,
    length: 4,
    flags: NEXT,
    next: 0,
  });
  chain.load(3);
  assertEquals(chain.fault, ChainFault.None);
  assertEquals(chain.readUint32(4), 0x88776655);
  assertEquals(chain.writableAddress(1), BASE + 0x901);
  assertEquals(chain.stepCount, 4);
});

Deno.test("DescriptorChain ignores the write flag of an indirect descriptor", () => {
  const { ring, chain } = rig();
  const head = ring.addIndirect([readable(0x800, 8)], BASE + 0x1800);
  ring.writeDescriptor(head, {
    address: BASE + 0x1800,
    length: 16,
    flags: INDIRECT | WRITE,
    next: 0,
  });
  chain.load(head);
  assertEquals([chain.fault, chain.readableBytes], [ChainFault.None, 8]);
});

Deno.test("DescriptorChain follows a buffer and a table across adjacent regions", () => {
  const { ring, chain, bytes } = rig();
  bytes.set(MESSAGE, SPLIT - 3);
  chain.load(ring.add([readable(SPLIT - 3, 8), writable(SPLIT - 1, 2)]));
  assertEquals(chain.fault, ChainFault.None);
  assertEquals(chain.readUint32(0), 0x44332211);
  chain.writeUint16(0, 0x0201);
  assertEquals([bytes[SPLIT - 1], bytes[SPLIT]], [1, 2]);

  for (const tableAt of [SPLIT - 8, SPLIT - 16, SPLIT - 24]) {
    bytes.set(MESSAGE, 0x800);
    const buffers = [readable(0x800, 8), writable(0x900, 1)];
    chain.load(ring.addIndirect(buffers, BASE + tableAt));
    assertEquals(chain.fault, ChainFault.None);
    assertEquals(chain.readUint32(4), 0x88776655);
    assertEquals(chain.writableBytes, 1);
  }
});

Deno.test("DescriptorChain finds a table again whose buffers lie in another region", () => {
  const { ring, chain, bytes } = rig();
  bytes.set(MESSAGE, SPLIT + 0x800);
  const buffers = [readable(SPLIT + 0x800, 8), writable(SPLIT + 0x900, 1)];
  for (let i = 0; i < 3; i++) {
    chain.load(ring.addIndirect(buffers, BASE + 0x1800));
    assertEquals(chain.fault, ChainFault.None);
    assertEquals(chain.readUint32(4), 0x88776655);
    assertEquals([chain.readableBytes, chain.writableBytes], [8, 1]);
  }
});

Deno.test("DescriptorChain lets empty buffers add nothing", () => {
  const { ring, chain, bytes } = rig();
  bytes.set(MESSAGE, 0x800);
  chain.load(ring.add([
    { address: 0, length: 0, writable: false },
    readable(0x800, 4),
    { address: 2 ** 53 - 1, length: 0, writable: false },
    readable(0x804, 4),
    writable(0x900, 0),
    writable(0x900, 2),
  ]));
  assertEquals(chain.fault, ChainFault.None);
  assertEquals([chain.readableBytes, chain.writableBytes], [8, 2]);
  assertEquals(chain.readUint32(4), 0x88776655);
});

Deno.test("DescriptorChain grows for chains of many parts, and writes them once each", () => {
  const { ring, chain, bytes } = rig(true, 128);
  const buffers = [readable(0x900, 8)];
  for (let i = 0; i < 120; i++) buffers.push(writable(0x1000 + i * 2, 1));
  chain.load(ring.add(buffers));
  assertEquals(chain.writableBytes, 120);
  const source = Uint8Array.from({ length: 119 }, (_, i) => i + 1);
  chain.writeBytes(1, source);
  for (let i = 0; i < 119; i++) assertEquals(bytes[0x1002 + i * 2], i + 1);
  assertEquals(bytes[0x1000], 0);
  assertEquals(bytes[0x1001], 0);
});

Deno.test("DescriptorChain writes long blocks into parts of any size", () => {
  const { ring, chain, bytes } = rig();
  const parts = [writable(0x1000, 1), writable(0x1100, 100)];
  parts.push(writable(SPLIT - 50, 200));
  chain.load(ring.add(parts));
  const source = Uint8Array.from({ length: 280 }, (_, i) => i % 251 + 1);
  chain.writeBytes(1, source);
  assertEquals(bytes[0x1000], 0);
  assertEquals(bytes.slice(0x1100, 0x1164), source.slice(0, 100));
  assertEquals(bytes.slice(SPLIT - 50, SPLIT + 130), source.slice(100));
  assertEquals(bytes[SPLIT + 130], 0);
});

interface BadChain {
  name: string;
  fault: ChainFault;
  /** Makes the chain at head 0. */
  make: (rig: Rig) => void;
  indirect?: boolean;
}

function descriptor(
  address: number,
  length: number,
  flags: number,
  next = 0,
  highAddress?: number,
) {
  return highAddress === undefined
    ? { address, length, flags, next }
    : { address, length, flags, next, highAddress };
}

/** Writes one descriptor of an indirect table. */
function entry(
  rig: Rig,
  at: number,
  ...fields: Parameters<typeof descriptor>
): void {
  const [address, length, flags, next = 0] = fields;
  rig.view.setUint32(at, address, true);
  rig.view.setUint32(at + 4, 0, true);
  rig.view.setUint32(at + 8, length, true);
  rig.view.setUint16(at + 12, flags, true);
  rig.view.setUint16(at + 14, next, true);
}

const TABLE = 0x1800;
const BAD_CHAINS: BadChain[] = [
  {
    name: "a descriptor that names itself",
    fault: ChainFault.TooLong,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE, 1, NEXT | WRITE, 0)),
  },
  {
    name: "a loop of two",
    fault: ChainFault.TooLong,
    make: ({ ring }) => {
      ring.writeDescriptor(0, descriptor(BASE, 1, NEXT, 5));
      ring.writeDescriptor(5, descriptor(BASE, 1, NEXT, 0));
    },
  },
  {
    name: "a loop of empty buffers",
    fault: ChainFault.TooLong,
    make: ({ ring }) => ring.writeDescriptor(0, descriptor(0, 0, NEXT, 0)),
  },
  {
    name: "a loop inside an indirect table",
    fault: ChainFault.TooLong,
    make: (r) => {
      r.ring.writeDescriptor(0, descriptor(BASE + TABLE, 64, INDIRECT));
      entry(r, TABLE, BASE, 1, NEXT, 1);
      entry(r, TABLE + 16, BASE, 1, NEXT, 0);
    },
  },
  {
    name: "a next that is just out of range",
    fault: ChainFault.NextOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE, 1, NEXT, SIZE)),
  },
  {
    name: "a next far out of range",
    fault: ChainFault.NextOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE, 1, NEXT, 0xffff)),
  },
  {
    name: "a next beyond its indirect table",
    fault: ChainFault.NextOutOfRange,
    make: (r) => {
      r.ring.writeDescriptor(0, descriptor(BASE + TABLE, 16, INDIRECT));
      entry(r, TABLE, BASE, 1, NEXT, 1);
    },
  },
  {
    name: "a buffer before all memory",
    fault: ChainFault.BufferOutOfRange,
    make: ({ ring }) => ring.writeDescriptor(0, descriptor(BASE - 1, 1, 0)),
  },
  {
    name: "a buffer that leaves memory by one byte",
    fault: ChainFault.BufferOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + BYTES - 7, 8, 0)),
  },
  {
    name: "a buffer of almost 4 GiB",
    fault: ChainFault.BufferOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE, 0xffff_ffff, WRITE)),
  },
  {
    name: "an address that wraps in 64 bits",
    fault: ChainFault.BufferOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(
        0,
        descriptor(0xffff_fffc, 8, WRITE, 0, 0xffff_ffff),
      ),
  },
  {
    name: "an address whose low half alone would be good",
    fault: ChainFault.BufferOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE, 8, WRITE, 0, 0x8000_0000)),
  },
  {
    name: "a readable part after a writable one",
    fault: ChainFault.ReadableAfterWritable,
    make: ({ ring }) => {
      ring.writeDescriptor(0, descriptor(BASE, 1, NEXT | WRITE, 1));
      ring.writeDescriptor(1, descriptor(BASE, 1, 0));
    },
  },
  {
    name: "a readable part after an empty writable one",
    fault: ChainFault.ReadableAfterWritable,
    make: ({ ring }) => {
      ring.writeDescriptor(0, descriptor(BASE, 0, NEXT | WRITE, 1));
      ring.writeDescriptor(1, descriptor(BASE, 8, 0));
    },
  },
  {
    name: "an indirect descriptor that was not negotiated",
    fault: ChainFault.IndirectNotNegotiated,
    indirect: false,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + TABLE, 16, INDIRECT)),
  },
  {
    name: "an indirect table inside an indirect table",
    fault: ChainFault.IndirectNested,
    make: (r) => {
      r.ring.writeDescriptor(0, descriptor(BASE + TABLE, 16, INDIRECT));
      entry(r, TABLE, BASE + TABLE, 16, INDIRECT);
    },
  },
  {
    name: "an indirect descriptor with a next",
    fault: ChainFault.IndirectWithNext,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + TABLE, 16, INDIRECT | NEXT, 1)),
  },
  {
    name: "an empty indirect table",
    fault: ChainFault.IndirectLength,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + TABLE, 0, INDIRECT)),
  },
  {
    name: "an indirect table of one byte less than a descriptor",
    fault: ChainFault.IndirectLength,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + TABLE, 15, INDIRECT)),
  },
  {
    name: "an indirect table of one and a half descriptors",
    fault: ChainFault.IndirectLength,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + TABLE, 24, INDIRECT)),
  },
  {
    name: "an indirect table that leaves memory",
    fault: ChainFault.IndirectOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(BASE + BYTES - 16, 32, INDIRECT)),
  },
  {
    name: "an indirect table nowhere",
    fault: ChainFault.IndirectOutOfRange,
    make: ({ ring }) =>
      ring.writeDescriptor(0, descriptor(0, 16, INDIRECT, 0, 0xffff_ffff)),
  },
];

for (const { name, fault, make, indirect } of BAD_CHAINS) {
  Deno.test(`DescriptorChain refuses ${name}`, () => {
    const r = rig(indirect ?? true);
    make(r);
    const before = r.bytes.slice();
    r.chain.load(0);
    assertEquals(r.chain.fault, fault);
    assertEquals(r.bytes, before);
    // The object is as good as new for the next chain.
    const head = r.ring.add([readable(0x800, 8), writable(0x900, 2)]);
    r.chain.load(head);
    assertEquals(r.chain.fault, ChainFault.None);
    assertEquals([r.chain.readableBytes, r.chain.writableBytes], [8, 2]);
  });
}

Deno.test("DescriptorChain refuses buffers that add up to 4 GiB", () => {
  const half = 2 ** 31;
  const buffer = new ArrayBuffer(half + 0x1000);
  const memory = new GuestMemory([{
    guestAddress: 0,
    userAddress: 0,
    length: buffer.byteLength,
    buffer,
    bufferOffset: 0,
  }]);
  const ring = new RingDriver({
    memory: buffer,
    guestAddress: 0,
    offset: 0,
    size: 4,
  });
  const chain = new DescriptorChain(
    memory,
    new DataView(buffer, 0, 64),
    4,
    false,
  );
  const big = { address: 0x1000, length: half, writable: true };
  chain.load(ring.add([big, { ...big, length: half - 1 }]));
  assertEquals(chain.fault, ChainFault.None);
  assertEquals(chain.writableBytes, 2 ** 32 - 1);
  chain.load(ring.add([big, big]));
  assertEquals(chain.fault, ChainFault.TooManyBytes);
});

Deno.test("DescriptorChain bounds the descriptors of a chain in a large queue", () => {
  for (
    const [count, fault] of [[1024, ChainFault.None], [
      1025,
      ChainFault.TooLong,
    ]] as const
  ) {
    const size = 4096;
    const buffer = new ArrayBuffer(size * 64);
    const memory = new GuestMemory([{
      guestAddress: 0,
      userAddress: 0,
      length: buffer.byteLength,
      buffer,
      bufferOffset: 0,
    }]);
    const ring = new RingDriver({
      memory: buffer,
      guestAddress: 0,
      offset: 0,
      size,
    });
    const table = new DataView(buffer, 0, size * 16);
    const chain = new DescriptorChain(memory, table, size, true);
    const buffers: DriverBuffer[] = Array.from(
      { length: count },
      () => ({ address: size * 48, length: 1, writable: true }),
    );
    chain.load(ring.add(buffers));
    assertEquals(chain.fault, fault, "direct");
    chain.load(ring.addIndirect(buffers, size * 32));
    assertEquals(chain.fault, fault, "indirect");
  }
});

Deno.test("DescriptorChain bounds the parts of a chain over many regions", () => {
  const page = 4096;
  const regions = 500;
  const size = 64;
  const buffer = new ArrayBuffer(page * (regions + 1));
  const memory = new GuestMemory(
    Array.from({ length: regions + 1 }, (_, i) => ({
      guestAddress: i * page,
      userAddress: i * page,
      length: page,
      buffer,
      bufferOffset: i * page,
    })),
  );
  const ring = new RingDriver({
    memory: buffer,
    guestAddress: 0,
    offset: 0,
    size,
  });
  const table = new DataView(buffer, 0, size * 16);
  const chain = new DescriptorChain(memory, table, size, false);
  const all = { address: page, length: regions * page, writable: true };
  chain.load(ring.add([all, all]));
  assertEquals([chain.fault, chain.writableBytes], [
    ChainFault.None,
    2 * regions * page,
  ]);
  // Each further part of a buffer takes its time of a turn, as descriptors do.
  assertEquals(chain.stepCount, 2 * regions);
  chain.load(ring.add([all, all, all]));
  assertEquals(chain.fault, ChainFault.TooManyParts);
});

Deno.test("DescriptorChain allows a small queue an indirect chain of 64", () => {
  const r = rig(true, 2);
  const buffers: DriverBuffer[] = [];
  for (let i = 0; i < 64; i++) buffers.push(writable(0x100 + i, 1));
  r.chain.load(r.ring.addIndirect(buffers, BASE + 0x1000));
  assertEquals([r.chain.fault, r.chain.writableBytes], [ChainFault.None, 64]);
  r.chain.load(
    r.ring.addIndirect([...buffers, writable(0x100, 1)], BASE + 0x1000),
  );
  assertEquals(r.chain.fault, ChainFault.TooLong);
});
