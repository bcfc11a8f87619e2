import { assert, assertEquals, assertThrows } from "@std/assert";
import { readLink } from "./files.ts";
import { fdStatus } from "./file_status.ts";
import { check, libc } from "./libc.ts";
import { createMemFd } from "./mem_fd.ts";
import { OsError } from "./os_error.ts";

Deno.test("createMemFd() makes a file of the size asked for", () => {
  using fd = createMemFd("ring", 12_345);
  assertEquals(fdStatus(fd.fd).size, 12_345);
  assert(readLink(`/proc/self/fd/${fd.fd}`)?.startsWith("/memfd:ring"));
});

Deno.test("createMemFd() with seal keeps the size for ever", () => {
  using fd = createMemFd("ring", 4096, { seal: true });
  for (const size of [0n, 8192n]) {
    assertThrows(
      () => check(libc().ftruncate(fd.fd, size), "ftruncate", "ring"),
      OsError,
      "EPERM",
    );
  }
});

Deno.test("createMemFd() closes the file when its size is impossible", () => {
  assertThrows(() => createMemFd("ring", -1), OsError, "EINVAL");
});
