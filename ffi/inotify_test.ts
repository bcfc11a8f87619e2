import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  readChangedNames,
  watchDirectory,
} from "./inotify.ts";
import { OsError } from "./os_error.ts";
import { pollFd, POLLIN } from "./poll.ts";

Deno.test("readChangedNames() tells what came, changed, moved and went", () => {
  const directory = Deno.makeTempDirSync();
  try {
    using watch = watchDirectory(
      directory,
      IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO,
    );
    assertEquals(readChangedNames(watch.fd), []);
    assertEquals(pollFd(watch.fd, POLLIN, 0), 0);
    Deno.writeTextFileSync(`${directory}/gpiochip0`, "");
    assertEquals(pollFd(watch.fd, POLLIN, 0), POLLIN);
    Deno.chmodSync(`${directory}/gpiochip0`, 0o600);
    Deno.renameSync(`${directory}/gpiochip0`, `${directory}/b`);
    Deno.removeSync(`${directory}/b`);
    assertEquals(readChangedNames(watch.fd), [
      "gpiochip0",
      "gpiochip0",
      "gpiochip0",
      "b",
      "b",
    ]);
    assertEquals(readChangedNames(watch.fd), []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("readChangedNames() reads more than fits into one read", () => {
  const directory = Deno.makeTempDirSync();
  try {
    using watch = watchDirectory(directory, IN_CREATE);
    const names = Array.from({ length: 800 }, (_, i) => `file-${i}`);
    for (const name of names) {
      Deno.writeTextFileSync(`${directory}/${name}`, "");
    }
    assertEquals(readChangedNames(watch.fd), names);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("watchDirectory() says what it cannot watch", () => {
  const error = assertThrows(
    () => watchDirectory("/nonexistent/dir", IN_CREATE),
    OsError,
  );
  assert(error.message.includes("/nonexistent/dir"));
  assertEquals(error.code, "ENOENT");
});
