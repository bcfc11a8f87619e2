import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { OsError } from "../../ffi/os_error.ts";
import { connectUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { connectBackend } from "./connection.ts";
import { ConnectFailedError, ConnectionError } from "./errors.ts";

Deno.test("connectBackend() says why there is no connection, and keeps the cause", async () => {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-probe-" });
  try {
    const path = `${directory}/backend.sock`;
    const fails = (expected: string, code: string) => {
      const error = assertThrows(
        () => connectBackend(path),
        ConnectFailedError,
        expected,
      );
      assertInstanceOf(error.cause, OsError);
      assertEquals(error.cause.code, code);
    };
    fails("there is no such socket", "ENOENT");
    {
      using _listener = listenUnix(path, { backlog: 0 });
      using _first = connectUnix(path);
      fails("the backend is busy", "EAGAIN");
    }
    fails("nothing listens there", "ECONNREFUSED");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("connectBackend() refuses a path that no socket can have", () => {
  assertThrows(
    () => connectBackend("/".padEnd(200, "x")),
    ConnectionError,
    "107",
  );
});
