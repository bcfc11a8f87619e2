import { assertEquals, assertThrows } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receive, send } from "../../../ffi/socket_message.ts";
import { packetPair } from "../../../ffi/unix_socket.ts";
import { KeptFds } from "./kept_fds.ts";
import { copyOfSession } from "./session_copy.ts";

Deno.test("copyOfSession() has the message and the descriptors of the session, which stays", () => {
  using kept = new KeptFds(10);
  using fd = createEventFd();
  const [sender, receiver] = packetPair();
  send(sender.fd, new TextEncoder().encode("a record"), [fd.fd]);
  kept.keep("session.a.in", sender);
  kept.keep("session.a.out", receiver);
  for (let i = 0; i < 2; i++) {
    const copy = new Map(
      copyOfSession(kept, "a").map(([name, fd]) => [name, new OwnedFd(fd, "")]),
    );
    assertEquals([...copy.keys()], ["session.a.in", "session.a.out"]);
    const bytes = new Uint8Array(100);
    const fds: OwnedFd[] = [];
    const count = receive(copy.get("session.a.out")!.fd, bytes, fds);
    assertEquals(
      [new TextDecoder().decode(bytes.subarray(0, count)), fds.length],
      ["a record", 1],
    );
    for (const fd of [...fds, ...copy.values()]) fd.close();
  }
  assertThrows(() => copyOfSession(kept, "b"), Error, "is not kept");
});
