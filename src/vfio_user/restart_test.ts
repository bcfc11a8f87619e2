import { assertEquals } from "@std/assert";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { C, words } from "../../tests/doubles/vfio_peer.ts";
import { CHANNEL, VfioRig } from "../../tests/doubles/vfio_rig.ts";
import { duplicate } from "../../ffi/files.ts";
import { fdStatus } from "../../ffi/file_status.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { Direction } from "../line/port.ts";

const PO = 0x18;
const PI = 0x1c;
const PM = 0x20;
const IEN = 0;
const ICLR = 0x0c;
const IM0 = 0x24;
const BOTH = 4;

/** Drives line 0, arms line 1, and programs the BAR. */
function use(rig: VfioRig): void {
  rig.negotiate();
  rig.enableIntx();
  rig.ask(C.REGION_WRITE, words(0x14, 0, 7, 4, 0xfebf1000));
  rig.writeRegister(PM, 1);
  rig.writeRegister(PO, 1);
  rig.writeRegister(IM0, BOTH << 4);
  rig.writeRegister(IEN, 0b10);
}

Deno.test("a session goes on in the next process, with registers and interrupts", () => {
  const store = new FdStoreDouble();
  const first = new VfioRig({ store });
  use(first);
  using next = store.restart();
  using rig = new VfioRig({ store: next, killed: first });
  rig.turn();
  assertEquals(rig.backend.isConnected, true);
  assertEquals(rig.log, ["connected", "started"]);
  assertEquals(rig.ports[0]!.direction, Direction.Output);
  assertEquals(rig.ports[0]!.level, 1);
  assertEquals([rig.readRegister(PM), rig.readRegister(PO)], [1, 1]);
  assertEquals(rig.readRegister(IM0), BOTH << 4);
  rig.peer.takeInterrupt();
  rig.ports[1]!.pull(1);
  assertEquals(rig.peer.takeInterrupt(), true);
  rig.writeRegister(ICLR, 0b10);
  assertEquals(rig.readRegister(PI) & 0b10, 0b10);
  assertEquals(next.problems, []);
});

Deno.test("an edge of the gap is an interrupt of the next process", () => {
  const store = new FdStoreDouble();
  const first = new VfioRig({ store });
  use(first);
  using next = store.restart();
  const ports = first.ports;
  using rig = new VfioRig({ store: next, killed: first, pulled: [0, 1] });
  rig.turn();
  assertEquals(ports[1]!.level, 0);
  assertEquals(rig.peer.takeInterrupt(), true);
  assertEquals(rig.readRegister(0x04), 0b10);
});

Deno.test("requests of the gap are answered, and one that was under way", () => {
  const store = new FdStoreDouble();
  const first = new VfioRig({ store });
  use(first);
  // Half of a message has been read when the process is killed.
  const bytes = new Uint8Array(32);
  bytes.set(words(C.REGION_READ << 16 | 0x77, 32, 0, 0));
  bytes.set(words(CHANNEL + PM, 0, 1, 4), 16);
  first.peer.sendBytes(bytes.subarray(0, 20));
  first.turn();
  using next = store.restart();
  first.peer.sendBytes(bytes.subarray(20));
  first.peer.send(C.REGION_READ, words(CHANNEL + PO, 0, 1, 4));
  using rig = new VfioRig({ store: next, killed: first });
  rig.turn();
  const replies = [rig.peer.read(), rig.peer.read(), rig.peer.read()];
  assertEquals(
    replies.map((reply) => typeof reply === "string" ? reply : reply.body[16]),
    [1, 1, "none"],
  );
});

Deno.test("many restarts in a row lose nothing, and leave no descriptor", () => {
  let store = new FdStoreDouble();
  let rig = new VfioRig({ store });
  using eventFd = duplicate(rig.peer.irq.fd);
  use(rig);
  for (let i = 0; i < 5; i++) {
    store = store.restart();
    rig = new VfioRig({ store, killed: rig });
    rig.turn();
    rig.writeRegister(PO, i % 2);
    assertEquals(rig.ports[0]!.level, i % 2);
  }
  rig[Symbol.dispose]();
  assertEquals(store.names, []);
  store[Symbol.dispose]();
  assertEquals(countCopies(eventFd.fd), 1);
});

/** Writes a word of kept memory, as another version might have written it. */
function changeWord(file: OwnedFd, word: number, value: number): void {
  using mapping = Mapping.map(file.fd, {
    length: fdStatus(file.fd).size,
    writable: true,
    subject: "kept memory",
  });
  new Uint32Array(mapping.buffer)[word] = value;
}

for (
  const [what, change] of [
    ["another size", () => createMemFd("foreign", 20480)],
    ["another version", (kept) => {
      changeWord(kept, 1, 2);
      return duplicate(kept.fd);
    }],
    ["another card", (kept) => {
      changeWord(kept, 2, 1);
      return duplicate(kept.fd);
    }],
  ] as [string, (kept: OwnedFd) => OwnedFd][]
) {
  Deno.test(`state of ${what} ends the session, with a word`, () => {
    const store = new FdStoreDouble();
    const first = new VfioRig({ store });
    use(first);
    using next = store.restart();
    for (const fd of next.take("state")) {
      next.offer("state", change(fd));
      fd.close();
    }
    using rig = new VfioRig({ store: next, killed: first });
    rig.turn();
    assertEquals(rig.backend.isConnected, false);
    assertEquals(next.problems, [
      "a VMM's session ends with the restart: its state is that of another " +
      "version",
    ]);
    // Whatever copies there are of its connection.
    assertEquals(rig.peer.read(), "ended");
    assertEquals([next.names, rig.losses], [[], 1]);
  });
}

Deno.test("what is kept is dropped with the session", () => {
  const store = new FdStoreDouble();
  using rig = new VfioRig({ store });
  use(rig);
  assertEquals(store.names.toSorted(), ["irq", "socket", "state"]);
  rig.setIntx(0x21, 0);
  assertEquals(store.names.toSorted(), ["socket", "state"]);
  rig.backend.endSession("test");
  assertEquals(store.names, []);
  store[Symbol.dispose]();
});
