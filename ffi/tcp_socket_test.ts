import { assert, assertEquals, assertThrows } from "@std/assert";
import { OsError } from "./os_error.ts";
import { acceptTcp, listenLoopback, loopbackPort } from "./tcp_socket.ts";
import { connectUnix, listenUnix } from "./unix_socket.ts";

Deno.test("listenLoopback() takes a free port, and no port twice", () => {
  using stack = new DisposableStack();
  const listener = listenLoopback(0);
  stack.defer(() => listener.close());
  const port = loopbackPort(listener.fd)!;
  assert(port > 0 && port < 65_536);
  const error = assertThrows(() => listenLoopback(port), OsError);
  assertEquals(error.code, "EADDRINUSE");
  assertEquals(acceptTcp(listener.fd), undefined);
});

Deno.test("acceptTcp() accepts one connection after another", () => {
  const directory = Deno.makeTempDirSync();
  try {
    using stack = new DisposableStack();
    // Of another family, which this function does not look at.
    const listener = listenUnix(`${directory}/socket`);
    stack.defer(() => listener.close());
    assertEquals(loopbackPort(listener.fd), undefined);
    for (let i = 0; i < 2; i++) {
      const client = connectUnix(`${directory}/socket`);
      const accepted = acceptTcp(listener.fd);
      assert(accepted !== undefined);
      accepted!.close();
      client.close();
    }
    assertEquals(acceptTcp(listener.fd), undefined);
    assertThrows(() => acceptTcp(-1), OsError);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
