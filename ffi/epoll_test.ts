import { assertEquals, assertThrows } from "@std/assert";
import { Epoll, EPOLLET, EPOLLHUP, EPOLLIN, EPOLLOUT } from "./epoll.ts";
import { createEventFd, drainFd, signalFd } from "./event_fd.ts";
import { O_RDONLY, openFile } from "./files.ts";
import { OsError } from "./os_error.ts";
import { socketPair } from "./unix_socket.ts";

Deno.test("Epoll.wait() reports what is ready, with slot and generation", () => {
  using epoll = new Epoll();
  using a = createEventFd();
  using b = createEventFd();
  epoll.add(a.fd, EPOLLIN, 7, 1);
  epoll.add(b.fd, EPOLLIN, 0xffff_fffe, 0xffff_ffff);
  assertEquals(epoll.wait(0), 0);
  signalFd(b.fd);
  assertEquals(epoll.wait(0), 1);
  assertEquals(
    [epoll.eventsAt(0), epoll.slotAt(0), epoll.generationAt(0)],
    [EPOLLIN, 0xffff_fffe, 0xffff_ffff],
  );
  signalFd(a.fd);
  assertEquals(epoll.wait(-1), 2);
  assertEquals(
    [epoll.slotAt(0), epoll.slotAt(1)].sort((x, y) => x - y),
    [7, 0xffff_fffe],
  );
});

Deno.test("Epoll.modify() changes events and numbers", () => {
  using epoll = new Epoll();
  using fd = createEventFd();
  epoll.add(fd.fd, EPOLLIN, 1, 1);
  epoll.modify(fd.fd, EPOLLOUT, 2, 3);
  assertEquals(epoll.wait(0), 1);
  assertEquals(
    [epoll.eventsAt(0), epoll.slotAt(0), epoll.generationAt(0)],
    [EPOLLOUT, 2, 3],
  );
});

Deno.test("Epoll.remove() ends the watch", () => {
  using epoll = new Epoll();
  using fd = createEventFd();
  signalFd(fd.fd);
  epoll.add(fd.fd, EPOLLIN, 1, 1);
  epoll.remove(fd.fd);
  assertEquals(epoll.wait(0), 0);
  assertThrows(() => epoll.remove(fd.fd), OsError, "ENOENT");
});

Deno.test("Epoll with EPOLLET needs no read between notifications", () => {
  using epoll = new Epoll();
  using fd = createEventFd();
  epoll.add(fd.fd, EPOLLIN | EPOLLET, 1, 1);
  for (let i = 0; i < 3; i++) {
    signalFd(fd.fd);
    assertEquals(epoll.wait(0), 1);
    assertEquals(epoll.wait(0), 0);
  }
  assertEquals(drainFd(fd.fd), 8);
});

Deno.test("Epoll reports a peer that hung up", () => {
  using epoll = new Epoll();
  const [mine, theirs] = socketPair();
  using fd = mine;
  epoll.add(fd.fd, EPOLLIN, 1, 1);
  theirs.close();
  assertEquals(epoll.wait(0), 1);
  assertEquals(epoll.eventsAt(0) & EPOLLHUP, EPOLLHUP);
});

Deno.test("Epoll.wait() reports no more than its capacity at once", () => {
  using epoll = new Epoll(2);
  const fds = [createEventFd(), createEventFd(), createEventFd()];
  for (const [i, fd] of fds.entries()) {
    epoll.add(fd.fd, EPOLLIN | EPOLLET, i, 0);
    signalFd(fd.fd);
  }
  assertEquals([epoll.wait(0), epoll.wait(0), epoll.wait(0)], [2, 1, 0]);
  for (const fd of fds) fd.close();
});

Deno.test("Epoll.wait() gives up when the time is over", () => {
  using epoll = new Epoll();
  // A signal ends a wait early, and other tests' may come here: it is a short one.
  let longest = 0;
  for (let tries = 0; tries < 1000 && longest < 4; tries++) {
    const before = performance.now();
    assertEquals(epoll.wait(5), 0);
    longest = Math.max(longest, performance.now() - before);
  }
  assertEquals(longest >= 4, true, `${longest} ms`);
});

Deno.test("Epoll.add() refuses regular files and a second watch", () => {
  using epoll = new Epoll();
  using file = openFile("/etc/hostname", O_RDONLY);
  assertThrows(() => epoll.add(file.fd, EPOLLIN, 0, 0), OsError, "EPERM");
  using fd = createEventFd();
  epoll.add(fd.fd, EPOLLIN, 0, 0);
  assertThrows(() => epoll.add(fd.fd, EPOLLIN, 0, 0), OsError, "EEXIST");
});

Deno.test("Epoll that is disposed does not wait any more", () => {
  const epoll = new Epoll();
  epoll[Symbol.dispose]();
  epoll[Symbol.dispose]();
  assertThrows(() => epoll.wait(0), Error);
});
