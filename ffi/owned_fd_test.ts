import { assert, assertEquals, assertFalse, assertThrows } from "@std/assert";
import { O_RDONLY, openFile } from "./files.ts";
import { libc } from "./libc.ts";
import { OsError } from "./os_error.ts";
import { OwnedFd } from "./owned_fd.ts";
import { testAlone } from "../tests/doubles/test_alone.ts";

const F_GETFD = 1;
const isOpen = (fd: number) => libc().fcntl(fd, F_GETFD, 0) >= 0;

testAlone(import.meta, "OwnedFd closes its fd once", () => {
  const file = openFile("/dev/null", O_RDONLY);
  const { fd } = file;
  assert(isOpen(fd));
  file.close();
  assertFalse(isOpen(fd));
  assert(file.closed);
  // The number goes to another file; a second close must not touch it.
  using other = openFile("/dev/null", O_RDONLY);
  assertEquals(other.fd, fd);
  file.close();
  file[Symbol.dispose]();
  assert(isOpen(other.fd));
});

testAlone(import.meta, "OwnedFd is closed at the end of a using block", () => {
  let fd: number;
  {
    using file = openFile("/dev/null", O_RDONLY);
    fd = file.fd;
  }
  assertFalse(isOpen(fd));
});

Deno.test("OwnedFd.fd throws once it is closed", () => {
  const file = openFile("/dev/null", O_RDONLY);
  file.close();
  assertThrows(
    () => file.fd,
    Deno.errors.BadResource,
    "Cannot use /dev/null: it is closed",
  );
});

testAlone(import.meta, "OwnedFd.release() gives the number away, open", () => {
  const file = openFile("/dev/null", O_RDONLY);
  const fd = file.release();
  assert(file.closed);
  file.close();
  assert(isOpen(fd));
  new OwnedFd(fd, "the same file").close();
  assertFalse(isOpen(fd));
  assertThrows(() => file.release(), Deno.errors.BadResource);
});

testAlone(
  import.meta,
  "OwnedFd.close() reports an fd that other code has closed",
  () => {
    const file = openFile("/dev/null", O_RDONLY);
    libc().close(file.fd);
    assertThrows(() => file.close(), OsError, "EBADF");
    file.close();
  },
);

Deno.test("OwnedFd refuses what is no fd", () => {
  assertThrows(() => new OwnedFd(-1, "nothing"), RangeError, "fd -1 (nothing)");
  assertThrows(() => new OwnedFd(1.5, "nothing"), RangeError);
});
