/**
 * Assumptions about the kernel's GPIO uAPI, asked of the kernel itself through
 * the bare ioctls: when one of these fails, the kernel is not what the library
 * was written for.
 */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import {
  EAGAIN,
  EBUSY,
  EINVAL,
  ENODEV,
  EOPNOTSUPP,
  EPERM,
} from "../../ffi/errno.ts";
import { O_NONBLOCK, O_RDWR, openFile } from "../../ffi/files.ts";
import {
  getChipInfo,
  getLine,
  getLineInfo,
  getLineValues,
  readEvents,
  setLineConfig,
  setLineValues,
  unwatchLineInfo,
  watchLineInfo,
} from "../../ffi/gpio_ioctl.ts";
import { makeNonblocking } from "../../ffi/files.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { POLLERR, POLLHUP, POLLIN, pollReadable } from "../../ffi/poll.ts";
import { EVENT_LIMIT_MS, QUIET_MS, settle, simChip } from "./gpio_sim.ts";

// Literals on purpose: this file tests the kernel, not our tables.
const ACTIVE_LOW = 0x02;
const INPUT = 0x04;
const OUTPUT = 0x08;
const RISING = 0x10;
const FALLING = 0x20;
const REALTIME = 0x800;
const HTE = 0x1000;

const openChip = (path: string) => openFile(path, O_RDWR | O_NONBLOCK);

interface Attribute {
  id: number;
  value: bigint;
  mask: bigint;
}

function putConfig(
  view: DataView,
  at: number,
  flags: number,
  attributes: readonly Attribute[],
) {
  view.setBigUint64(at, BigInt(flags), true);
  view.setUint32(at + 8, attributes.length, true);
  for (const [i, { id, value, mask }] of attributes.entries()) {
    view.setUint32(at + 32 + 24 * i, id, true);
    view.setBigUint64(at + 40 + 24 * i, value, true);
    view.setBigUint64(at + 48 + 24 * i, mask, true);
  }
}

function request(
  chip: OwnedFd,
  offsets: readonly number[],
  flags: number,
  attributes: readonly Attribute[] = [],
  change: (view: DataView) => void = () => {},
): OwnedFd | number {
  const bytes = new Uint8Array(592);
  const view = new DataView(bytes.buffer);
  for (const [i, offset] of offsets.entries()) {
    view.setUint32(4 * i, offset, true);
  }
  bytes.set(new TextEncoder().encode("contract"), 256);
  putConfig(view, 288, flags, attributes);
  view.setUint32(560, offsets.length, true);
  change(view);
  const result = getLine(chip.fd, bytes);
  if (result < 0) return result;
  const owned = new OwnedFd(view.getInt32(588, true), "a line request");
  makeNonblocking(owned);
  return owned;
}

function mustRequest(...args: Parameters<typeof request>): OwnedFd {
  const got = request(...args);
  if (typeof got === "number") throw new Error(`GET_LINE answered ${got}`);
  return got;
}

function configure(
  fd: OwnedFd,
  flags: number,
  attributes: readonly Attribute[] = [],
): number {
  const bytes = new Uint8Array(272);
  putConfig(new DataView(bytes.buffer), 0, flags, attributes);
  return setLineConfig(fd.fd, bytes);
}

function values(fd: OwnedFd, mask: bigint): bigint {
  const words = new BigUint64Array([0n, mask]);
  assertEquals(getLineValues(fd.fd, new Uint8Array(words.buffer)), 0);
  return words[0]!;
}

function setValues(fd: OwnedFd, bits: bigint, mask: bigint): number {
  const words = new BigUint64Array([bits, mask]);
  return setLineValues(fd.fd, new Uint8Array(words.buffer));
}

function info(chip: OwnedFd, offset: number) {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint32(64, offset, true);
  const result = getLineInfo(chip.fd, bytes);
  return { result, flags: view.getUint32(72, true) };
}

function watch(chip: OwnedFd, offset: number): number {
  const bytes = new Uint8Array(256);
  new DataView(bytes.buffer).setUint32(64, offset, true);
  return watchLineInfo(chip.fd, bytes);
}

const unwatch = (chip: OwnedFd, offset: number) =>
  unwatchLineInfo(
    chip.fd,
    new Uint8Array(new Uint32Array([offset]).buffer),
  );

interface Event {
  id: number;
  seqno: number;
  lineSeqno: number;
  stamp: bigint;
}

function events(fd: OwnedFd): Event[] {
  const bytes = new Uint8Array(48 * 64);
  const length = readEvents(fd.fd, bytes, bytes.length);
  if (length === -EAGAIN) return [];
  assert(length > 0 && length % 48 === 0, `read answered ${length}`);
  return Array.from({ length: length / 48 }, (_, i) => {
    const view = new DataView(bytes.buffer, 48 * i);
    return {
      stamp: view.getBigUint64(0, true),
      id: view.getUint32(8, true),
      seqno: view.getUint32(16, true),
      lineSeqno: view.getUint32(20, true),
    };
  });
}

const readable = (fd: OwnedFd, ms: number) => pollReadable([fd.fd], ms)[0]!;

Deno.test("kernel: chip info names the chip and counts its lines", async () => {
  await using sim = await simChip({ lines: 5, label: "contract-chip" });
  using chip = openChip(sim.path);
  const bytes = new Uint8Array(68);
  assertEquals(getChipInfo(chip.fd, bytes), 0);
  const text = new TextDecoder().decode(bytes.subarray(0, 64));
  assertEquals(text.slice(0, 32).replaceAll("\0", ""), sim.name);
  assertEquals(text.slice(32).replaceAll("\0", ""), "contract-chip");
  assertEquals(new DataView(bytes.buffer).getUint32(64, true), 5);
});

Deno.test("kernel: a line requested as it is keeps its direction and value", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.path);
  {
    using output = mustRequest(chip, [0], OUTPUT, [
      { id: 2, value: 1n, mask: 1n },
    ]);
    assertEquals(values(output, 1n), 1n);
  }
  const before = info(chip, 0).flags & (INPUT | OUTPUT);
  using asIs = mustRequest(chip, [0], 0);
  assertEquals(info(chip, 0).flags & (INPUT | OUTPUT), before);
  values(asIs, 1n);
});

Deno.test("kernel: 64 lines are read and set by bit, in the request's order", async () => {
  await using sim = await simChip({ lines: 70 });
  using chip = openChip(sim.path);
  const offsets = Array.from({ length: 64 }, (_, i) => 69 - i);
  using inputs = mustRequest(chip, offsets, INPUT);
  await sim.pull(69, "up");
  await sim.pull(38, "up");
  await sim.pull(6, "up");
  const all = 2n ** 64n - 1n;
  assertEquals(values(inputs, all), 1n | (1n << 31n) | (1n << 63n));
  inputs.close();
  using outputs = mustRequest(chip, offsets, OUTPUT, [
    { id: 2, value: 1n << 63n, mask: all },
  ]);
  assertEquals(await sim.level(6), 1);
  assertEquals(setValues(outputs, 1n, 1n | (1n << 63n)), 0);
  assertEquals([await sim.level(6), await sim.level(69)], [0, 1]);
});

Deno.test("kernel: the 65th line, a 0th line and an absent one are EINVAL", async () => {
  await using sim = await simChip({ lines: 70 });
  using chip = openChip(sim.path);
  assertEquals(request(chip, [], INPUT), -EINVAL);
  assertEquals(request(chip, [70], INPUT), -EINVAL);
  assertEquals(
    request(chip, [0], INPUT, [], (view) => view.setUint32(560, 65, true)),
    -EINVAL,
  );
  assertEquals(info(chip, 70).result, -EINVAL);
});

Deno.test("kernel: padding that is not zero is EINVAL", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  for (const at of [300, 568, 288 + 32 + 4]) {
    assertEquals(
      request(
        chip,
        [0],
        INPUT,
        [{ id: 1, value: BigInt(INPUT), mask: 1n }],
        (view) => view.setUint32(at, 1, true),
      ),
      -EINVAL,
      `at ${at}`,
    );
  }
});

Deno.test("kernel: settings that contradict each other are EINVAL", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  const bad = [
    INPUT | OUTPUT,
    RISING,
    OUTPUT | RISING,
    0x40, // open drain without direction
    INPUT | 0x40,
    OUTPUT | 0xc0, // open drain and open source
    0x100, // pull-up without direction
    INPUT | 0x300, // pull-up and pull-down
    INPUT | 0x2000, // no such flag
  ];
  for (const flags of bad) {
    assertEquals(request(chip, [0], flags), -EINVAL, flags.toString(16));
  }
  assertEquals(
    request(chip, [0], OUTPUT, [{ id: 3, value: 10n, mask: 1n }]),
    -EINVAL,
    "debounced output",
  );
});

Deno.test("kernel: without CONFIG_HTE its clock is EOPNOTSUPP", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  assertEquals(request(chip, [0], INPUT | RISING | HTE), -EOPNOTSUPP);
});

Deno.test("kernel: a line that is taken is EBUSY, also in part", async () => {
  await using sim = await simChip({ lines: 3 });
  using chip = openChip(sim.path);
  using _one = mustRequest(chip, [1], INPUT);
  assertEquals(request(chip, [1], INPUT), -EBUSY);
  assertEquals(request(chip, [0, 1], INPUT), -EBUSY);
  assertEquals(info(chip, 0).flags & 1, 0, "line 0 was given back");
  assertEquals(request(chip, [0, 0], INPUT), -EBUSY);
});

Deno.test("kernel: setting an input is EPERM, an empty mask EINVAL", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.path);
  using lines = mustRequest(chip, [0, 1], INPUT, [
    { id: 1, value: BigInt(OUTPUT), mask: 2n },
  ]);
  assertEquals(setValues(lines, 1n, 1n), -EPERM);
  assertEquals(setValues(lines, 3n, 3n), -EPERM);
  assertEquals(setValues(lines, 2n, 2n), 0);
  assertEquals(setValues(lines, 0n, 0n), -EINVAL);
  const nothing = new BigUint64Array([0n, 0n]);
  assertEquals(
    getLineValues(lines.fd, new Uint8Array(nothing.buffer)),
    -EINVAL,
  );
});

Deno.test("kernel: an output reconfigured without a value becomes inactive", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], OUTPUT, [
    { id: 2, value: 1n, mask: 1n },
  ]);
  assertEquals(await sim.level(0), 1);
  assertEquals(configure(line, OUTPUT), 0);
  assertEquals(await sim.level(0), 0);
  assertEquals(configure(line, OUTPUT | ACTIVE_LOW), 0);
  assertEquals(await sim.level(0), 1);
});

Deno.test("kernel: reconfiguring without a direction changes nothing", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], OUTPUT | ACTIVE_LOW, [
    { id: 2, value: 1n, mask: 1n },
  ]);
  const before = info(chip, 0).flags;
  assertEquals(configure(line, 0), 0);
  assertEquals(info(chip, 0).flags, before);
  assertEquals(await sim.level(0), 0);
});

Deno.test("kernel: info watches are each open file's own", async () => {
  await using sim = await simChip({ lines: 2 });
  using one = openChip(sim.path);
  using other = openChip(sim.path);
  assertEquals(watch(one, 0), 0);
  assertEquals(watch(one, 0), -EBUSY);
  assertEquals(watch(other, 1), 0);
  mustRequest(one, [0], INPUT).close();
  assertEquals(readable(one, EVENT_LIMIT_MS), POLLIN);
  assertEquals(readable(other, QUIET_MS), 0);
  const bytes = new Uint8Array(288 * 4);
  assertEquals(readEvents(one.fd, bytes, bytes.length), 2 * 288);
  const kinds = [0, 1].map((i) =>
    new DataView(bytes.buffer, 288 * i).getUint32(264, true)
  );
  assertEquals(kinds, [1, 2], "requested, released");
  assertEquals(unwatch(one, 0), 0);
  assertEquals(unwatch(one, 0), -EBUSY);
  mustRequest(other, [0], INPUT).close();
  assertEquals(readable(one, QUIET_MS), 0);
});

Deno.test("kernel: a reconfiguration is an info event, one per line changed", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT);
  watch(chip, 0);
  assertEquals(configure(line, OUTPUT), 0);
  assertEquals(readable(chip, EVENT_LIMIT_MS), POLLIN);
  const bytes = new Uint8Array(288 * 4);
  assertEquals(readEvents(chip.fd, bytes, bytes.length), 288);
  const view = new DataView(bytes.buffer);
  assertEquals(view.getUint32(264, true), 3);
  assertEquals(view.getUint32(72, true) & OUTPUT, OUTPUT);
  assertEquals(readEvents(chip.fd, bytes, 287), -EAGAIN);
  configure(line, INPUT);
  assertEquals(readable(chip, EVENT_LIMIT_MS), POLLIN);
  assertEquals(readEvents(chip.fd, bytes, 287), -EINVAL, "no half events");
});

Deno.test("kernel: edges are numbered, per request and per line", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.path);
  using lines = mustRequest(chip, [0, 1], INPUT | RISING | FALLING);
  for (const [offset, pull] of [[0, "up"], [1, "up"], [0, "down"]] as const) {
    await sim.pull(offset, pull);
    await settle();
  }
  assertEquals(
    events(lines).map(({ id, seqno, lineSeqno }) => [id, seqno, lineSeqno]),
    [[1, 1, 1], [1, 2, 1], [2, 3, 2]],
  );
});

Deno.test("kernel: an edge is of the value: active-low turns it round", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT | RISING | FALLING | ACTIVE_LOW);
  assertEquals(values(line, 1n), 1n);
  await sim.pull(0, "up");
  assertEquals(readable(line, EVENT_LIMIT_MS), POLLIN);
  assertEquals(events(line).map(({ id }) => id), [2]);
});

Deno.test("kernel: a full buffer drops the oldest event", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(
    chip,
    [0],
    INPUT | RISING | FALLING,
    [],
    (view) => view.setUint32(564, 4, true),
  );
  for (let i = 0; i < 7; i++) {
    await sim.pull(0, i % 2 === 0 ? "up" : "down");
    await settle();
  }
  const seqnos = events(line).map(({ seqno }) => seqno);
  assertEquals(seqnos.at(-1), 7, "the newest is there");
  assert(seqnos[0]! > 1, `the oldest is gone: ${seqnos}`);
  assertEquals(seqnos.length, 8 - seqnos[0]!, "without a gap in between");
});

Deno.test("kernel: changing the edges leaves events that are buffered", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT | RISING);
  await sim.pull(0, "up");
  assertEquals(readable(line, EVENT_LIMIT_MS), POLLIN);
  assertEquals(configure(line, INPUT), 0);
  assertEquals(events(line).map(({ id }) => id), [1]);
  await sim.pull(0, "down");
  assertEquals(readable(line, QUIET_MS), 0);
});

Deno.test("kernel: a debounced line reports only what lasts", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT | RISING | FALLING, [
    { id: 3, value: 100_000n, mask: 1n },
  ]);
  await sim.pull(0, "up");
  await sim.pull(0, "down");
  assertEquals(readable(line, 250), 0);
  await sim.pull(0, "up");
  assertEquals(readable(line, EVENT_LIMIT_MS), POLLIN);
  assertEquals(events(line).map(({ id }) => id), [1]);
  assertEquals(values(line, 1n), 1n);
});

Deno.test("kernel: the clocks of timestamps are the ones asked for", async () => {
  await using sim = await simChip({ lines: 2 });
  using chip = openChip(sim.path);
  using lines = mustRequest(chip, [0, 1], INPUT | RISING, [
    { id: 1, value: BigInt(INPUT | RISING | REALTIME), mask: 2n },
  ]);
  await sim.pull(0, "up");
  await settle();
  await sim.pull(1, "up");
  await settle();
  const [monotonic, realtime] = events(lines);
  const now = BigInt(Date.now()) * 1_000_000n;
  const off = now - realtime!.stamp;
  assert(off > -1_000_000_000n && off < 60_000_000_000n, `${off} ns`);
  assert(monotonic!.stamp < 3_600_000_000_000n, "this machine is young");
});

Deno.test("kernel: unplugging wakes a poll, and everything is ENODEV", async () => {
  await using sim = await simChip({ lines: 1 });
  using chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT | RISING);
  assertEquals(watch(chip, 0), 0);
  await sim.unplug();
  for (const fd of [line, chip]) {
    const ready = readable(fd, EVENT_LIMIT_MS);
    assertNotEquals(ready & (POLLHUP | POLLERR), 0);
    assertEquals(readEvents(fd.fd, new Uint8Array(288), 288), -ENODEV);
  }
  const words = new Uint8Array(new BigUint64Array([0n, 1n]).buffer);
  assertEquals(getLineValues(line.fd, words), -ENODEV);
  assertEquals(setLineValues(line.fd, words), -ENODEV);
  assertEquals(configure(line, INPUT), -ENODEV);
  assertEquals(getChipInfo(chip.fd, new Uint8Array(68)), -ENODEV);
  assertEquals(request(chip, [0], INPUT), -ENODEV);
  line.close();
  chip.close();
  await sim.plug();
});

Deno.test("kernel: a request lives on when its chip's file is closed", async () => {
  await using sim = await simChip({ lines: 1 });
  const chip = openChip(sim.path);
  using line = mustRequest(chip, [0], INPUT | RISING);
  chip.close();
  await sim.pull(0, "up");
  assertEquals(readable(line, EVENT_LIMIT_MS), POLLIN);
  assertEquals(values(line, 1n), 1n);
});
