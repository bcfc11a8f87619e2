import { assert, assertEquals, assertFalse } from "@std/assert";
import { EAGAIN, EBADF } from "./errno.ts";
import {
  createEventFd,
  drainFd,
  isDrained,
  isEventFd,
  signalBlockingFd,
  signalFd,
} from "./event_fd.ts";
import { isNonblocking, O_RDONLY, openFile } from "./files.ts";
import { libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import { socketPair } from "./unix_socket.ts";

Deno.test("createEventFd() makes one that never blocks", () => {
  using fd = createEventFd();
  assert(isNonblocking(fd.fd));
  assertEquals(drainFd(fd.fd), -EAGAIN);
});

Deno.test("signalFd() adds to the count, drainFd() takes all of it", () => {
  using fd = createEventFd();
  assert(signalFd(fd.fd));
  assert(signalFd(fd.fd));
  assertEquals(drainFd(fd.fd), 8);
  assertEquals(drainFd(fd.fd), -EAGAIN);
  assert(isDrained(-EAGAIN));
  assertFalse(isDrained(8));
});

Deno.test("signalFd() says false when the count is full", () => {
  using fd = createEventFd();
  // The largest count that an eventfd holds.
  const most = new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer);
  assertEquals(libc().write(fd.fd, most, 8), 8);
  assertFalse(signalFd(fd.fd));
});

Deno.test("signalFd() says false when a pipe is full or has no reader", () => {
  const [reader, writer] = socketPair();
  let sent = 0;
  while (signalFd(writer.fd)) sent++;
  assert(sent > 100, `${sent} fit`);
  assertEquals(drainFd(reader.fd), 8);
  reader.close();
  assertFalse(signalFd(writer.fd));
  writer.close();
});

Deno.test("signalFd() and drainFd() answer for an fd that is not open", () => {
  assertFalse(signalFd(-1));
  assertEquals(drainFd(-1), -EBADF);
});

Deno.test("drainFd() says 0 at the end", () => {
  const [reader, writer] = socketPair();
  writer.close();
  assertEquals(drainFd(reader.fd), 0);
  reader.close();
});

Deno.test("signalBlockingFd() does not wait on a full blocking eventfd", () => {
  using fd = new OwnedFd(libc().eventfd(0, 0), "a blocking eventfd");
  assertFalse(isNonblocking(fd.fd));
  assert(signalBlockingFd(fd.fd));
  assertEquals(drainFd(fd.fd), 8);
  const most = new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer);
  assertEquals(libc().write(fd.fd, most, 8), 8);
  assertFalse(signalBlockingFd(fd.fd));
});

Deno.test("isEventFd() tells eventfds from other files", () => {
  using fd = createEventFd();
  using file = openFile("/dev/null", O_RDONLY);
  assert(isEventFd(fd.fd));
  assertFalse(isEventFd(file.fd));
  assertFalse(isEventFd(999_999));
});
