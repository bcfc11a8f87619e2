/** Descriptors that clients send, on kernels that cannot refuse them. */
import { assert, assertEquals } from "@std/assert";
import {
  descriptorLimit,
  descriptorShares,
} from "../../../ffi/descriptor_budget.ts";
import {
  descriptorsElsewhere,
  helpersAreDone,
} from "../../../ffi/helper_thread.ts";
import { receive, send } from "../../../ffi/socket_message.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { LingeringSocket } from "../../../tests/doubles/lingering_socket.ts";
import { refuseNoDescriptors } from "../../../tests/doubles/old_kernel.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { ListenSocket } from "../sockets/listen_socket.ts";
import { ControlSocket } from "./control_socket.ts";

const LIMIT_MS = 60_000;
const IDLE_MS = 10_000;
/** Turns in which anything that can be done is done. */
const TURNS = 50;

/** A control socket on a kernel before Linux 6.16. */
function rig() {
  const stack = new DisposableStack();
  stack.use(refuseNoDescriptors());
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/a.control`;
  let now = 0;
  const reactor = stack.use(
    new Reactor({
      now: () => now,
      onError: (error) => {
        throw error;
      },
    }),
  );
  const socket = ListenSocket.open(path, { mode: 0o600, backlog: 256 });
  const control = stack.use(
    new ControlSocket(reactor, socket, () => ["{}"].values(), () => now),
  );
  return {
    reactor,
    control,
    connect: () => connectUnix(path),
    /** Connects, and sends a byte with a descriptor whose close waits. */
    give: () => {
      const client = connectUnix(path);
      const lingering = stack.use(new LingeringSocket(600));
      send(client.fd, Uint8Array.of(0x7b), [lingering.socket.fd]);
      // The message has the last copy.
      lingering.socket.close();
      return client;
    },
    pass: (ms: number) => {
      now += ms;
      for (let i = 0; i < TURNS; i++) {
        now++;
        reactor.turn(0);
      }
    },
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const { closingPerPeer } = descriptorShares(descriptorLimit());

testAlone(
  import.meta,
  "a control socket accepts no more while descriptors of its clients are not closed",
  () => {
    const it = rig();
    for (let i = 0; i < 2 * closingPerPeer; i++) {
      // One that goes, and one that stays.
      const client = it.give();
      it.pass(5);
      client.close();
      it.pass(5);
    }
    const waiting = descriptorsElsewhere();
    // The last one's socket too.
    assert(waiting >= closingPerPeer && waiting <= closingPerPeer + 1);
    // Another one waits until they are closed.
    using late = it.connect();
    send(late.fd, new TextEncoder().encode("{}\n"));
    it.pass(1000);
    const answer = new Uint8Array(16);
    assertEquals(receive(late.fd, answer, []), -1);
    it[Symbol.dispose]();
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
  },
);

testAlone(
  import.meta,
  "descriptors that idle clients of a control socket sent count as theirs",
  () => {
    const it = rig();
    const clients = Array.from({ length: 8 }, () => it.give());
    it.pass(5);
    assertEquals(descriptorsElsewhere(), 8);
    it.pass(IDLE_MS);
    // Each connection, which is closed elsewhere too.
    for (const client of clients) {
      const end = new Uint8Array(16);
      assertEquals(receive(client.fd, end, []), 0);
      client.close();
    }
    for (let i = 0; i < closingPerPeer; i++) {
      it.give().close();
      it.pass(5);
    }
    assert(descriptorsElsewhere() <= closingPerPeer + 1);
    it[Symbol.dispose]();
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
  },
);

testAlone(
  import.meta,
  "the end of a control socket waits for no descriptor in its backlog",
  () => {
    const it = rig();
    const clients = [it.give(), it.give()];
    it.control[Symbol.dispose]();
    // The listener, which has them.
    assertEquals(descriptorsElsewhere(), 1);
    for (const client of clients) client.close();
    it[Symbol.dispose]();
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
  },
);
