import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { helpersAreDone } from "../../ffi/helper_thread.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import { connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import type { TimeShare } from "../reactor/event_loop.ts";
import {
  acceptPresent,
  FRUITLESS_REST_MS,
  FruitlessConnections,
} from "./accept_present.ts";

/** A share whose slice is spent after some units; reads no clock. */
function makeShare(units: number): TimeShare {
  return {
    get isSpent() {
      return units-- <= 0;
    },
    take: () => true,
    defer: () => {},
  };
}

function listening() {
  const stack = new DisposableStack();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/a`;
  const listener = stack.use(listenUnix(path, { backlog: 64 }));
  return {
    listener,
    connect: () => connectUnix(path),
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("acceptPresent() passes over clients that went without a word", () => {
  using at = listening();
  for (let i = 0; i < 3; i++) at.connect().close();
  const last = at.connect();
  send(last.fd, Uint8Array.of(1));
  last.close();
  using present = at.connect();
  let gone = 0;
  const accept = () =>
    acceptPresent(at.listener, {
      share: makeShare(100),
      gone: () => void gone++,
    });
  // It said something, which must be heard.
  accept()!.close();
  assertEquals(gone, 3);
  const connection = accept()!;
  send(present.fd, Uint8Array.of(1));
  connection.close();
  assertEquals(accept(), undefined);
  assertEquals(gone, 3);
});

Deno.test("acceptPresent() ends when its share is spent", () => {
  using at = listening();
  for (let i = 0; i < 9; i++) at.connect().close();
  using _present = at.connect();
  let gone = 0;
  const accept = (units: number) =>
    acceptPresent(at.listener, {
      share: makeShare(units),
      gone: () => void gone++,
    });
  assertEquals(accept(2), undefined);
  assertEquals(gone, 3);
  accept(100)!.close();
  assertEquals(gone, 9);
});

Deno.test("acceptPresent() closes what vain words came with elsewhere", () => {
  using at = listening();
  using brought = createEventFd();
  const before = countCopies(brought.fd);
  for (const first of [1, 2, 1]) {
    using peer = at.connect();
    send(peer.fd, Uint8Array.of(first), [brought.fd]);
  }
  let gone = 0;
  using connection = acceptPresent(at.listener, {
    share: makeShare(100),
    gone: () => void gone++,
    isVain: ([first], isAll) => isAll && first === 1,
  })!;
  assertEquals(gone, 1);
  assertEquals(receiveBytes(connection.fd, new Uint8Array(9)), 1);
  assertEquals(
    acceptPresent(at.listener, {
      share: makeShare(100),
      gone: () => void gone++,
      isVain: () => true,
    }),
    undefined,
  );
  assertEquals(gone, 2);
  assert(helpersAreDone(30_000));
  assertEquals(countCopies(brought.fd), before);
});

Deno.test("FruitlessConnections tells a flood from what is usual", () => {
  const connections = new FruitlessConnections();
  for (let i = 0; i < 8; i++) connections.count(1000);
  assertEquals(connections.isFlood(1000), false);
  connections.count(1000);
  connections.count(1000);
  assertEquals(connections.isFlood(1000), true);
  assertEquals(connections.isFlood(1000 + 3 * FRUITLESS_REST_MS), false);
});

Deno.test("FruitlessConnections lets some pass, and then one for each rest", () => {
  const connections = new FruitlessConnections();
  let now = 1000;
  const passing = () => {
    let count = 0;
    while (!connections.count(now)) assert(++count < 1000);
    return count;
  };
  const tolerated = passing();
  assert(tolerated > 10 && tolerated < 200, `${tolerated}`);
  assertEquals(passing(), 0);
  now += FRUITLESS_REST_MS;
  assertEquals(passing(), 1);
  // A VMM that comes and goes now and then is not delayed, however often.
  for (let i = 0; i < 1000; i++) {
    now += FRUITLESS_REST_MS;
    assertEquals(connections.count(now), false);
  }
  now += 1000 * FRUITLESS_REST_MS;
  assertEquals(passing(), tolerated);
});
