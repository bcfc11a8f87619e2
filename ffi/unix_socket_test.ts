import { assert, assertEquals, assertThrows } from "@std/assert";
import { createEventFd, drainFd, signalFd } from "./event_fd.ts";
import { givenKind } from "./given_fd.ts";
import { duplicate, isNonblocking, readSmallFile } from "./files.ts";
import { listDirectory } from "./directory_entries.ts";
import { fileStatus } from "./file_status.ts";
import { hangUp } from "./helper_thread.ts";
import { libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { pollFd, POLLIN } from "./poll.ts";
import {
  MAX_PASSED_FDS,
  receive,
  receiveBytes,
  refuseDescriptors,
  send,
} from "./socket_message.ts";
import {
  acceptUnix,
  connectUnix,
  listenUnix,
  peerCredentials,
  socketPair,
  socketPath,
} from "./unix_socket.ts";
import { testAlone, testSerially } from "../tests/doubles/test_alone.ts";
import { mustIgnore } from "../tests/doubles/skipped.ts";

const text = (value: string) => new TextEncoder().encode(value);
const openFds = () => listDirectory("/proc/self/fd").length;

function withDirectory(run: (directory: string) => void) {
  const directory = Deno.makeTempDirSync();
  try {
    run(directory);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("listenUnix(), connectUnix() and acceptUnix() meet", () => {
  withDirectory((directory) => {
    const path = `${directory}/s`;
    using listener = listenUnix(path);
    assertEquals(acceptUnix(listener.fd), undefined);
    using client = connectUnix(path);
    using server = acceptUnix(listener.fd)!;
    assert(isNonblocking(client.fd) && isNonblocking(server.fd));
    assertEquals(send(client.fd, text("hello")), 5);
    const target = new Uint8Array(16);
    assertEquals(receive(server.fd, target, []), 5);
    assertEquals(target.subarray(0, 5), text("hello"));
    assertEquals(receive(server.fd, target, []), -1);
    client.close();
    assertEquals(receive(server.fd, target, []), 0);
  });
});

Deno.test("connectUnix() does not wait for room in a backlog when told not to", () => {
  withDirectory((directory) => {
    const path = `${directory}/s`;
    using _listener = listenUnix(path, { backlog: 0 });
    using _first = connectUnix(path, { wait: false });
    const error = assertThrows(
      () => {
        using _second = connectUnix(path, { wait: false });
      },
      OsError,
    );
    assertEquals([error.syscall, error.code], ["connect", "EAGAIN"]);
  });
});

testAlone(import.meta, "listenUnix() leaves a file in the way alone", () => {
  withDirectory((directory) => {
    const path = `${directory}/s`;
    const before = openFds();
    listenUnix(path).close();
    assertThrows(() => listenUnix(path), OsError, "EADDRINUSE");
    assertThrows(() => connectUnix(path), OsError, "ECONNREFUSED");
    assertThrows(() => connectUnix(`${path}2`), OsError, "ENOENT");
    assertEquals(openFds(), before);
  });
});

Deno.test("listenUnix() refuses paths that no socket can have", () => {
  const long = "/tmp/" + "x".repeat(103);
  assertThrows(() => listenUnix(long), RangeError, "108 bytes");
  assertThrows(() => connectUnix(""), RangeError, "1 to 107");
});

Deno.test("send() passes fds that receive() owns", () => {
  const [a, b] = socketPair();
  using eventFd = createEventFd();
  assertEquals(send(a.fd, text("x"), [eventFd.fd, eventFd.fd]), 1);
  const fds: OwnedFd[] = [];
  assertEquals(receive(b.fd, new Uint8Array(8), fds), 1);
  assertEquals(fds.length, 2);
  assert(
    fds.every((one) =>
      one.fd !== eventFd.fd && givenKind(one.fd) === "eventfd"
    ),
  );
  signalFd(fds[0]!.fd);
  assertEquals(drainFd(eventFd.fd), 8);
  assertEquals(libc().fcntl(fds[1]!.fd, 1, 0), 1, "close-on-exec");
  for (const one of [a, b, ...fds]) one.close();
});

testAlone(
  import.meta,
  "receive() takes as many fds as a message can have",
  () => {
    const [a, b] = socketPair();
    using eventFd = createEventFd();
    const before = openFds();
    const many = Array.from({ length: MAX_PASSED_FDS }, () => eventFd.fd);
    assertEquals(send(a.fd, text("many"), many), 4);
    const fds: OwnedFd[] = [];
    assertEquals(receive(b.fd, new Uint8Array(8), fds), 4);
    assertEquals(fds.length, MAX_PASSED_FDS);
    for (const one of fds) one.close();
    assertEquals(openFds(), before);
    assertThrows(
      () => send(a.fd, text("x"), [...many, eventFd.fd]),
      RangeError,
      "254 fds",
    );
    assertThrows(
      () => send(a.fd, new Uint8Array(0), [eventFd.fd]),
      RangeError,
      "with 0 bytes",
    );
    a.close();
    b.close();
  },
);

Deno.test("receive() may join what came before fds, never what came after", () => {
  const [a, b] = socketPair();
  using eventFd = createEventFd();
  send(a.fd, text("one"));
  send(a.fd, text("two"), [eventFd.fd]);
  send(a.fd, text("three"));
  const target = new Uint8Array(64);
  const fds: OwnedFd[] = [];
  const counts: number[] = [];
  for (let n = receive(b.fd, target, fds); n > 0;) {
    counts.push(n);
    n = receive(b.fd, target, fds);
  }
  assertEquals(counts, [6, 5]);
  assertEquals(fds.length, 1);
  for (const one of [a, b, ...fds]) one.close();
});

Deno.test("send() takes what fits and says when nothing does", () => {
  const [a, b] = socketPair();
  const block = new Uint8Array(1 << 20);
  let total = 0;
  for (let n = send(a.fd, block); n >= 0; n = send(a.fd, block)) total += n;
  assert(total > 0 && total < 1 << 26);
  assertEquals(pollFd(a.fd, 4, 0), 0);
  hangUp(b);
  const error = assertThrows(() => send(a.fd, block), OsError);
  assertEquals(error.code, "EPIPE");
  a.close();
});

Deno.test("receive() and send() of empty arrays touch no memory", () => {
  const [a, b] = socketPair();
  assertEquals(send(a.fd, new Uint8Array(0)), 0);
  send(a.fd, text("x"));
  assertEquals(receive(b.fd, new Uint8Array(0), []), 0);
  assertEquals(receive(b.fd, new Uint8Array(4), []), 1);
  a.close();
  b.close();
});

testSerially(
  "receive() closes the fds that came when not all could come",
  async () => {
    const source = import.meta.resolve("./");
    // In a process of its own, with room for a few fds only.
    const code = `
    import { listDirectory } from "${source}directory_entries.ts";
    import { receive, send } from "${source}socket_message.ts";
    import { socketPair } from "${source}unix_socket.ts";
    import { createEventFd } from "${source}event_fd.ts";
    const [a, b] = socketPair();
    const fd = createEventFd().release();
    const before = listDirectory("/proc/self/fd").length;
    send(a.fd, new Uint8Array(1), Array.from({ length: 200 }, () => fd));
    const fds = [];
    try {
      receive(b.fd, new Uint8Array(1), fds);
      console.log("no error");
    } catch (error) {
      const after = listDirectory("/proc/self/fd").length;
      console.log(error.code, fds.length, after - before);
    }
    a.close();
    b.close();
  `;
    const { stdout, stderr } = await new Deno.Command("sh", {
      args: [
        "-c",
        'ulimit -n 128; exec "$0" run --no-check --allow-ffi "$1"',
        Deno.execPath(),
        `data:text/javascript,${encodeURIComponent(code)}`,
      ],
    }).output();
    assertEquals(
      [new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)],
      ["EMFILE 0 0\n", ""],
    );
  },
);

testAlone(import.meta, "receiveBytes() has the kernel discard fds", () => {
  const [a, b] = socketPair();
  using eventFd = createEventFd();
  const before = openFds();
  const many = Array.from({ length: MAX_PASSED_FDS }, () => eventFd.fd);
  const target = new Uint8Array(8);
  for (let i = 0; i < 100; i++) {
    assertEquals(send(a.fd, text("x"), many), 1);
    assertEquals(receiveBytes(b.fd, target), 1);
  }
  assertEquals(openFds(), before);
  assertEquals(receiveBytes(b.fd, target), -1);
  a.close();
  assertEquals(receiveBytes(b.fd, target), 0);
  b.close();
  const error = assertThrows(
    () => receiveBytes(eventFd.fd, target),
    OsError,
  );
  assertEquals([error.syscall, error.code], ["recv", "ENOTSOCK"]);
});

/** Returns true if this kernel knows SO_PASSRIGHTS, Linux 6.16 or newer. */
function canRefuse(): boolean {
  const [a, b] = socketPair();
  using _a = a;
  using _b = b;
  return refuseDescriptors(a.fd);
}
const cannotRefuse = mustIgnore(
  canRefuse() ? undefined : "this kernel has no SO_PASSRIGHTS (Linux 6.16)",
);

Deno.test({
  name: "refuseDescriptors() makes the sender of fds fail",
  ignore: cannotRefuse,
  fn: () => {
    const [a, b] = socketPair();
    using eventFd = createEventFd();
    assertEquals(refuseDescriptors(b.fd), true);
    const error = assertThrows(
      () => send(a.fd, text("x"), [eventFd.fd]),
      OsError,
    );
    assertEquals([error.syscall, error.code], ["sendmsg", "EPERM"]);
    assertEquals(send(a.fd, text("x")), 1);
    assertEquals(receiveBytes(b.fd, new Uint8Array(8)), 1);
    a.close();
    b.close();
    assertThrows(() => refuseDescriptors(eventFd.fd), OsError, "ENOTSOCK");
  },
});

Deno.test({
  name: "sockets made with descriptors: false refuse fds from the start",
  ignore: cannotRefuse,
  fn: () => {
    withDirectory((directory) => {
      using eventFd = createEventFd();
      const refused = (fd: OwnedFd) =>
        assertThrows(() => send(fd.fd, text("x"), [eventFd.fd]), OsError).code;
      using refusing = listenUnix(`${directory}/a`, { descriptors: false });
      using client = connectUnix(`${directory}/a`);
      // Before it is accepted: it was made by the listener.
      assertEquals(refused(client), "EPERM");
      using _server = acceptUnix(refusing.fd)!;
      using taking = listenUnix(`${directory}/b`);
      using _client = connectUnix(`${directory}/b`, { descriptors: false });
      using server = acceptUnix(taking.fd)!;
      assertEquals(refused(server), "EPERM");
    });
  },
});

Deno.test("peerCredentials() tells who is at the other end", () => {
  const [a, b] = socketPair();
  const { uid, gid } = fileStatus("/proc/self")!;
  assertEquals(peerCredentials(a.fd), { pid: Deno.pid, uid, gid });
  a.close();
  b.close();
});

Deno.test("pollFd() waits for readiness or for the time to be over", () => {
  const [a, b] = socketPair();
  const before = performance.now();
  assertEquals(pollFd(b.fd, POLLIN, 20), 0);
  assert(performance.now() - before >= 19);
  send(a.fd, text("x"));
  assertEquals(pollFd(b.fd, POLLIN, -1), POLLIN);
  a.close();
  b.close();
});

Deno.test("socketPath() tells where a socket stands, if it does", () => {
  withDirectory((directory) => {
    const path = `${directory}/${"é".repeat(8)}`;
    using listener = listenUnix(path);
    using client = connectUnix(path);
    using server = acceptUnix(listener.fd)!;
    assertEquals(socketPath(listener.fd), path);
    assertEquals(socketPath(server.fd), path, "it was accepted there");
    assertEquals(socketPath(client.fd), undefined);
    const longest = `${directory}/${"x".repeat(106 - directory.length)}`;
    using another = listenUnix(longest);
    assertEquals(socketPath(another.fd), longest);
    const [one, other] = socketPair();
    using _one = one;
    using _other = other;
    assertEquals(socketPath(one.fd), undefined);
    using event = createEventFd();
    const error = assertThrows(() => socketPath(event.fd), OsError);
    assertEquals(error.code, "ENOTSOCK");
  });
});

Deno.test("peerCredentials() does not make a peer up that the kernel does not know", () => {
  using socket = new OwnedFd(
    libc().socket(1, 1 | 0o2000000, 0),
    "a socket without a peer",
  );
  assertThrows(() => peerCredentials(socket.fd), OsError, "ENOTCONN");
});

testAlone(import.meta, "acceptUnix() leaves a reserve of descriptors", () => {
  const directory = Deno.makeTempDirSync({ prefix: "reserve-" });
  try {
    const limit = Number(
      /^Max open files +(\d+)/m.exec(readSmallFile("/proc/self/limits")!)![1],
    );
    using listener = listenUnix(`${directory}/sock`);
    using _first = connectUnix(`${directory}/sock`);
    // A number that high is only given out once the lower ones are in use.
    using stack = new DisposableStack();
    for (;;) {
      const fd = stack.use(duplicate(listener.fd));
      if (fd.fd >= limit - 64) break;
    }
    assertThrows(() => acceptUnix(listener.fd), OsError, "EMFILE");
    stack.dispose();
    using accepted = acceptUnix(listener.fd);
    assert(accepted !== undefined);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
