/** A session that goes on in the next process, whatever ended this one. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { duplicate } from "../../ffi/files.ts";
import { check, libc } from "../../ffi/libc.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { InflightFile } from "../../tests/doubles/vhost_inflight.ts";
import {
  type Answer,
  encode,
  NEED_REPLY,
  R,
  u32,
} from "../../tests/doubles/vhost_peer.ts";
import { type RigOptions, VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";

const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_DIRECTION = 3;
const BOTH = 3;
const OUT = 1;

/** A rig, and those of the processes that come after it was killed. */
class Restarts implements Disposable {
  store = new FdStoreDouble();
  rig: VhostRig;
  readonly #options: RigOptions;

  constructor(options: RigOptions = {}) {
    this.#options = options;
    this.rig = new VhostRig({ ...options, store: this.store });
  }

  /** The process is killed, and the next one begins; it has not turned yet. */
  kill(options: RigOptions = {}): VhostRig {
    this.store = this.store.restart();
    this.rig = new VhostRig({
      ...this.#options,
      ...options,
      store: this.store,
      killed: this.rig,
    });
    return this.rig;
  }

  [Symbol.dispose](): void {
    this.rig[Symbol.dispose]();
    this.store[Symbol.dispose]();
  }
}

function readAnswer(rig: VhostRig): Answer {
  const answer = rig.peer.read();
  if (typeof answer !== "object") throw new Error(`no answer: ${answer}`);
  return answer;
}

/** Drives line 0 and arms line 1. */
function use(rig: VhostRig): void {
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(SET_DIRECTION, 0, OUT)[0], 0);
  assertEquals(rig.gpio(SET_VALUE, 0, 1)[0], 0);
  rig.armLine(1, BOTH);
}

Deno.test("a session goes on in the next process, again and again", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  for (let i = 0; i < 4; i++) {
    const rig = restarts.kill();
    rig.turn();
    assertEquals(rig.log, ["connected", "started"]);
    assertEquals(rig.device.begun, [false]);
    assertEquals(rig.device.resets, 0);
    assertEquals(rig.ports[0]!.level, i === 0 ? 1 : 1 - i % 2);
    assertEquals(rig.gpio(SET_VALUE, 0, i % 2), [0, 0]);
    assertEquals(rig.ports[0]!.level, i % 2);
    rig.ports[1]!.pull(1 - rig.ports[1]!.level);
    assertEquals(rig.guest.interrupts(), [[1, 1]]);
    assert(rig.guest.wasCalled(1));
    rig.guest.arm(1);
    rig.guest.kick(1);
    rig.turn();
  }
  assertEquals(restarts.store.problems, []);
});

Deno.test("requests and edges of the gap are served, and no descriptor is left", () => {
  const restarts = new Restarts();
  const { guest } = restarts.rig;
  use(restarts.rig);
  const copies = () => countCopies(guest.kicks[0]!.fd, guest.calls[1]!.fd);
  const rig = restarts.kill();
  guest.request(GET_VALUE, 0);
  guest.request(SET_VALUE, 0, 0);
  guest.kick(0);
  // The kernel has kept it.
  rig.ports[1]!.pull(1);
  rig.turn();
  assertEquals(guest.responses(), [[0, 1], [0, 0]]);
  assertEquals(guest.interrupts(), [[1, 1]]);
  assertEquals(rig.ports[0]!.level, 0);
  // Those of the test, of the killed process, and of this one.
  assertEquals(copies(), 6);
  rig.backend.endSession("test");
  assertEquals(copies(), 4);
  restarts[Symbol.dispose]();
  assertEquals(rig.leftovers().mappings, 0);
});

Deno.test("an edge that was latched is delivered to the buffer of the gap", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const { guest, ports } = restarts.rig;
  for (const level of [1, 0]) ports[1]!.pull(level);
  assertEquals(guest.interrupts(), [[1, 1]]);
  guest.arm(1);
  guest.kick(1);
  restarts.kill().turn();
  assertEquals(guest.interrupts(), [[1, 1]]);
});

Deno.test("edges that requests of the gap lead to find the buffer that was armed before", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const rig = restarts.kill();
  const { guest, ports: [output, input] } = rig;
  input!.pulled = 1;
  output!.onSubmit = ({ argument }) => input!.pull(argument);
  for (const level of [0, 1]) guest.request(SET_VALUE, 0, level);
  guest.kick(0);
  rig.turn();
  assertEquals(guest.responses(), [[0, 0], [0, 0]]);
  for (const edge of ["falling", "rising"]) {
    assertEquals(guest.interrupts(), [[1, 1]], edge);
    guest.arm(1);
    guest.kick(1);
    rig.turn();
  }
  assertEquals(guest.interrupts(), []);
});

Deno.test("messages of the gap are answered, also one of which half had come", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const { peer } = restarts.rig;
  const bytes = encode(R.GET_VRING_BASE, u32(1, 0));
  peer.raw(bytes.subarray(0, 15));
  restarts.rig.turn();
  peer.raw(bytes.subarray(15));
  peer.send(R.GET_STATUS);
  const rig = restarts.kill();
  rig.turn();
  const [base, status] = [readAnswer(rig), readAnswer(rig)];
  assertEquals(base.request, R.GET_VRING_BASE);
  assertEquals(new DataView(base.payload.buffer).getUint32(4, true), 1);
  assertEquals(status.request, R.GET_STATUS);
  assertEquals(rig.peer.read(), undefined);
});

Deno.test("a message without its end wakes nothing while it waits", () => {
  using restarts = new Restarts();
  const { rig } = restarts;
  const { reactor } = rig;
  let wakes = 0;
  const watch = reactor.watch.bind(reactor);
  reactor.watch = (fd, events, onReady, share) =>
    watch(fd, events, (ready) => {
      wakes++;
      onReady(ready);
    }, share);
  rig.reconnect();
  use(rig);
  const bytes = encode(R.SET_VRING_ENABLE, u32(0, 1), { flags: NEED_REPLY });
  for (const [start, end] of [[0, 7], [7, 16]]) {
    rig.peer.raw(bytes.subarray(start, end));
    rig.turn();
    wakes = 0;
    rig.turn();
    assertEquals(wakes, 0);
  }
  rig.peer.raw(bytes.subarray(16));
  rig.turn();
  assertEquals(readAnswer(rig).request, R.SET_VRING_ENABLE);
});

Deno.test("a VMM that is gone after the restart is gone: its guest is, too", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  restarts.rig.peer.close();
  const rig = restarts.kill();
  rig.turn();
  assertEquals(rig.log.slice(0, 2), ["connected", "started"]);
  assertStringIncludes(rig.log.at(-1)!, "gone: ");
  assertEquals(rig.device.resets, 1);
});

Deno.test("a paused guest goes on after a restart, with its interrupts", () => {
  using restarts = new Restarts({ pausedFor: "keep" });
  use(restarts.rig);
  const bases = [0, 1].map((index) => restarts.rig.takeBase(index));
  const rig = restarts.kill();
  rig.turn();
  assertEquals(rig.log, ["connected"]);
  assertEquals(rig.device.begun, [false]);
  rig.ports[1]!.pull(1);
  rig.startRings(bases);
  assertEquals(rig.log, ["connected", "started"]);
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 1]);
  assertEquals(rig.device.resets, 0);
});

Deno.test("a guest that reboots while it is paused over a restart begins anew", () => {
  using restarts = new Restarts({ pausedFor: "keep" });
  use(restarts.rig);
  for (const index of [0, 1]) restarts.rig.takeBase(index);
  const rig = restarts.kill();
  rig.turn();
  assertEquals(rig.device.resets, 0);
  rig.guest.boot();
  rig.startRings();
  assertEquals(rig.device.resets, 1);
  assertStringIncludes(rig.log.join(), "gone: it was restarted");
  // The interrupt of the guest that was there before is not armed.
  rig.guest.arm(1);
  rig.guest.kick(1);
  rig.ports[1]!.pull(1);
  rig.turn();
  assertEquals(rig.guest.interrupts(), []);
});

Deno.test("a guest that stays paused over a restart is given up in time", () => {
  let now = 0;
  using restarts = new Restarts({ now: () => now, pausedFor: 3000 });
  use(restarts.rig);
  for (const index of [0, 1]) restarts.rig.takeBase(index);
  const rig = restarts.kill();
  rig.turn();
  assertEquals(rig.device.resets, 0);
  now = 4000;
  rig.turn();
  assertEquals(rig.device.resets, 1);
  assertStringIncludes(rig.log.at(-1)!, "guest gone: ");
});

Deno.test("requests of a slow line are out of order, and none is lost or doubled", () => {
  using restarts = new Restarts();
  let { rig } = restarts;
  const { guest } = rig;
  use(rig);
  rig.ports[2]!.slow = true;
  guest.request(GET_VALUE, 2);
  guest.request(GET_VALUE, 0);
  guest.kick(0);
  rig.turn();
  assertEquals(guest.responses(), [[0, 1]]);
  rig = restarts.kill();
  guest.request(GET_VALUE, 1);
  guest.kick(0);
  rig.ports[2]!.pulled = 1;
  rig.turn();
  assertEquals(guest.responses(), [[0, 1], [0, 0]]);
  rig = restarts.kill();
  rig.turn();
  assertEquals(guest.responses(), []);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 1]);
  assertEquals(rig.log, ["connected", "started"]);
});

Deno.test("lines that answer later are restored, and requests of the gap wait for that", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  for (let i = 0; i < 3; i++) {
    const rig = restarts.kill();
    const { guest, ports } = rig;
    for (const port of ports) port.slow = true;
    guest.request(GET_VALUE, 1);
    guest.request(GET_VALUE, 0);
    guest.kick(0);
    ports[1]!.pull(1 - ports[1]!.level);
    const level = ports[1]!.level;
    rig.turn();
    assertEquals(guest.responses(), []);
    for (let turns = 0; turns < 8; turns++) {
      for (const port of ports) if (port.isPending) port.finish();
      rig.turn();
    }
    assertEquals(guest.responses().toSorted(), [[0, level], [0, 1]].toSorted());
    assertEquals(guest.interrupts(), [[1, 1]]);
    for (const port of ports) port.slow = false;
    guest.arm(1);
    guest.kick(1);
    rig.turn();
    ports[1]!.pull(1 - level);
    assertEquals(guest.interrupts(), [[1, 1]]);
    guest.arm(1);
    guest.kick(1);
    rig.turn();
    ports[1]!.pull(level);
    assertEquals(guest.interrupts(), [[1, 1]]);
    guest.arm(1);
    guest.kick(1);
    rig.turn();
  }
});

Deno.test("a frontend's own in-flight region is kept, and goes on", () => {
  using restarts = new Restarts();
  const first = restarts.rig;
  first.negotiate();
  using file = InflightFile.get(first);
  file.set(first);
  first.startRings();
  first.armLine(1, BOTH);
  const rig = restarts.kill();
  const held = file.heads(1);
  assertEquals(held.length, 1);
  rig.ports[1]!.pull(1);
  rig.turn();
  assertEquals(rig.guest.interrupts(), [[1, 1]]);
  assertEquals(file.heads(1), []);
  assertEquals(restarts.store.problems, []);
});

Deno.test("memory that is cut in the gap is a broken frontend's", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const rig = restarts.kill();
  check(
    libc().ftruncate(rig.guest.file.fd, 4096n),
    "ftruncate",
    "the guest's memory",
  );
  rig.turn();
  assertEquals(rig.backend.isConnected, false);
  assertStringIncludes(rig.log.join(), "ends at");
  assertEquals(rig.device.resets >= 1, true);
});

Deno.test("garbage of the gap ends the session as it does without one", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  restarts.rig.peer.raw(new Uint8Array(64).fill(0xff));
  const rig = restarts.kill();
  rig.turn();
  assertEquals(rig.backend.isConnected, false);
  assertStringIncludes(rig.log.join(), "fault: ");
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.isHungUp(), true);
});

Deno.test("rings of nonsense after the gap stop, and their VMM is served on", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const rig = restarts.kill();
  // 0x7777 entries ahead, in a ring of 64.
  rig.guest.rings[0]!.setAvailIndex(0x7777);
  rig.guest.rings[0]!.publish();
  rig.turn();
  assertEquals(rig.backend.isConnected, true);
  assertStringIncludes(rig.log.join(), "fault: ");
  rig.must(R.SET_VRING_ENABLE, u32(1, 1));
});

Deno.test("a device that the guest does not know ends its session, and its lines", () => {
  using restarts = new Restarts();
  use(restarts.rig);
  const rig = restarts.kill({ lines: 5 });
  rig.turn();
  assertEquals(rig.log, []);
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.isHungUp(), true);
  assertEquals(restarts.store.problems, [
    "a VMM's session ends with the restart: its guest knows other lines than " +
    "there are now",
  ]);
});

/** Changes a record and the descriptors that go with it. */
type Change = (
  record: Record<string, unknown>,
  fds: Map<string, number | undefined>,
  kept: ReadonlyMap<string, OwnedFd>,
) => void;

/** Writes a word into a session's state memory. */
function writeState(file: OwnedFd, offset: number, word: number): void {
  using mapping = Mapping.map(file.fd, { length: 4096, subject: "its state" });
  new DataView(mapping.buffer).setUint32(offset, word, true);
}

const foreign = createMemFd("no state of ours", 4096);

/** Changes what is kept, as another version might have kept it. */
function tamper(
  store: FdStoreDouble,
  change: Change,
): void {
  const parts = new Map(
    ["in", "out"].map((part) => [part, store.take(part)] as const),
  );
  const keeper = SessionKeeper.open({
    take: (part) => (parts.get(part) ?? []).map(({ fd }) => duplicate(fd)),
    keep: () => {},
    drop: () => {},
    report: () => {},
  });
  const kept = keeper.look();
  if (typeof kept !== "object") throw new Error(String(kept));
  const record = kept.record as Record<string, unknown>;
  const fds = new Map<string, number | undefined>(
    [...kept.fds.keys()].map((name) => [name, undefined]),
  );
  change(record, fds, kept.fds);
  keeper.keep(record, fds);
  for (const fd of kept.fds.values()) fd.close();
  for (const [part, fds] of parts) for (const fd of fds) store.offer(part, fd);
}

for (
  const [what, change, why] of [
    [
      "another version",
      (record) => record.version = 99,
      "its state is that of version 99, and this version of gpioagg reads 1 to 1",
    ],
    [
      "no version",
      (record) => delete record.version,
      'its state cannot be read: "version" of the record is not valid',
    ],
    [
      "a ring of no size",
      (record) => (record.rings as { size: number }[])[0]!.size = 70000,
      'its state cannot be read: "size" of rings[0] is not valid',
    ],
    [
      "no connection",
      (_, fds) => fds.delete("connection"),
      "its connection or its state memory is missing",
    ],
    [
      "another size",
      (_, fds) => fds.set("state", foreign.fd),
      "its state memory ends at 1048792 of a file that has 4096 bytes",
    ],
    [
      "memory of another version",
      (_, _fds, kept) => writeState(kept.get("state")!, 4, 2),
      "its state memory is that of another version",
    ],
    [
      "memory of another device",
      (_, _fds, kept) => writeState(kept.get("state")!, 8, 3),
      "its state memory is that of another device",
    ],
    [
      "half a message",
      (_, _fds, kept) => writeState(kept.get("state")!, 16, 1),
      "gpioagg was killed in the midst of a message of the VMM",
    ],
  ] as [string, Change, string][]
) {
  Deno.test(`state with ${what} ends the session, with a word`, () => {
    const first = new FdStoreDouble();
    const killed = new VhostRig({ store: first });
    use(killed);
    using store = first.restart();
    tamper(store, change);
    using rig = new VhostRig({ store, killed });
    rig.turn();
    assertEquals(rig.backend.isConnected, false);
    assertEquals(rig.device.resets, 1);
    assertEquals(store.problems, [
      `a VMM's session ends with the restart: ${why}`,
    ]);
    // The next VMM is served.
    rig.peer = rig.connect();
    rig.negotiate();
    assertEquals(rig.log, ["connected"]);
  });
}
