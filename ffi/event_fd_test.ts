import { assert, assertEquals, assertFalse } from "@std/assert";
import { Epoll } from "./epoll.ts";
import { EAGAIN, EBADF, EINTR } from "./errno.ts";
import {
  createEventFd,
  drainFd,
  drainSharedFd,
  isDrained,
  signalBlockingFd,
  signalFd,
  Signalled,
  signalSharedFd,
} from "./event_fd.ts";
import { isNonblocking } from "./files.ts";
import { libc } from "./libc.ts";
import { OwnedFd } from "./owned_fd.ts";
import { socketPair } from "./unix_socket.ts";
import { areWaitsLimited } from "./wait_limit.ts";

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
  assertEquals(signalBlockingFd(fd.fd), Signalled.Done);
  assertEquals(drainFd(fd.fd), 8);
  const most = new Uint8Array(new BigUint64Array([2n ** 64n - 2n]).buffer);
  assertEquals(libc().write(fd.fd, most, 8), 8);
  assertEquals(signalBlockingFd(fd.fd), Signalled.Full);
});

Deno.test("signalSharedFd() is interrupted where the fd blocks and is full", () => {
  using fd = new OwnedFd(libc().eventfd(0, 0), "a blocking eventfd");
  assertEquals(signalSharedFd(fd.fd), Signalled.Done);
  assertEquals(drainFd(fd.fd), 8);
  libc().write(fd.fd, new Uint8Array(8).fill(0xff).with(0, 0xfe), 8);
  assertEquals(signalSharedFd(fd.fd), Signalled.Waited);
  assertEquals(drainFd(fd.fd), 8);
  // Empty now, and it blocks.
  assertEquals(drainSharedFd(fd.fd), -EINTR);
});

Deno.test("a nonblocking shared fd is never interrupted", () => {
  using fd = createEventFd();
  libc().write(fd.fd, new Uint8Array(8).fill(0xff).with(0, 0xfe), 8);
  const end = performance.now() + 100;
  while (performance.now() < end) {
    assertEquals(signalSharedFd(fd.fd), Signalled.Full);
  }
});

Deno.test("the limit of waits ends by itself once nothing needs it", () => {
  using fd = createEventFd();
  using epoll = new Epoll();
  assertEquals(signalSharedFd(fd.fd), Signalled.Done);
  assert(areWaitsLimited());
  let interruptions = 0;
  const end = performance.now() + 10_000;
  while (areWaitsLimited() && performance.now() < end) {
    epoll.wait(1000);
    interruptions++;
  }
  assertFalse(areWaitsLimited());
  assert(interruptions <= 2, `${interruptions} interruptions`);
});
