import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  descriptorShares,
  SessionDescriptors,
} from "../../ffi/descriptor_budget.ts";
import { EMFILE } from "../../ffi/errno.ts";
import { hangUp } from "../../ffi/helper_thread.ts";
import { isOsError, OsError } from "../../ffi/os_error.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { connectUnix, listenUnix, socketPair } from "../../ffi/unix_socket.ts";
import { Reactor } from "../reactor/reactor.ts";
import { FRUITLESS_REST_MS } from "./accept_present.ts";
import { PeerServer } from "./peer_server.ts";

const LIMIT = 1024;

for (const kind of ["connection", "resumed"] as const) {
  Deno.test(`PeerServer gives the descriptors of a ${kind} back that cannot be served`, () => {
    using reactor = new Reactor({ onError: () => {} });
    const descriptors = new SessionDescriptors(LIMIT);
    const [connection, peer] = socketPair();
    using _peer = peer;
    const [listener, other] = socketPair();
    using _other = other;
    assertThrows(
      () =>
        new PeerServer({
          loop: reactor,
          endpoint: kind === "connection" ? { connection } : { listener },
          resumed: kind === "resumed" ? connection : undefined,
          events: {
            connected: () => {},
            disconnected: () => {},
            waiting: () => {},
            fault: () => {},
          },
          begin: ({ connection }) => {
            connection.close();
            throw new OsError("epoll_ctl", EMFILE, "a session");
          },
          descriptors,
        }),
      OsError,
    );
    if (kind === "connection") listener.close();
    const { sessions } = descriptorShares(LIMIT);
    assert(descriptors.reserve(sessions) !== undefined);
  });
}

Deno.test("PeerServer serves few of a flood of short sessions, and the next VMM after a rest", () => {
  using stack = new DisposableStack();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/a`;
  let now = 0;
  const reactor = stack.use(new Reactor({ now: () => now, onError: () => {} }));
  let begun = 0;
  stack.use(
    new PeerServer({
      loop: reactor,
      endpoint: { listener: listenUnix(path) },
      now: () => now,
      events: {
        connected: () => {},
        disconnected: () => {},
        waiting: () => {},
        fault: (error) => {
          throw error;
        },
      },
      begin: ({ connection, onEnd }) => {
        begun++;
        const end = () => {
          connection.close();
          onEnd("it is over", false);
        };
        // What a flooding peer causes: a session that ends at once.
        reactor.defer(end);
        return { isIdle: true, end, [Symbol.dispose]: end };
      },
    }),
  );
  const flood = () => {
    for (let i = 0; i < 500; i++) {
      const peer = connectedNow(path);
      if (peer === undefined) return;
      send(peer.fd, Uint8Array.of(1));
      for (let turns = 0; turns < 4; turns++) reactor.turn(0);
      hangUp(peer);
    }
  };
  flood();
  const first = begun;
  assert(first > 10 && first < 200, `${first} sessions were begun`);
  reactor.turn(0);
  assertEquals(begun, first);
  // Those that are gone wait for no answer to what they have sent.
  now += FRUITLESS_REST_MS;
  for (let turns = 0; turns < 8; turns++) reactor.turn(0);
  assertEquals(begun, first);
  // The backlog may hold many of them yet.
  let vmm: OwnedFd | undefined;
  for (let rests = 0; begun === first && rests < 500; rests++) {
    vmm ??= connectedNow(path);
    now += FRUITLESS_REST_MS;
    for (let turns = 0; turns < 4; turns++) reactor.turn(0);
  }
  vmm?.close();
  assertEquals(begun, first + 1);
});

/** A connection; undefined if the backlog is full. */
function connectedNow(path: string): OwnedFd | undefined {
  try {
    return connectUnix(path, { wait: false });
  } catch (error) {
    if (!isOsError(error, "EAGAIN")) throw error;
    return undefined;
  }
}
