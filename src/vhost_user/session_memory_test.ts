/** Guest memory: what is mapped, what is refused, and changes under running rings. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { O_RDWR, openFile } from "../../ffi/files.ts";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { libc } from "../../ffi/libc.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import {
  GUEST_AT,
  join,
  R,
  u32,
  u64,
  USER_AT,
} from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";

const BOTH_EDGES = 3;
const GET_VALUE = 4;
const MIB = 0x10_0000;
/** Limit of the helper threads that close descriptors. **Units**: ms. */
const HELPERS_LIMIT_MS = 60_000;

/** Guest address, size, user address, offset. */
type Region = readonly [
  number | bigint,
  number | bigint,
  number | bigint,
  number | bigint,
];

function memTable(...regions: readonly Region[]): Uint8Array {
  return join(u32(regions.length, 0), ...regions.map((one) => u64(...one)));
}

const single = (region: Region) => join(u64(0), u64(...region));

/** Both interrupts that were armed still come, and requests are served. */
function assertAlive(rig: VhostRig): void {
  rig.ports[0]!.pull(1 - rig.ports[0]!.level);
  assertEquals(rig.guest.interrupts(), [[0, 1]]);
  rig.guest.arm(0);
  rig.guest.kick(1);
  rig.turn();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, rig.ports[0]!.level]);
}

Deno.test("memory may begin anywhere in its file", () => {
  for (const fileOffset of [0, 0x1000, 0x1230, 0x1_0010]) {
    using rig = new VhostRig({ fileOffset });
    rig.negotiate();
    rig.startRings();
    rig.armLine(0, BOTH_EDGES);
    assertAlive(rig);
  }
});

Deno.test("regions may have many GiB, and rings lie at their end", () => {
  const deep = 2 ** 35;
  using rig = new VhostRig({ fileOffset: deep, guestAddress: 2 ** 36 });
  rig.negotiate();
  rig.must(
    R.SET_MEM_TABLE,
    memTable([2 ** 36 - deep, deep + MIB, USER_AT - deep, 0]),
    [rig.guest.file.fd],
  );
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  assertAlive(rig);
});

Deno.test("memory may come in several regions of several files", () => {
  using rig = new VhostRig();
  using other = createMemFd("other", MIB);
  rig.negotiate();
  const fd = rig.guest.file.fd;
  const half = MIB / 2;
  // The halves of the guest's memory, rings in one and messages in the other.
  rig.must(
    R.SET_MEM_TABLE,
    memTable(
      [GUEST_AT + half, half, USER_AT + half, half],
      [0, MIB, 0x5555_0000_0000, 0],
      [GUEST_AT, half, USER_AT, 0],
    ),
    [fd, other.fd, fd],
  );
  assertEquals(rig.leftovers(), { fds: 0, mappings: 3 });
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  assertAlive(rig);
});

Deno.test("SET_MEM_TABLE refuses what cannot be mapped safely, and keeps the old memory", () => {
  using rig = new VhostRig();
  using channel = rig.newChannel();
  using zero = openFile("/dev/zero", O_RDWR);
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  const fd = rig.guest.file.fd;
  const good: Region = [GUEST_AT, MIB, USER_AT, 0];
  const refused: [string, Uint8Array, number[]][] = [
    ["empty", memTable([GUEST_AT, 0, USER_AT, 0]), [fd]],
    ["too long", memTable([GUEST_AT, MIB + 1, USER_AT, 0]), [fd]],
    ["beyond the end", memTable([GUEST_AT, MIB, USER_AT, 0x1000]), [fd]],
    [
      "overlapping",
      memTable(good, [GUEST_AT + MIB - 1, MIB, 2 ** 40, 0]),
      [fd, fd],
    ],
    ["the same twice", memTable(good, good), [fd, fd]],
    ["wrapping size", memTable([GUEST_AT, 2n ** 64n - 1n, USER_AT, 0]), [fd]],
    [
      "wrapping offset",
      memTable([GUEST_AT, MIB, USER_AT, 2n ** 64n - 0x1000n]),
      [fd],
    ],
    [
      "wrapping guest address",
      memTable([2n ** 64n - 0x1000n, MIB, USER_AT, 0]),
      [fd],
    ],
    [
      "wrapping user address",
      memTable([GUEST_AT, MIB, 2n ** 64n - 0x1000n, 0]),
      [fd],
    ],
    ["2^53", memTable([2n ** 53n - 1n, MIB, USER_AT, 0]), [fd]],
    ["a socket", memTable(good), [channel.theirs.fd]],
    ["a device", memTable(good), [zero.fd]],
    ["an eventfd", memTable(good), [rig.guest.errs[0]!.fd]],
    ["one good, one not", memTable(good, [0, MIB, 0, 0]), [fd, zero.fd]],
  ];
  for (const [what, payload, fds] of refused) {
    assertEquals(rig.tell(R.SET_MEM_TABLE, payload, fds), 1, what);
    assertEquals(rig.leftovers().mappings, 1, what);
  }
  assertAlive(rig);
  assertEquals(rig.leftovers().fds, 6);
});

Deno.test("SET_MEM_TABLE under running rings: they go on in the new memory, armed buffers with them", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.armLine(1, BOTH_EDGES);
  const fd = rig.guest.file.fd;
  const half = MIB / 2;
  for (let round = 0; round < 5; round++) {
    rig.must(R.SET_MEM_TABLE, rig.guest.memTable(), [fd]);
    assertEquals(rig.leftovers().mappings, 1);
    assertAlive(rig);
    rig.must(
      R.SET_MEM_TABLE,
      memTable(
        [GUEST_AT, half, USER_AT, 0],
        [GUEST_AT + half, half, USER_AT + half, half],
      ),
      [fd, fd],
    );
    assertEquals(rig.leftovers().mappings, 2);
    assertAlive(rig);
  }
  rig.ports[1]!.pull(1);
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
  assertEquals(rig.device.resets, 0);
  assertEquals(rig.log, ["connected", "started"]);
});

Deno.test("a request that came without a kick is found when the memory changes", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.guest.request(GET_VALUE, 0);
  rig.setMemory();
  assertEquals(rig.guest.responses(), [[0, 0]]);
});

Deno.test("an operation that is under way is answered after its memory was mapped anew", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  const port = rig.ports[0]!;
  port.pulled = 1;
  port.slow = true;
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.turn();
  assertEquals(rig.guest.responses(), []);
  rig.setMemory();
  while (port.isPending) {
    port.finish();
    rig.turn();
  }
  assertEquals(rig.guest.responses(), [[0, 1]]);
});

Deno.test("ADD_MEM_REG and REM_MEM_REG: a ring rests while its memory is away", () => {
  using rig = new VhostRig();
  using other = createMemFd("other", MIB);
  rig.negotiate();
  const fd = rig.guest.file.fd;
  const region: Region = [GUEST_AT, MIB, USER_AT, 0];
  const more: Region = [0, MIB, 0x5555_0000_0000, 0];
  // The table of negotiate() is the one region already.
  assertEquals(rig.tell(R.ADD_MEM_REG, single(region), [fd]), 1);
  rig.must(R.REM_MEM_REG, single(region));
  assertEquals(rig.leftovers().mappings, 0);
  rig.must(R.ADD_MEM_REG, single(region), [fd]);
  rig.must(R.ADD_MEM_REG, single(more), [other.fd]);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 2 });
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  rig.must(R.REM_MEM_REG, single(more));
  assertAlive(rig);
  // Known by addresses and size; where it lies in its file is not asked.
  assertEquals(rig.tell(R.REM_MEM_REG, single(more)), 1);
  for (const i of [0, 1, 2]) {
    const wrong = [...region];
    wrong[i] = Number(wrong[i]) + 0x1000;
    assertEquals(
      rig.tell(R.REM_MEM_REG, single(wrong as unknown as Region)),
      1,
    );
  }
  rig.must(R.REM_MEM_REG, single([GUEST_AT, MIB, USER_AT, 0x7000]));
  assertEquals(rig.leftovers().mappings, 0);
  assertEquals(rig.log.at(-1), "stopped");
  rig.guest.request(GET_VALUE, 0);
  rig.guest.kick(0);
  rig.turn();
  assertEquals(rig.guest.responses(), []);
  // An old frontend sends an fd along with REM_MEM_REG: it is closed.
  rig.must(R.ADD_MEM_REG, single(region), [fd]);
  assertEquals(rig.guest.responses(), [[0, rig.ports[0]!.level]]);
  assertAlive(rig);
  rig.must(R.REM_MEM_REG, single(region), [fd]);
  rig.must(R.ADD_MEM_REG, single(region), [fd]);
  assertAlive(rig);
  assertEquals(rig.device.resets, 0);
  assertEquals(rig.leftovers(), { fds: 6, mappings: 1 });
});

Deno.test("ADD_MEM_REG ends at the number of slots that was promised", () => {
  using rig = new VhostRig();
  using file = createMemFd("slots", 0x1000);
  rig.negotiate();
  let taken = 0;
  while (
    rig.tell(
      R.ADD_MEM_REG,
      single([0x1000 * taken, 0x1000, 0x1000 * taken, 0]),
      [file.fd],
    ) === 0
  ) {
    taken++;
    // A frontend whose descriptors are closed late rests, and this rig's clock
    // stands still.
    if (taken % 16 === 0) {
      assert(helpersAreDone(HELPERS_LIMIT_MS), "a close hangs");
    }
  }
  // One more than these came with SET_MEM_TABLE.
  assertEquals(taken, 508);
  assertStringIncludes(rig.log.at(-1)!, "there are 509 regions at most");
  rig.hangUp();
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
});

Deno.test("a region must consist of whole pages", () => {
  using rig = new VhostRig();
  rig.negotiate();
  const fd = rig.guest.file.fd;
  for (const [guest, size] of [[0, 16], [16, 4096], [0, 4097]] as const) {
    assertEquals(rig.tell(R.ADD_MEM_REG, single([guest, size, 0, 0]), [fd]), 1);
    assertStringIncludes(rig.log.at(-1)!, "whole pages of 4096 bytes");
    rig.reconnect();
    rig.negotiate();
  }
  rig.must(R.ADD_MEM_REG, single([0, 4096, 0, 16]), [fd]);
});

Deno.test("a region that is added disturbs no ring, removed only those that lie in it", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  const stopped: number[] = [];
  const stop = rig.device.stopQueue.bind(rig.device);
  rig.device.stopQueue = (index) => {
    stopped.push(index);
    stop(index);
  };
  const more = single([2 ** 40, 4096, 2 ** 41, 0]);
  rig.must(R.ADD_MEM_REG, more, [rig.guest.file.fd]);
  assertEquals(stopped, []);
  assertAlive(rig);
  rig.must(R.REM_MEM_REG, more);
  assertEquals(stopped, []);
  assertAlive(rig);
});

Deno.test("a part of a ring lies in the region that it begins with, not in the one it begins after", () => {
  // The descriptors of 256 entries are one page, 0x1000 to 0x2000.
  using rig = new VhostRig({ queueSize: 256 });
  const regions = [[0, 0x1000], [0x1000, 0x1000], [0x2000, MIB - 0x2000]]
    .map(([at, size]): Region => [GUEST_AT + at!, size!, USER_AT + at!, at!]);
  const [before, descriptors] = regions;
  const { fd } = rig.guest.file;
  rig.negotiate();
  rig.must(R.SET_MEM_TABLE, memTable(...regions), [fd, fd, fd]);
  rig.startRings();
  const stopped: number[] = [];
  const stop = rig.device.stopQueue.bind(rig.device);
  rig.device.stopQueue = (index) => {
    stopped.push(index);
    stop(index);
  };
  rig.must(R.REM_MEM_REG, single(before!));
  assertEquals(stopped, []);
  rig.must(R.REM_MEM_REG, single(descriptors!));
  assertEquals(stopped, [0]);
  rig.must(R.ADD_MEM_REG, single(descriptors!), [fd]);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, rig.ports[0]!.level]);
});

Deno.test("a guest whose memory is truncated ends its session, and nothing else", () => {
  using other = new VhostRig();
  other.negotiate();
  other.startRings();
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  libc().ftruncate(rig.guest.file.fd, 0n);
  rig.guest.kick(0);
  assertEquals(rig.isHungUp(), true);
  const fault = rig.log.find((line) => line.startsWith("fault"));
  assertStringIncludes(fault!, "guest memory at 0x");
  assertStringIncludes(fault!, "it was truncated, or its file system");
  assertEquals(rig.log.filter((line) => line.startsWith("fault")).length, 1);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 1 });
  assertEquals(other.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("memory that is gone is noticed also when an interrupt is reported", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  rig.armLine(0, BOTH_EDGES);
  libc().ftruncate(rig.guest.file.fd, 0n);
  rig.ports[0]!.pull(1);
  assertEquals(rig.isHungUp(), true);
  assertStringIncludes(rig.log.join(), "guest memory at 0x");
});

Deno.test("memory that is truncated before its rings start ends the session", () => {
  using rig = new VhostRig();
  rig.negotiate();
  libc().ftruncate(rig.guest.file.fd, 0n);
  rig.peer.send(R.SET_VRING_NUM, u32(0, rig.guest.queueSize));
  rig.peer.send(R.SET_VRING_ADDR, rig.guest.vringAddr(0));
  rig.peer.send(R.SET_VRING_KICK, u64(0), { fds: [rig.guest.kicks[0]!.fd] });
  rig.peer.send(R.SET_VRING_ENABLE, u32(0, 1));
  assertEquals(rig.isHungUp(), true);
  assertStringIncludes(rig.log.join(), "guest memory at 0x");
});

Deno.test("a frontend cannot map more than its part of the addresses", () => {
  using rig = new VhostRig();
  rig.negotiate();
  const tib = 2 ** 40;
  using huge = createMemFd("huge", 16 * tib);
  const add = (at: number, size: number) =>
    rig.tell(R.ADD_MEM_REG, single([at, size, 2 ** 44 + at, 0]), [huge.fd]);
  assertEquals(add(tib, 2 * tib), 1);
  assertStringIncludes(rig.log.at(-1)!, "a frontend may map");
  rig.reconnect();
  rig.negotiate();
  assertEquals(add(tib, tib / 2), 0);
  assertEquals(add(2 * tib, tib / 4), 0);
  assertEquals(add(3 * tib, tib / 2), 1);
  assertStringIncludes(rig.log.at(-1)!, "a frontend may map");
  // What is removed makes room.
  rig.must(R.REM_MEM_REG, single([tib, tib / 2, 2 ** 44 + tib, 0]));
  assertEquals(add(3 * tib, tib / 2), 0);
});

const SPARSE_AT = 0x9000_0000;
const PAGE = 4096;

/** Returns the number of pages of a file that exist. */
function countPages(fd: number, pages: number): number {
  using mapping = Mapping.map(fd, { length: pages * PAGE, subject: "sparse" });
  return pages - mapping.absentPages(0, pages * PAGE);
}

/**
 * Has answers written to pages `first` to `end` of an unused region, to so many
 * in a turn.
 */
function useAbsentPages(
  rig: VhostRig,
  first: number,
  end: number,
  inTurn = 1,
): void {
  const ring = rig.guest.rings[0]!;
  for (let page = first; page < end;) {
    // Nothing comes back from a session that has ended.
    if (ring.freeCount < 2) return;
    const most = Math.min(end, page + inTurn);
    for (; page < most && ring.freeCount >= 2; page++) {
      ring.add([
        { address: rig.guest.guestAddress, length: 8, writable: false },
        { address: SPARSE_AT + page * PAGE, length: 2, writable: true },
      ]);
    }
    ring.publish();
    rig.guest.kick(0);
    rig.turn(2);
    ring.collect();
  }
}

Deno.test("a guest has no more pages allocated here than its aggregator may", () => {
  let now = 0;
  using rig = new VhostRig({ now: () => now });
  using file = createMemFd("sparse", 8192 * PAGE);
  const allocated = () => countPages(file.fd, 8192);
  const begin = () => {
    rig.negotiate();
    rig.must(
      R.ADD_MEM_REG,
      single([SPARSE_AT, 8192 * PAGE, SPARSE_AT, 0]),
      [file.fd],
    );
    rig.startRings();
  };
  begin();
  useAbsentPages(rig, 0, 4000, 25);
  // Pages that are there by now are free.
  useAbsentPages(rig, 0, 500, 25);
  assertEquals(allocated(), 4000);
  assertEquals(rig.isHungUp(), false);
  useAbsentPages(rig, 4000, 4200);
  assertEquals(rig.isHungUp(), true);
  assertStringIncludes(
    rig.log.at(-1)!,
    "more than 4096 that it never used itself",
  );
  const before = allocated();
  assert(before <= 4100, `${before} pages`);
  // The socket rests, and the budget is the aggregator's, not the session's.
  now += 20_000;
  rig.guest.boot();
  rig.reconnect();
  begin();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  useAbsentPages(rig, 5000, 5500);
  assertEquals(rig.isHungUp(), true);
  assert(allocated() <= before + 400);
});

Deno.test("a VMM has no more in-flight regions made than its aggregator may", () => {
  using rig = new VhostRig();
  rig.negotiate();
  const ask = join(u64(0, 0), new Uint8Array([2, 0, 64, 0, 0, 0, 0, 0]));
  let made = 0;
  for (; made < 5000 && !rig.isHungUp(); made++) {
    rig.peer.send(R.GET_INFLIGHT_FD, ask);
    rig.turn(1);
    const answer = rig.peer.read();
    if (answer === undefined || answer === "ended") break;
    for (const fd of answer.fds) fd.close();
  }
  assert(made > 4000 && made < 4200, `${made}`);
  assertEquals(rig.isHungUp(), true);
});
