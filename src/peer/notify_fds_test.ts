import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { EPOLLHUP, EPOLLIN } from "../../ffi/epoll.ts";
import { createEventFd, drainFd, signalFd } from "../../ffi/event_fd.ts";
import {
  duplicate,
  isNonblocking,
  O_CLOEXEC,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  openFile,
} from "../../ffi/files.ts";
import { libc } from "../../ffi/libc.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive, send } from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { R, u64 } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { CallFd, KickFd } from "./notify_fds.ts";

const GET_VALUE = 4;
const F_GETFL = 3;
const F_SETFL = 4;
const EFD_CLOEXEC = 0o2000000;

/** An eventfd as crosvm makes them: without O_NONBLOCK. */
function blockingEventFd(): OwnedFd {
  return new OwnedFd(libc().eventfd(0, EFD_CLOEXEC), "a blocking eventfd");
}

/** A pipe whose ends block. */
function pipe(): [OwnedFd, OwnedFd] {
  const fds = new Int32Array(2);
  const result = libc().pipe2(new Uint8Array(fds.buffer), O_CLOEXEC);
  if (result !== 0) throw new Error("pipe2 failed");
  return [
    new OwnedFd(fds[0]!, "a pipe to read"),
    new OwnedFd(fds[1]!, "a pipe to write"),
  ];
}

/** A socket whose close can wait for another host, and whose lock for a reader. */
function tcpSocket(): OwnedFd {
  return new OwnedFd(libc().socket(2, 1, 0), "a TCP socket");
}

function made<T>(result: T | string): T {
  if (typeof result === "string") throw new Error(result);
  return result;
}

Deno.test("KickFd never reads an eventfd", () => {
  using event = createEventFd();
  using kick = made(KickFd.open(duplicate(event.fd)));
  assertEquals(kick.mustBeTaken, false);
  signalFd(event.fd);
  assertEquals(drainFd(event.fd), 8);
});

Deno.test("KickFd takes kicks from a blocking pipe without waiting, its flags untouched", () => {
  const [reader, writer] = pipe();
  using reading = reader;
  using kick = made(KickFd.open(duplicate(reading.fd)));
  assertEquals(kick.mustBeTaken, true);
  assertEquals(isNonblocking(reading.fd), false);
  for (let i = 0; i < 3; i++) signalFd(writer.fd);
  // Another reader empties it in between: the write must not wait for more.
  libc().read(reading.fd, new Uint8Array(64), 64);
  assertEquals(kick.take(EPOLLIN), true);
  for (let i = 0; i < 3; i++) signalFd(writer.fd);
  assertEquals(kick.take(EPOLLIN), true);
  writer.close();
  assertEquals(kick.take(EPOLLIN | EPOLLHUP), false);
  assertEquals(kick.take(EPOLLHUP), false);
});

Deno.test("KickFd takes kicks from a socket, and closes what comes with them", () => {
  using stray = createEventFd();
  const [ours, theirs] = socketPair();
  using peer = theirs;
  using kick = made(KickFd.open(ours));
  send(peer.fd, new Uint8Array(8), [stray.fd, stray.fd]);
  assertEquals(kick.take(EPOLLIN), true);
  assertEquals(countCopies(stray.fd), 1);
  peer.close();
  assertEquals(kick.take(EPOLLIN), false);
});

Deno.test("KickFd and CallFd refuse other files, and close them", () => {
  using file = createMemFd("file", 4096);
  const zero = () => openFile("/dev/zero", O_RDWR);
  for (const open of [KickFd.open, CallFd.open]) {
    for (const fd of [duplicate(file.fd), zero(), tcpSocket()]) {
      const result = open(fd);
      assert(typeof result === "string");
      assertStringIncludes(
        result,
        "must be an eventfd, a pipe or a Unix socket",
      );
      assert(fd.closed);
    }
  }
  assertEquals(countCopies(file.fd), 1);
});

testSerially(
  "KickFd and CallFd open no pipe for a frontend that has not opened it so",
  () => {
    const directory = Deno.makeTempDirSync();
    try {
      const path = `${directory}/fifo`;
      new Deno.Command("mkfifo", { args: [path] }).outputSync();
      using reader = openFile(path, O_RDWR | O_NONBLOCK);
      signalFd(reader.fd);
      const refused: [typeof KickFd | typeof CallFd, number, string][] = [
        [KickFd, O_PATH, "its fd is not open for reading"],
        [CallFd, O_PATH, "its fd is not open for writing"],
        [KickFd, O_WRONLY | O_NONBLOCK, "its fd is not open for reading"],
        [CallFd, O_RDONLY | O_NONBLOCK, "its fd is not open for writing"],
      ];
      for (const [kind, flags, why] of refused) {
        const fd = openFile(path, flags);
        assertEquals(kind.open(fd), why);
        assert(fd.closed);
      }
      // An eventfd's place in the file system is no eventfd either.
      using eventFd = createEventFd();
      for (const kind of [KickFd, CallFd]) {
        const fd = openFile(`/proc/self/fd/${eventFd.fd}`, O_PATH);
        assertStringIncludes(String(kind.open(fd)), "is not open for");
      }
      // The kick that was there is there still, and no other one.
      assertEquals(drainFd(reader.fd), 8);
      assert(drainFd(reader.fd) < 0);
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

Deno.test("CallFd signals eventfds, blocking or not, and never waits", () => {
  for (const event of [createEventFd(), blockingEventFd()]) {
    using own = event;
    using call = made(CallFd.open(duplicate(own.fd)));
    call.signal();
    call.signal();
    const count = new BigUint64Array(1);
    libc().read(own.fd, new Uint8Array(count.buffer), 8);
    assertEquals(count[0], 2n);
    // Filled to the brim: a plain write would wait for ever.
    count[0] = 2n ** 64n - 2n;
    libc().write(own.fd, new Uint8Array(count.buffer), 8);
    call.signal();
  }
});

Deno.test("CallFd signals a blocking pipe until it is full, then drops what is known anyway", () => {
  const [reader, writer] = pipe();
  using reading = reader;
  using call = made(CallFd.open(duplicate(writer.fd)));
  assertEquals(isNonblocking(writer.fd), false);
  // A pipe has room for 8192 of them.
  for (let i = 0; i < 10_000; i++) call.signal();
  let count = 0;
  while (count < 8192 && drainFd(reading.fd) === 8) count++;
  assertEquals(count, 8192);
  reading.close();
  writer.close();
  call.signal();
});

Deno.test("CallFd signals a socket until it is full", () => {
  const [ours, theirs] = socketPair();
  using peer = theirs;
  using call = made(CallFd.open(ours));
  for (let i = 0; i < 10_000; i++) call.signal();
  const bytes = new Uint8Array(8);
  assertEquals(receive(peer.fd, bytes, []), 8);
  assertEquals([...bytes], [1, 0, 0, 0, 0, 0, 0, 0]);
  peer.close();
  call.signal();
});

for (
  const [what, make] of [
    ["pipe", pipe],
    ["socket", socketPair],
  ] as const
) {
  Deno.test(`a ring is kicked and called through a ${what}`, () => {
    using rig = new VhostRig();
    rig.negotiate();
    rig.setUp(0);
    const [kickOut, kickIn] = make();
    const [callOut, callIn] = make();
    rig.must(R.SET_VRING_KICK, u64(0), [kickOut.fd]);
    rig.must(R.SET_VRING_CALL, u64(0), [callIn.fd]);
    kickOut.close();
    callIn.close();
    rig.enable(0);
    for (let i = 0; i < 100; i++) {
      rig.guest.request(GET_VALUE, 0);
      assert(signalFd(kickIn.fd));
      rig.turn(2);
      assertEquals(rig.guest.responses(), [[0, 0]]);
      assertEquals(drainFd(callOut.fd), 8);
    }
    // A ring that rests is not a reason to spin: its kicks are taken.
    rig.enable(0, 0);
    signalFd(kickIn.fd);
    rig.turn();
    rig.enable(0);
    // Nor is a writer that is gone.
    kickIn.close();
    rig.turn();
    assertEquals(rig.askU64(R.GET_QUEUE_NUM), 2n);
    callOut.close();
    rig.hangUp();
    assertEquals(rig.leftovers().fds, 0);
  });
}

Deno.test("an fd that epoll will not watch is refused as a kick", () => {
  using rig = new VhostRig();
  rig.negotiate();
  using file = createMemFd("file", 4096);
  assertEquals(rig.tell(R.SET_VRING_KICK, u64(0), [file.fd]), 1);
  assertEquals(countCopies(file.fd), 1);
  // The ring that was kicked before still is.
  rig.setUp(0);
  rig.enable(0);
  assertEquals(rig.tell(R.SET_VRING_KICK, u64(0), [file.fd]), 1);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

/** Makes an eventfd blocking, as its other owners can, and fills it. */
function block(fd: number): void {
  const { fcntl, write } = libc();
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) & ~O_NONBLOCK);
  write(fd, new Uint8Array(8).fill(0xff).with(0, 0xfe), 8);
}

for (const what of ["call", "error"] as const) {
  Deno.test(`a frontend whose ${what} fd is made to block ends its session, and rests`, () => {
    const clock = { now: 0 };
    using other = new VhostRig();
    other.negotiate();
    other.startRings();
    using rig = new VhostRig({ now: () => clock.now });
    rig.negotiate();
    rig.startRings();
    assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
    const { calls, errs, rings } = rig.guest;
    if (what === "call") {
      drainFd(calls[0]!.fd);
      block(calls[0]!.fd);
      rig.guest.request(GET_VALUE, 0);
    } else {
      block(errs[0]!.fd);
      rings[0]!.setAvailIndex(1000);
    }
    rig.guest.kick(0);
    assertEquals(rig.isHungUp(), true);
    assertStringIncludes(
      rig.log.join(),
      "ring 0: its notification fd was made",
    );
    assertEquals(rig.leftovers(), { fds: 0, mappings: 1 });
    assertEquals(other.gpio(GET_VALUE, 0), [0, 0]);
    rig.log.length = 0;
    rig.peer = rig.connect();
    clock.now += 9000;
    rig.turn();
    assertEquals(rig.log, []);
    clock.now += 1001;
    rig.turn();
    assertEquals(rig.log, ["connected"]);
  });
}
