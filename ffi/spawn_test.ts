import { assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../tests/doubles/test_alone.ts";
import { readSmallFile } from "./files.ts";
import { libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { pollFd, POLLHUP, POLLIN } from "./poll.ts";
import { childEnd, spawnDetached } from "./spawn.ts";
import { socketPair } from "./unix_socket.ts";

// bash, because dash knows no fds above 9.

/** Reads from a socket until its peer is closed. */
function readAll(fd: number): string {
  const bytes: number[] = [];
  const chunk = new Uint8Array(256);
  for (;;) {
    pollFd(fd, POLLIN | POLLHUP, 5000);
    const count = libc().read(fd, chunk, chunk.length);
    if (count <= 0) return new TextDecoder().decode(new Uint8Array(bytes));
    bytes.push(...chunk.subarray(0, count));
  }
}

testSerially(
  "spawnDetached() hands over the fds that are named, and argv[0]",
  () => {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    spawnDetached("/bin/bash", [
      "a name",
      "-c",
      `echo "$0|$1" >&${theirs.fd}`,
      "zero",
      "one two",
    ], {
      inherit: [theirs.fd],
    });
    theirs.close();
    assertEquals(readAll(ours.fd), "zero|one two\n");
  },
);

testSerially(
  "spawnDetached() leaves the session and the terminal behind",
  () => {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    const pid = spawnDetached("/bin/bash", [
      "called-so",
      "-c",
      `{ cat /proc/self/stat; readlink /proc/self/fd/0; tr '\\0' ' ' < /proc/$$/cmdline; } >&${theirs.fd}`,
    ], { inherit: [theirs.fd] });
    theirs.close();
    const [stat = "", stdin, command] = readAll(ours.fd).split("\n");
    const [_state, _parent, _group, session] = stat.slice(
      stat.lastIndexOf(")") + 2,
    )
      .split(" ");
    assertEquals([Number(session), stdin], [pid, "/dev/null"]);
    assertEquals(command?.startsWith("called-so -c "), true);
  },
);

testSerially("spawnDetached() keeps other fds to itself", () => {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  const [secret, peer] = socketPair();
  using _secret = secret;
  using _peer = peer;
  spawnDetached("/bin/bash", [
    "bash",
    "-c",
    // A socket, that is: bash itself has some file or other at such numbers.
    `{ [ -S /proc/self/fd/${secret.fd} ] && echo open || echo closed; } >&${theirs.fd}`,
  ], { inherit: [theirs.fd] });
  theirs.close();
  assertEquals(readAll(ours.fd), "closed\n");
});

testSerially("spawnDetached() passes the environment on", () => {
  const [ours, theirs] = socketPair();
  using _ours = ours;
  spawnDetached("/bin/bash", ["bash", "-c", `echo "$PATH" >&${theirs.fd}`], {
    inherit: [theirs.fd],
  });
  theirs.close();
  const expected = (readSmallFile("/proc/self/environ") ?? "").split("\0")
    .find((entry) => entry.startsWith("PATH="))?.slice("PATH=".length);
  assertEquals(readAll(ours.fd), `${expected}\n`);
});

testSerially("spawnDetached() says when no such program", () => {
  const error = assertThrows(
    () => spawnDetached("/nonexistent/program", ["program"]),
    OsError,
    "/nonexistent/program",
  );
  assertEquals(error.code, "ENOENT");
});

testSerially(
  "childEnd() tells a child's exit status, or the signal that ended it",
  async () => {
    for (
      const [command, end] of [
        ["exit 3", { status: 3 }],
        ["kill -KILL $$", { signal: 9 }],
      ] as const
    ) {
      const pid = spawnDetached("/bin/bash", ["bash", "-c", command]);
      let found = childEnd(pid);
      while (found === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 10));
        found = childEnd(pid);
      }
      assertEquals(found, end);
      // Reaped: not a child any more.
      assertEquals(childEnd(pid), { status: 1 });
    }
  },
);
