import { assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../ffi/files.ts";
import {
  connectUnix,
  isListening,
  listenUnix,
  socketPair,
} from "../../ffi/unix_socket.ts";
import { ListenSocket } from "./listen_socket.ts";

function scratch() {
  const directory = Deno.makeTempDirSync();
  return {
    path: `${directory}/plc0.sock`,
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

Deno.test("ListenSocket.open() listens, and its file goes away with it", () => {
  using dir = scratch();
  {
    using socket = ListenSocket.open(dir.path, 0o640);
    assertEquals(isListening(socket.listener.fd), true);
    assertEquals(fileStatus(dir.path)?.mode, 0o640);
    connectUnix(dir.path).close();
  }
  assertEquals(fileStatus(dir.path), undefined);
});

Deno.test("ListenSocket.open() replaces the socket of a dead process", () => {
  using dir = scratch();
  listenUnix(dir.path).close();
  using socket = ListenSocket.open(dir.path, 0o600);
  connectUnix(dir.path).close();
  assertEquals(isListening(socket.listener.fd), true);
});

Deno.test("ListenSocket.open() refuses a socket that is in use", () => {
  using dir = scratch();
  using first = ListenSocket.open(dir.path, 0o600);
  assertThrows(
    () => ListenSocket.open(dir.path, 0o600),
    Error,
    "another process serves this socket",
  );
  connectUnix(dir.path).close();
  assertEquals(isListening(first.listener.fd), true);
});

Deno.test("ListenSocket.open() does not wait for one who is too busy to answer", () => {
  using dir = scratch();
  using _busy = listenUnix(dir.path, { backlog: 0 });
  using _waiting = connectUnix(dir.path);
  assertThrows(
    () => ListenSocket.open(dir.path, 0o600),
    Error,
    "another process serves this socket",
  );
});

Deno.test("ListenSocket.open() leaves a file that is no socket alone", () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.path, "precious");
  assertThrows(
    () => ListenSocket.open(dir.path, 0o600),
    Error,
    "there is a file that is no socket",
  );
  assertEquals(Deno.readTextFileSync(dir.path), "precious");
});

Deno.test("ListenSocket.open() says that the directory is missing", () => {
  using dir = scratch();
  assertThrows(
    () => ListenSocket.open(`${dir.path}/nowhere/x.sock`, 0o600),
    Error,
    "ENOENT",
  );
});

Deno.test("isListening() tells a listener from a connection", () => {
  const [one, other] = socketPair();
  using _one = one;
  using _other = other;
  assertEquals(isListening(one.fd), false);
});
