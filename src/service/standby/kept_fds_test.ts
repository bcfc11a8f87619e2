import { assertEquals } from "@std/assert";
import { duplicate } from "../../../ffi/files.ts";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { fdStatus } from "../../../ffi/file_status.ts";
import { packetPair } from "../../../ffi/unix_socket.ts";
import { KeptFds } from "./kept_fds.ts";

Deno.test("KeptFds holds several descriptors of one name, and each once", () => {
  using store = new KeptFds(8);
  const [one, other] = packetPair();
  assertEquals(store.keep("a", duplicate(one.fd)), true);
  assertEquals(store.keep("a", one), false);
  assertEquals(one.closed, true);
  assertEquals(store.keep("a", other), true);
  assertEquals(store.list().map(([name]) => name), ["a", "a"]);
  // Event fds share one file of the kernel.
  assertEquals(store.keep("b", createEventFd()), true);
  assertEquals(store.keep("b", createEventFd()), true);
  assertEquals(store.size, 4);
});

Deno.test("KeptFds closes what is dropped, and what finds no room", () => {
  using store = new KeptFds(1);
  const first = createEventFd();
  const second = createEventFd();
  store.keep("a", first);
  assertEquals(store.keep("b", second), false);
  assertEquals([first.closed, second.closed], [false, true]);
  store.drop("no such name");
  store.drop("a");
  assertEquals([first.closed, store.size, store.list()], [true, 0, []]);
});

Deno.test("KeptFds closes all of it at its end", () => {
  const fd = createEventFd();
  {
    using store = new KeptFds(1);
    store.keep("a", fd);
    assertEquals(fdStatus(fd.fd).kind, "something else");
  }
  assertEquals(fd.closed, true);
});
