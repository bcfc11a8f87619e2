import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { InflightLog } from "./inflight.ts";

const SIZE = 8;

function open(buffer: ArrayBuffer, offset = 0, size = SIZE): InflightLog {
  const log = InflightLog.open(buffer, offset, size);
  if (typeof log === "string") throw new Error(log);
  return log;
}

function fresh(): { buffer: ArrayBuffer; log: InflightLog; view: DataView } {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(SIZE));
  const log = open(buffer);
  assertEquals(log.recover(0).list(), []);
  return { buffer, log, view: new DataView(buffer) };
}

Deno.test("InflightLog.bytesFor() is the region of the protocol, aligned to 64", () => {
  // 16 bytes of header and 16 per descriptor.
  assertEquals(InflightLog.bytesFor(1), 64);
  assertEquals(InflightLog.bytesFor(3), 64);
  assertEquals(InflightLog.bytesFor(4), 128);
  assertEquals(InflightLog.bytesFor(256), 4160);
});

Deno.test("InflightLog initializes an unused region", () => {
  const { view, log } = fresh();
  assertEquals(view.getUint16(8, true), 1); // version
  assertEquals(view.getUint16(10, true), SIZE); // desc_num
  log.take(3);
  assertEquals(view.getUint8(16 + 3 * 16), 1); // inflight
  assert(view.getBigUint64(16 + 3 * 16 + 8, true) > 0n); // counter
});

Deno.test("InflightLog keeps the order in which heads were taken", () => {
  const { buffer, log } = fresh();
  for (const head of [5, 1, 7, 0]) log.take(head);
  assertEquals(open(buffer).recover(0).list(), [5, 1, 7, 0]);
  log.markUsed(1);
  log.published(1);
  const next = open(buffer);
  assertEquals(next.recover(1).list(), [5, 7, 0]);
  next.take(1);
  assertEquals(open(buffer).recover(1).list(), [5, 7, 0, 1]);
});

Deno.test("InflightLog reports that a head was returned, however few counters say so", () => {
  const hasGivenBack = (buffer: ArrayBuffer) => {
    const reading = open(buffer).read();
    for (;;) {
      const { done, value } = reading.next();
      if (done) return value.hasGivenBack;
    }
  };
  const { buffer, log } = fresh();
  assertEquals(hasGivenBack(buffer), false);
  log.take(0);
  assertEquals(hasGivenBack(buffer), false);
  log.markUsed(0);
  log.published(1);
  // Counters start again with the process: that of head 1 is 1 as well.
  const next = open(buffer);
  next.recover(1);
  next.take(1);
  assertEquals(hasGivenBack(buffer), true);
});

Deno.test("InflightLog recovers wherever a batch of two was interrupted", () => {
  // What the steps of giving back heads 4 and 2 leave behind, step by step, and
  // what must be resubmitted if the process dies right after that step.
  const steps: [name: string, run: (log: InflightLog) => void, used: number][] =
    [
      ["nothing done", () => {}, 10],
      ["one entry listed", (log) => log.markUsed(4), 10],
      ["both entries listed", (log) => {
        log.markUsed(4);
        log.markUsed(2);
      }, 10],
      ["used.idx published", (log) => {
        log.markUsed(4);
        log.markUsed(2);
      }, 12],
      ["batch struck off", (log) => {
        log.markUsed(4);
        log.markUsed(2);
        log.published(12);
      }, 12],
    ];
  for (const [name, run, used] of steps) {
    const buffer = new ArrayBuffer(InflightLog.bytesFor(SIZE));
    const log = open(buffer);
    log.recover(7);
    // An older batch, so that the list has a tail that must not be followed.
    for (const head of [1, 3, 5]) log.take(head);
    for (const head of [3, 1, 5]) log.markUsed(head);
    log.published(10);
    for (const head of [6, 4, 3, 2]) log.take(head);
    run(log);
    const expected = used === 12 ? [6, 3] : [6, 4, 3, 2];
    assertEquals(open(buffer).recover(used).list(), expected, name);
    // What was repaired stays repaired.
    assertEquals(open(buffer).recover(used).list(), expected, `${name}, again`);
  }
});

Deno.test("InflightLog recovers a batch that was struck off in part", () => {
  const { buffer, log, view } = fresh();
  for (const head of [0, 1, 2]) log.take(head);
  log.markUsed(0);
  log.markUsed(1);
  log.published(2);
  // Died between the two stores of the batch, and before used_idx.
  view.setUint8(16 + 1 * 16, 1);
  view.setUint16(14, 0, true);
  assertEquals(open(buffer).recover(2).list(), [2]);
});

Deno.test("InflightLog follows used.idx across its wrap", () => {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(SIZE));
  const log = open(buffer);
  log.recover(0xfffe);
  for (const head of [0, 1, 2, 3]) log.take(head);
  for (const head of [0, 1, 2]) log.markUsed(head);
  assertEquals(open(buffer).recover(1).list(), [3]);
});

Deno.test("InflightLog survives a region full of nonsense", () => {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(SIZE));
  const bytes = new Uint8Array(buffer);
  let seed = 1;
  for (let round = 0; round < 500; round++) {
    for (let i = 0; i < bytes.length; i++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      bytes[i] = seed >>> 24;
    }
    // A header that is taken seriously, with the rest as it is.
    if (round % 2 === 0) {
      new DataView(buffer).setUint16(8, 1, true);
      new DataView(buffer).setUint16(10, SIZE, true);
      for (let head = 0; head < SIZE; head++) bytes[16 + head * 16]! &= 1;
    }
    const log = open(buffer);
    const heads = log.recover(seed & 0xffff).list();
    assert(heads.every((head) => head >= 0 && head < SIZE));
    assertEquals(new Set(heads).size, heads.length);
    for (let head = 0; head < SIZE; head++) log.take(head);
    for (let head = 0; head < SIZE; head++) log.markUsed(head);
    log.published((seed + SIZE) & 0xffff);
    assertEquals(open(buffer).recover((seed + SIZE) & 0xffff).list(), []);
  }
});

Deno.test("InflightLog begins afresh when the ring has another size", () => {
  const buffer = new ArrayBuffer(InflightLog.bytesFor(16));
  const log = open(buffer, 0, 8);
  log.recover(0);
  log.take(3);
  assertEquals(open(buffer, 0, 16).recover(5).list(), []);
});

Deno.test("InflightLog.open() says why it cannot", () => {
  const buffer = new ArrayBuffer(256);
  const cases: [offset: number, size: number, text: string][] = [
    [4, 8, "multiple of 8"],
    [128, 8, "end beyond the 256"],
    [-64, 8, "end beyond"],
    [0, 0, "1 to 32768"],
    [0, 40000, "1 to 32768"],
    [NaN, 8, "multiple of 8"],
  ];
  for (const [offset, size, text] of cases) {
    const log = InflightLog.open(buffer, offset, size);
    assert(typeof log === "string");
    assertStringIncludes(log, text);
  }
});

Deno.test("InflightLog.adopt() makes the log say what the queue knows", () => {
  const { buffer, log } = fresh();
  log.adopt(3, [6, 2]);
  assertEquals(open(buffer).recover(3).list(), [6, 2]);
  // What it says already stays untouched, and later heads are newer.
  const before = new Uint8Array(buffer.slice(0));
  const same = open(buffer);
  same.adopt(3, [6, 2]);
  assertEquals(new Uint8Array(buffer), before);
  same.take(0);
  assertEquals(open(buffer).recover(3).list(), [6, 2, 0]);
  // Another index, other heads, more heads, none.
  for (
    const [index, heads] of [
      [4, [6, 2, 0]],
      [4, [1, 2, 0]],
      [4, [1, 2, 0, 5]],
      [4, []],
    ] as const
  ) {
    open(buffer).adopt(index, heads);
    assertEquals(open(buffer).recover(index).list(), [...heads]);
  }
});

Deno.test("InflightLog.open() takes the sizes that a ring can have", () => {
  for (const size of [1, 2, 32768]) {
    open(new ArrayBuffer(InflightLog.bytesFor(size)), 0, size);
  }
  const region = new ArrayBuffer(InflightLog.bytesFor(32769));
  for (const size of [0, -1, 1.5, 32769]) {
    assertEquals(typeof InflightLog.open(region, 0, size), "string");
  }
});
