import { assert, assertEquals } from "@std/assert";
import { bindDatagram, connectDatagram } from "../../../ffi/datagram.ts";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { hangUp } from "../../../ffi/helper_thread.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receive, send } from "../../../ffi/socket_message.ts";
import { settledFds } from "../../../tests/doubles/open_fds.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import { ManagerFdStore } from "./manager_fd_store.ts";

/** A store and the socket of its manager. */
function rig() {
  const directory = Deno.makeTempDirSync({ prefix: "fd-store-" });
  const manager = bindDatagram(`${directory}/notify`);
  const problems: string[] = [];
  const store = new ManagerFdStore(
    `${directory}/notify`,
    (text) => problems.push(text),
  );
  const piece = new Uint8Array(4096);
  /** Returns the manager's messages since the last call, and the number of fds. */
  const heard = () => {
    const all: [string, number][] = [];
    for (;;) {
      const fds: OwnedFd[] = [];
      const count = receive(manager.fd, piece, fds);
      if (count < 0) return all;
      const text = new TextDecoder().decode(piece.subarray(0, count));
      all.push([text.replaceAll("\n", " "), fds.length]);
      for (const fd of fds) fd.close();
    }
  };
  const dispose = () => {
    store[Symbol.dispose]();
    manager.close();
    Deno.removeSync(directory, { recursive: true });
  };
  const path = `${directory}/notify`;
  return { store, manager, path, problems, heard, [Symbol.dispose]: dispose };
}

const memFd = () => createMemFd("test", 8);

Deno.test("ManagerFdStore tells the manager what to keep, and what no longer", () => {
  using given = rig();
  const { store, heard } = given;
  using fd = memFd();
  store.keep("line.a.0", fd.fd);
  // The longest name that systemd takes, and one that it would ignore.
  const longest = "x".repeat(255);
  store.keep(longest, fd.fd);
  store.keep(`${longest}x`, fd.fd);
  store.drop("line.a.0");
  assertEquals(heard(), [
    ["FDSTORE=1 FDNAME=line.a.0", 1],
    [`FDSTORE=1 FDNAME=${longest}`, 1],
    ["FDSTOREREMOVE=1 FDNAME=line.a.0", 0],
  ]);
});

Deno.test("ManagerFdStore gives what was kept once, to the first caller", () => {
  using given = rig();
  const { store, heard, problems } = given;
  const [a, b, c] = [memFd(), memFd(), memFd()].map((fd) => fd.release());
  store.offer([["one", a!], ["two", b!]]);
  store.offer([["one", c!]]);
  const share = store.share(["one", "none"]);
  assertEquals(share, [["one", a!], ["one", c!]]);
  assertEquals(store.take("one"), []);
  assertEquals(store.leftNames, ["two"]);
  // What another could not use after all goes back.
  store.offer(share);
  assertEquals(heard(), []);
  store.leaves = true;
  store.dropRest();
  assertEquals([heard(), store.leftNames.length], [[], 2]);
  store.leaves = false;
  store.dropRest();
  assertEquals(store.leftNames, []);
  assertEquals(heard().map(([text]) => text), [
    "FDSTOREREMOVE=1 FDNAME=two",
    "FDSTOREREMOVE=1 FDNAME=one",
  ]);
  assertEquals(problems.length, 2);
  assert(problems[0]!.includes("two"), problems[0]);
});

Deno.test("ManagerFdStore goes on without a manager that is stuck, or gone", () => {
  using given = rig();
  const { store, heard, manager, problems } = given;
  using fd = memFd();
  const say = (count: number) => {
    for (let i = 0; i < count; i++) store.keep(`line.a.${i}`, fd.fd);
  };
  // No reader: the queue is full at some time, and is waited for only once.
  say(2000);
  const [first] = heard();
  assertEquals(first, ["FDSTORE=1 FDNAME=line.a.0", 1]);
  assertEquals(problems.length, 1, "once, not for each line");
  assert(problems[0]!.includes("does not store fds"), problems[0]);
  say(1);
  assertEquals(heard(), [["FDSTORE=1 FDNAME=line.a.0", 1]]);
  hangUp(manager);
  say(3);
  assertEquals(problems.length, 2, "again, since it had come back");
});

Deno.test("ManagerFdStore waits for a manager that is busy with others' messages", () => {
  using given = rig();
  const { store, path, problems } = given;
  assertEquals(store.notifySocket, path, "threads connect there");
  using other = connectDatagram(path);
  while (send(other.fd, new Uint8Array(1)) > 0) {
    // Until its queue is full.
  }
  using fd = memFd();
  const from = performance.now();
  store.keep("line.a.0", fd.fd);
  // A manager that reads within 200 ms loses nothing.
  assert(performance.now() - from >= 150);
  assertEquals(problems.length, 1);
});

testAlone(
  import.meta,
  "ManagerFdStore leaves nothing open when it is disposed",
  async () => {
    const before = listDirectory("/proc/self/fd").length;
    {
      using given = rig();
      given.store.offer([["one", memFd().release()]]);
    }
    assertEquals(await settledFds(before), before);
  },
);
