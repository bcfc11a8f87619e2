import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { receiveBytes, send, waitingBytes } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { FdStoreDouble } from "../../tests/doubles/fd_store_double.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { SessionKeeper } from "../peer/session_keeper.ts";
import { KeptAdapters } from "./kept_adapters.ts";
import { JOURNAL_BYTES } from "./state_journal.ts";

const LINES = ["A", "B"];
const ADAPTERS = 3;
/** Limit of the helper threads that close copies. **Units**: ms. */
const HELPERS_LIMIT_MS = 30_000;
const NOTHING = new Uint8Array(0);
const bytes = (text: string) => new TextEncoder().encode(text);
const makeState = (more: Record<string, unknown>, output = "") => ({
  output: bytes(output).toBase64(),
  ...more,
});

/** One process after the other, with the other ends of their connections. */
class Rig implements Disposable {
  readonly stack = new DisposableStack();
  store = this.stack.use(new FdStoreDouble());
  kept = new KeptAdapters(this.store, LINES, ADAPTERS);
  readonly peers = new Map<number, OwnedFd>();

  /** An adapter's connection. */
  connect(index: number): OwnedFd {
    const [connection, peer] = socketPair();
    this.peers.set(index, this.stack.use(peer));
    return connection;
  }

  /** The process is killed, and the next one begins. */
  restart(): KeptAdapters {
    this.store = this.stack.use(this.store.restart());
    this.kept = new KeptAdapters(this.store, LINES, ADAPTERS);
    return this.kept;
  }

  /** Returns true if an adapter's connection has ended. */
  hasEnded(index: number): boolean {
    assert(helpersAreDone(HELPERS_LIMIT_MS), "a close hangs");
    return receiveBytes(this.peers.get(index)!.fd, new Uint8Array(1)) === 0;
  }

  /**
   * Returns true if it has, or does soon: a process that another test is just
   * starting may have a copy until it has begun.
   */
  ends(index: number): boolean {
    pollFd(this.peers.get(index)!.fd, POLLIN, HELPERS_LIMIT_MS);
    return this.hasEnded(index);
  }

  [Symbol.dispose](): void {
    this.stack.dispose();
  }
}

Deno.test("KeptAdapters gives the sessions of all adapters to the next process, again and again", () => {
  using rig = new Rig();
  assertEquals(rig.kept.take().size, 0);
  const connections = [0, 2].map((index) => {
    const connection = rig.connect(index);
    const journal = rig.kept.journal(index);
    journal.write(connection, makeState({ is: "old" }), NOTHING, 0);
    journal.write(connection, makeState({ is: index }, "answer"), NOTHING, 0);
    journal.sent(4);
    return connection;
  });
  for (const connection of connections) connection.close();
  for (let round = 0; round < 3; round++) {
    const hosts = rig.restart().take();
    assertEquals([...hosts].map(([index, { state }]) => [index, state]), [
      [0, makeState({ is: 0 }, "er")],
      [2, makeState({ is: 2 }, "er")],
    ]);
    for (const { connection } of hosts.values()) connection.close();
    assertEquals([0, 2].map((index) => rig.hasEnded(index)), [false, false]);
  }
  // Those that are over are over for the next process too.
  const hosts = rig.restart();
  const left = hosts.take();
  assertEquals(left.size, 0);
  assertStringIncludes(rig.store.problems.join(), "several processes ended");
  assertEquals([0, 2].map((index) => rig.ends(index)), [true, true]);
});

Deno.test("KeptAdapters keeps the others when a session is over", () => {
  using rig = new Rig();
  const connections = [0, 1].map((index) => {
    const connection = rig.connect(index);
    const journal = rig.kept.journal(index);
    journal.write(connection, makeState({ index }), NOTHING, 0);
    return { connection, journal };
  });
  connections[0]!.journal.over();
  for (const { connection } of connections) connection.close();
  assertEquals(rig.ends(0), true);
  const next = rig.restart();
  const hosts = next.take();
  assertEquals([...hosts.keys()], [1]);
  next.journal(1).over();
  hosts.get(1)!.connection.close();
  assertEquals(rig.ends(1), true);
  assertEquals(rig.restart().take().size, 0);
  assertEquals(rig.store.problems, []);
});

Deno.test("KeptAdapters has messages served once, whenever the process was killed", () => {
  for (
    const killedAt of ["before it takes them", "before it says so", "later"]
  ) {
    using rig = new Rig();
    const connection = rig.connect(0);
    send(rig.peers.get(0)!.fd, bytes("request 1 request 2"));
    const journal = rig.kept.journal(0);
    journal.write(connection, makeState({}), bytes("request 1"), 10);
    if (killedAt !== "before it takes them") {
      receiveBytes(connection.fd, new Uint8Array(10));
    }
    if (killedAt === "later") journal.tookOut();
    connection.close();
    const host = rig.restart().take().get(0)!;
    assertEquals(waitingBytes(host.connection.fd), 9, killedAt);
    host.connection.close();
  }
});

Deno.test("KeptAdapters ends connections whose record it does not read, and says so", () => {
  const good = { version: 2, lines: LINES, adapters: ADAPTERS };
  for (
    const [record, names, size] of [
      [{ ...good, version: 1 }, ["0", "memory"]],
      [{ ...good, version: 3 }, ["0", "memory"]],
      [{ ...good, version: undefined }, ["0", "memory"]],
      [{ ...good, lines: undefined }, ["0", "memory"]],
      [{ ...good, lines: ["A", "C"] }, ["0", "memory"]],
      [{ ...good, lines: ["A"] }, ["0", "memory"]],
      [{ ...good, adapters: 2 }, ["0", "memory"]],
      [null, ["0", "memory"]],
      [good, ["0"]],
      [good, ["3", "memory"]],
      [good, ["-1", "memory"]],
      [good, ["0", "memory"]],
      [good, ["0", "memory"], 4096],
    ] as const
  ) {
    using rig = new Rig();
    const connection = rig.connect(0);
    const memory = rig.stack.use(
      createMemFd("kept", size ?? ADAPTERS * JOURNAL_BYTES),
    );
    const keeper = SessionKeeper.open(rig.store);
    keeper.keep(
      record,
      new Map(
        names.map((name) => [
          name,
          name === "memory" ? memory.fd : connection.fd,
        ]),
      ),
    );
    connection.close();
    assertEquals(rig.restart().take().size, 0);
    assertEquals(rig.ends(0), true, JSON.stringify(record));
    assertStringIncludes(rig.store.problems.join(), "ends with the restart");
    assertEquals(
      rig.store.problems.join().includes("its state is of another version"),
      record !== null && record.version !== good.version,
    );
  }
});

Deno.test("KeptAdapters tells of a state that is too long, and keeps none", () => {
  using rig = new Rig();
  const connection = rig.connect(0);
  const journal = rig.kept.journal(0);
  journal.write(connection, makeState({}), NOTHING, 0);
  const long = makeState({ text: "x".repeat(300_000) });
  for (let i = 0; i < 2; i++) journal.write(connection, long, NOTHING, 0);
  assertEquals(rig.store.problems, [
    "a VMM's session will end with the next restart: its state is too long",
  ]);
  connection.close();
  assertEquals(rig.restart().take().size, 0);
  assertEquals(rig.ends(0), true);
});
