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

Deno.test("OwnedFd reports an fd that was dropped, and only such a one", async () => {
  const source = import.meta.resolve("./");
  const code = `
    import { onLeakedFd } from "${source}owned_fd.ts";
    import { O_RDONLY, openFile } from "${source}files.ts";
    const heard = [];
    onLeakedFd((fd, what) => heard.push(what));
    (() => {
      openFile("/dev/null", O_RDONLY);
      openFile("/dev/zero", O_RDONLY).close();
      openFile("/dev/full", O_RDONLY).release();
    })();
    for (let i = 0; i < 50 && heard.length === 0; i++) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    console.log(JSON.stringify(heard));
  `;
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-ffi",
      "--v8-flags=--expose-gc",
      `data:text/javascript,${encodeURIComponent(code)}`,
    ],
  }).output();
  assertEquals(
    [
      new TextDecoder().decode(stdout).trim(),
      new TextDecoder().decode(stderr),
    ],
    ['["/dev/null"]', ""],
  );
});
