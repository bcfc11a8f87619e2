import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  duplicate,
  isNonblocking,
  makeNonblocking,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  openFile,
  readLink,
  readSmallFile,
  realPath,
} from "./files.ts";
import { listDirectory } from "./directory_entries.ts";
import { characterDevice, fdStatus, fileStatus } from "./file_status.ts";
import { libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

const F_GETFD = 1;
const FD_CLOEXEC = 1;

Deno.test("openFile() opens close-on-exec", () => {
  using file = openFile("/dev/null", O_RDWR);
  assertEquals(libc().fcntl(file.fd, F_GETFD, 0), FD_CLOEXEC);
  assertEquals(file.what, "/dev/null");
});

Deno.test("openFile() says which path it could not open", () => {
  assertThrows(
    () => openFile("/no/such/file", O_RDONLY),
    OsError,
    "open failed on /no/such/file: no such file or directory (ENOENT)",
  );
});

Deno.test("readLink() and realPath() follow links, one or all", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.symlinkSync("/dev/null", `${directory}/one`);
    Deno.symlinkSync("one", `${directory}/two`);
    assertEquals(readLink(`${directory}/two`), "one");
    assertEquals(realPath(`${directory}/two`), "/dev/null");
    assertEquals(readLink("/dev/null"), undefined);
    assertEquals(readLink(`${directory}/three`), undefined);
    assertEquals(realPath(`${directory}/three`), undefined);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("fileStatus() knows kinds, permissions and device numbers", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${directory}/text`, "12345");
    Deno.chmodSync(`${directory}/text`, 0o640);
    Deno.symlinkSync("text", `${directory}/link`);
    const text = fileStatus(`${directory}/text`)!;
    assertEquals([text.kind, text.mode, text.size], ["regular file", 0o640, 5]);
    assertEquals(fileStatus(`${directory}/link`)!.inode, text.inode);
    assertEquals(
      fileStatus(`${directory}/link`, { followLinks: false })!.kind,
      "symbolic link",
    );
    assertEquals(fileStatus(directory)!.kind, "directory");
    assertEquals(fileStatus(`${directory}/none`), undefined);
    assertEquals(fileStatus(`${directory}/text/none`), undefined);
    const zero = fileStatus("/dev/zero")!;
    assertEquals([zero.kind, zero.major, zero.minor], [
      "character device",
      1,
      5,
    ]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("characterDevice() answers for character devices only", () => {
  assertEquals(characterDevice("/dev/null"), { major: 1, minor: 3 });
  assertEquals(characterDevice("/etc/hostname"), undefined);
  assertEquals(characterDevice("/no/such/file"), undefined);
});

Deno.test("fdStatus() tells what an fd is", () => {
  using file = openFile("/dev/null", O_RDONLY);
  assertEquals(fdStatus(file.fd).kind, "character device");
  assertThrows(() => fdStatus(-1), OsError, "EBADF");
});

Deno.test("listDirectory() names every entry, however many there are", () => {
  const directory = Deno.makeTempDirSync();
  try {
    // Several times as much as comes with one call, in few files.
    const names = Array.from(
      { length: 400 },
      (_, i) => `${"file-".repeat(45)}${i}-é`,
    );
    for (const name of names) {
      Deno.writeTextFileSync(`${directory}/${name}`, "");
    }
    assertEquals(listDirectory(directory).sort(), names.sort());
    assertThrows(() => listDirectory(`${directory}/none`), OsError, "ENOENT");
    assertThrows(() => listDirectory("/dev/null"), OsError, "ENOTDIR");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("readSmallFile() reads text whole, and stops at 1 MiB", () => {
  const path = Deno.makeTempFileSync();
  try {
    const text = "gpio ".repeat(2000);
    Deno.writeTextFileSync(path, text);
    assertEquals(readSmallFile(path), text);
    assertEquals(readSmallFile(`${path}.none`), undefined);
    assertThrows(() => readSmallFile("/dev/zero"), OsError, "ERANGE");
    assertThrows(() => readSmallFile("/dev"), OsError, "EISDIR");
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("duplicate() gives a second fd of the same file", () => {
  using file = openFile("/dev/null", O_RDONLY | O_NONBLOCK);
  using copy = duplicate(file.fd);
  assert(copy.fd !== file.fd);
  assert(isNonblocking(copy.fd));
  file.close();
  assertEquals(fdStatus(copy.fd).kind, "character device");
});

Deno.test("makeNonblocking() changes an fd of ours", () => {
  using file = openFile("/dev/null", O_RDONLY);
  assert(!isNonblocking(file.fd));
  makeNonblocking(file);
  assert(isNonblocking(file.fd));
});
