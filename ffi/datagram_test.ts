import { assertEquals, assertThrows } from "@std/assert";
import { bindDatagram, connectDatagram } from "./datagram.ts";
import { createMemFd } from "./mem_fd.ts";
import { OsError } from "./os_error.ts";
import type { OwnedFd } from "./owned_fd.ts";
import { receive, send } from "./socket_message.ts";

for (const kind of ["a path", "an abstract name"]) {
  Deno.test(`connectDatagram() sends messages and fds to ${kind}`, () => {
    const directory = Deno.makeTempDirSync();
    try {
      const path = kind === "a path"
        ? `${directory}/notify`
        : `@gpioagg-test-${crypto.randomUUID()}`;
      using receiver = bindDatagram(path);
      using sender = connectDatagram(path);
      using file = createMemFd("kept", 4096);
      send(sender.fd, new TextEncoder().encode("READY=1"));
      send(sender.fd, new TextEncoder().encode("FDSTORE=1"), [file.fd]);
      const piece = new Uint8Array(100);
      const fds: OwnedFd[] = [];
      const texts = [1, 2].map(() =>
        new TextDecoder().decode(
          piece.slice(0, receive(receiver.fd, piece, fds)),
        )
      );
      for (const fd of fds) fd.close();
      assertEquals(texts, ["READY=1", "FDSTORE=1"]);
      assertEquals(fds.length, 1);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  });
}

Deno.test("connectDatagram() refuses what is not there, and no name", () => {
  assertThrows(() => connectDatagram("/no/such/socket"), OsError, "ENOENT");
  assertThrows(() => connectDatagram(""), RangeError);
});
