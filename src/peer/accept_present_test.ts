import { assert, assertEquals } from "@std/assert";
import { send } from "../../ffi/socket_message.ts";
import { connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import type { TimeShare } from "../reactor/event_loop.ts";
import {
  acceptPresent,
  FRUITLESS_REST_MS,
  FruitlessConnections,
} from "./accept_present.ts";

/** A share whose slice is spent after some units; reads no clock. */
function shareOf(units: number): TimeShare {
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
    acceptPresent(at.listener, shareOf(100), () => void gone++);
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
  const count = () => void gone++;
  assertEquals(acceptPresent(at.listener, shareOf(2), count), undefined);
  assertEquals(gone, 3);
  acceptPresent(at.listener, shareOf(100), count)!.close();
  assertEquals(gone, 9);
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
