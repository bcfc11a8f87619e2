import { assertEquals, assertStringIncludes } from "@std/assert";
import { receiveBytes } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";
import type { AdapterSocket } from "./adapter_server.ts";
import { KeptAdapters } from "./kept_adapters.ts";

const LINES = ["A", "B"];

/** Adapters of a process, with the other ends of their connections. */
class Rig implements Disposable {
  readonly stack = new DisposableStack();
  store = this.stack.use(new FdStoreDouble());
  readonly peers: OwnedFd[] = [];

  /** A socket whose session has this state; undefined: it has none. */
  socket(state: Record<string, unknown> | undefined): AdapterSocket {
    const [connection, peer] = socketPair();
    this.peers.push(this.stack.use(peer));
    this.stack.use(connection);
    return {
      endSession: () => {},
      save: () => state && { connection, state },
      [Symbol.dispose]: () => connection.close(),
    };
  }

  /** The next process: what was kept, by adapter. */
  restart(): KeptAdapters {
    this.store = this.stack.use(this.store.restart());
    return new KeptAdapters(this.store, LINES);
  }

  /** Returns true if an adapter's connection has ended. */
  hasEnded(index: number): boolean {
    return receiveBytes(this.peers[index]!.fd, new Uint8Array(1)) === 0;
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }
}

Deno.test("KeptAdapters gives the sessions of all adapters to the next process, once", () => {
  using rig = new Rig();
  const first = new KeptAdapters(rig.store, LINES);
  assertEquals(first.take().size, 0);
  const sockets = [{ a: 1 }, undefined, { c: 3 }].map((state) =>
    rig.socket(state)
  );
  first.keep(sockets);
  for (const socket of sockets) socket[Symbol.dispose]();
  const hosts = rig.restart().take();
  assertEquals([...hosts].map(([index, { state }]) => [index, state]), [
    [0, { a: 1 }],
    [2, { c: 3 }],
  ]);
  assertEquals([0, 1, 2].map((index) => rig.hasEnded(index)), [
    false,
    true,
    false,
  ]);
  // A process that is killed leaves nothing: its state is not what it was.
  assertEquals(rig.restart().take().size, 0);
  for (const { connection } of hosts.values()) connection.close();
  assertEquals([0, 2].map((index) => rig.hasEnded(index)), [true, true]);
  assertEquals(rig.store.problems, []);
});

Deno.test("KeptAdapters ends connections whose record it does not read, and says so", () => {
  const one = { index: 0, state: {} };
  for (
    const [record, fds] of [
      [{ version: 2, lines: LINES, adapters: [one] }, ["0"]],
      [{ lines: LINES, adapters: [one] }, ["0"]],
      [{ version: 1, lines: LINES }, ["0"]],
      [{ version: 1, adapters: [one] }, ["0"]],
      [{ version: 1, lines: ["A", "C"], adapters: [one] }, ["0"]],
      [{ version: 1, lines: ["A"], adapters: [one] }, ["0"]],
      [null, ["0"]],
      [{ version: 1, lines: LINES, adapters: [one, one] }, ["0"]],
      [{ version: 1, lines: LINES, adapters: [one, { index: 1 }] }, ["0"]],
      [{ version: 1, lines: LINES, adapters: [{ index: -1 }] }, ["-1"]],
      [{ version: 1, lines: LINES, adapters: [one] }, ["7"]],
    ] as const
  ) {
    using rig = new Rig();
    const [connection, peer] = socketPair();
    rig.peers.push(rig.stack.use(peer));
    const keeper = SessionKeeper.open(rig.store);
    keeper.keep(record, new Map(fds.map((name) => [name, connection.fd])));
    connection.close();
    assertEquals(rig.restart().take().size, 0);
    assertEquals(rig.hasEnded(0), true, JSON.stringify(record));
    assertStringIncludes(rig.store.problems.join(), "ends with the restart");
  }
});

Deno.test("KeptAdapters tells of a state that is too long, and keeps none", () => {
  using rig = new Rig();
  const kept = new KeptAdapters(rig.store, LINES);
  kept.keep([rig.socket({ text: "x".repeat(70_000) })]);
  assertStringIncludes(rig.store.problems.join(), "bytes, more than");
  assertEquals(rig.restart().take().size, 0);
});
