import { assertEquals, assertThrows } from "@std/assert";
import { listDirectory } from "../../../ffi/directory_entries.ts";
import { fileStatus } from "../../../ffi/file_status.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import {
  connectUnix,
  isListening,
  listenUnix,
  socketPair,
} from "../../../ffi/unix_socket.ts";
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
    using socket = ListenSocket.open(dir.path, { mode: 0o640 });
    assertEquals(isListening(socket.listener.fd), true);
    assertEquals(fileStatus(dir.path)?.mode, 0o640);
    connectUnix(dir.path).close();
  }
  assertEquals(fileStatus(dir.path), undefined);
});

Deno.test("ListenSocket.open() replaces the socket of a dead process", () => {
  using dir = scratch();
  listenUnix(dir.path).close();
  using socket = ListenSocket.open(dir.path, { mode: 0o600 });
  connectUnix(dir.path).close();
  assertEquals(isListening(socket.listener.fd), true);
});

Deno.test("ListenSocket.leaveAll() leaves files for the next process to replace", () => {
  using dir = scratch();
  using socket = ListenSocket.open(dir.path, { mode: 0o600 });
  ListenSocket.leaveAll();
  assertEquals(socket.listener.closed, true);
  assertEquals(fileStatus(dir.path)?.kind, "socket");
  using next = ListenSocket.open(dir.path, { mode: 0o600 });
  socket[Symbol.dispose]();
  connectUnix(dir.path).close();
  assertEquals(isListening(next.listener.fd), true);
});

Deno.test("ListenSocket.open() refuses a socket that is in use", () => {
  using dir = scratch();
  using first = ListenSocket.open(dir.path, { mode: 0o600 });
  assertThrows(
    () => ListenSocket.open(dir.path, { mode: 0o600 }),
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
    () => ListenSocket.open(dir.path, { mode: 0o600 }),
    Error,
    "another process serves this socket",
  );
});

Deno.test("ListenSocket.open() leaves a file that is not a socket alone", () => {
  using dir = scratch();
  Deno.writeTextFileSync(dir.path, "precious");
  assertThrows(
    () => ListenSocket.open(dir.path, { mode: 0o600 }),
    Error,
    "the file there is not a socket",
  );
  assertEquals(Deno.readTextFileSync(dir.path), "precious");
});

Deno.test("ListenSocket.open() follows no link at its own name", () => {
  using dir = scratch();
  const target = `${dir.path}.target`;
  listenUnix(target).close();
  Deno.symlinkSync(target, dir.path);
  assertThrows(
    () => ListenSocket.open(dir.path, { mode: 0o600 }),
    Error,
    "the file there is not a socket",
  );
  assertEquals(fileStatus(target)?.kind, "socket");
});

Deno.test("ListenSocket removes no file but its own, and leaves none beside it", () => {
  using dir = scratch();
  const directory = dir.path.slice(0, dir.path.lastIndexOf("/"));
  const socket = ListenSocket.open(dir.path, { mode: 0o600 });
  assertEquals(listDirectory(directory), ["plc0.sock"]);
  Deno.renameSync(dir.path, `${dir.path}.moved`);
  const next = ListenSocket.open(dir.path, { mode: 0o600 });
  socket[Symbol.dispose]();
  connectUnix(dir.path).close();
  next[Symbol.dispose]();
  assertEquals(listDirectory(directory), ["plc0.sock.moved"]);
});

testAlone(
  import.meta,
  "ListenSocket.open() gives the file its mode, whatever the umask",
  () => {
    for (const umask of [0, 0o077, 0o777]) {
      using dir = scratch();
      const before = Deno.umask(umask);
      try {
        using _socket = ListenSocket.open(dir.path, { mode: 0o640 });
        assertEquals(fileStatus(dir.path)?.mode, 0o640);
      } finally {
        Deno.umask(before);
      }
    }
  },
);

Deno.test("ListenSocket.open() takes paths as long as a socket's can be", () => {
  using dir = scratch();
  const longest = dir.path.padEnd(107, "x");
  using _socket = ListenSocket.open(longest, { mode: 0o600 });
  connectUnix(longest).close();
  assertThrows(
    () => ListenSocket.open(`${longest}x`, { mode: 0o600 }),
    RangeError,
    "108 bytes",
  );
});

Deno.test("ListenSocket.open() says that the directory is missing", () => {
  using dir = scratch();
  assertThrows(
    () => ListenSocket.open(`${dir.path}/nowhere/x.sock`, { mode: 0o600 }),
    Error,
    "does not exist",
  );
  // One that is there, and where no file can be made.
  assertThrows(
    () => ListenSocket.open("/proc/x.sock", { mode: 0o600 }),
    Error,
    "directory /proc takes no sockets (ENOENT)",
  );
});

Deno.test("isListening() tells a listener from a connection", () => {
  const [one, other] = socketPair();
  using _one = one;
  using _other = other;
  assertEquals(isListening(one.fd), false);
});
