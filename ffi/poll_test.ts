import { assert, assertEquals } from "@std/assert";
import { createEventFd, signalFd } from "./event_fd.ts";
import { O_WRONLY, openFile } from "./files.ts";
import {
  pollFd,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  pollReadable,
} from "./poll.ts";
import { socketPair } from "./unix_socket.ts";

Deno.test("pollFd() tells what an fd is ready for", () => {
  using fd = createEventFd();
  assertEquals(pollFd(fd.fd, POLLIN, 0), 0);
  assertEquals(pollFd(fd.fd, POLLIN | POLLOUT, 0), POLLOUT);
  signalFd(fd.fd);
  assertEquals(pollFd(fd.fd, POLLIN, -1), POLLIN);
  assertEquals(pollFd(999_999, POLLIN, -1), POLLNVAL);
});

Deno.test("pollReadable() answers for each fd, in the order given", () => {
  using a = createEventFd();
  using b = createEventFd();
  const [mine, theirs] = socketPair();
  theirs.close();
  using socket = mine;
  signalFd(b.fd);
  const ready = pollReadable([a.fd, b.fd, socket.fd, b.fd], -1);
  assertEquals([ready[0], ready[1], ready[3]], [0, POLLIN, POLLIN]);
  assert((ready[2]! & POLLHUP) !== 0);
  assertEquals(pollReadable([a.fd], 0), [0]);
  assertEquals(pollReadable([], 0), []);
});

Deno.test("pollReadable() rounds times up, never down to nothing", () => {
  const before = performance.now();
  assertEquals(pollReadable([], 0.2), []);
  assert(performance.now() - before >= 0.9);
});

Deno.test("pollFd() of a file that is always ready does not wait", () => {
  using file = openFile("/dev/null", O_WRONLY);
  assertEquals(pollFd(file.fd, POLLOUT, -1), POLLOUT);
});
