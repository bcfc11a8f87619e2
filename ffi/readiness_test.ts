import { assert, assertEquals, assertThrows } from "@std/assert";
import { createEventFd, drainFd, signalFd } from "./event_fd.ts";
import { O_RDONLY, openFile } from "./files.ts";
import { listDirectory } from "./directory_entries.ts";
import { OsError } from "./os_error.ts";
import { whenReadable } from "./readiness.ts";
import { socketPair } from "./unix_socket.ts";
import { settledFds } from "../tests/doubles/open_fds.ts";
import { testAlone } from "../tests/doubles/test_alone.ts";

const openFds = () => listDirectory("/proc/self/fd").length;

Deno.test("whenReadable() tells when an fd becomes readable", async () => {
  using fd = createEventFd();
  const wait = whenReadable(fd.fd);
  let told = false;
  wait.ready.then(() => told = true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert(!told, "the isolate goes on meanwhile");
  signalFd(fd.fd);
  assertEquals(await wait.ready, true);
});

Deno.test("whenReadable() serves several fds, and several waits for one", async () => {
  using a = createEventFd();
  using b = createEventFd();
  const waits = [whenReadable(a.fd), whenReadable(b.fd), whenReadable(a.fd)];
  signalFd(a.fd);
  assertEquals(await waits[0]!.ready, true);
  assertEquals(await waits[2]!.ready, true);
  signalFd(b.fd);
  assertEquals(await waits[1]!.ready, true);
});

Deno.test("whenReadable() can be waited for again and again", async () => {
  using fd = createEventFd();
  for (let i = 0; i < 50; i++) {
    const wait = whenReadable(fd.fd);
    signalFd(fd.fd);
    assertEquals(await wait.ready, true);
    assertEquals(drainFd(fd.fd), 8);
  }
});

Deno.test("whenReadable() tells of a peer that hung up", async () => {
  const [mine, theirs] = socketPair();
  const wait = whenReadable(mine.fd);
  theirs.close();
  assertEquals(await wait.ready, true);
  mine.close();
});

testAlone(
  import.meta,
  "a wait that is cancelled ends with false, at once",
  async () => {
    const before = openFds();
    const fd = createEventFd();
    const wait = whenReadable(fd.fd);
    const other = createEventFd();
    const otherWait = whenReadable(other.fd);
    wait.cancel();
    wait.cancel();
    fd.close();
    assertEquals(await wait.ready, false);
    signalFd(other.fd);
    assertEquals(await otherWait.ready, true);
    otherWait.cancel();
    other.close();
    assertEquals(await settledFds(before), before);
  },
);

Deno.test("cancelling one of two waits for an fd leaves the other", async () => {
  using fd = createEventFd();
  const one = whenReadable(fd.fd);
  const other = whenReadable(fd.fd);
  one.cancel();
  assertEquals(await one.ready, false);
  signalFd(fd.fd);
  assertEquals(await other.ready, true);
});

testAlone(
  import.meta,
  "whenReadable() refuses regular files, and keeps nothing",
  () => {
    const before = openFds();
    using file = openFile("/etc/hostname", O_RDONLY);
    assertThrows(() => whenReadable(file.fd), OsError, "EPERM");
    assertEquals(openFds(), before + 1);
  },
);
