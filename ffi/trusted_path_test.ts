import { assertEquals, assertThrows } from "@std/assert";
import { leaseFile } from "../tests/doubles/leased_file.ts";
import { moveAt, openAt } from "./directory.ts";
import {
  O_APPEND,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  openFor,
} from "./files.ts";
import { listDirectory } from "./directory_entries.ts";
import { fdStatus, fileStatus, statusAt } from "./file_status.ts";
import { OsError } from "./os_error.ts";
import { testAlone, testSerially } from "../tests/doubles/test_alone.ts";
import {
  makePrivateDirectory,
  openDirectory,
  openOutput,
  openRegularAt,
  removeExactly,
  untrustedDirectories,
  UntrustedPathError,
  writableByOthers,
  writeWhole,
} from "./trusted_path.ts";
import { replaceFile } from "./whole_file.ts";
import {
  FAULT_REASONS,
  FullDisk,
  lacksMounts,
} from "../tests/doubles/full_disk.ts";
import { lacksRoot } from "../tests/doubles/skipped.ts";

/** A user that owns nothing. */
const OTHER = 65534;
const isUser = lacksRoot("links of other users");

function scratch() {
  // Its whole path: links are what these tests are about.
  const path = Deno.realPathSync(Deno.makeTempDirSync());
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

const inodeOf = (path: string) => fileStatus(path)?.inode;

Deno.test("openDirectory() follows this user's links, relative and absolute", () => {
  using it = scratch();
  Deno.mkdirSync(`${it.path}/a/b`, { recursive: true });
  Deno.symlinkSync("a/../a", `${it.path}/relative`);
  Deno.symlinkSync(`${it.path}/relative/b`, `${it.path}/absolute`);
  using directory = openDirectory(`${it.path}//absolute/.`);
  assertEquals(fdStatus(directory.fd).inode, inodeOf(`${it.path}/a/b`));
  assertEquals(openFor(directory.fd), { read: false, write: false });
  Deno.symlinkSync("circle", `${it.path}/circle`);
  for (
    const [path, code] of [
      ["circle", "ELOOP"],
      ["none/x", "ENOENT"],
      ["file", "ENOTDIR"],
    ] as const
  ) {
    Deno.writeTextFileSync(`${it.path}/file`, "");
    assertThrows(() => openDirectory(`${it.path}/${path}`), OsError, code);
  }
});

testSerially({
  name: "openDirectory() does not follow another user's link",
  ignore: () => isUser,
  fn: () => {
    using it = scratch();
    Deno.mkdirSync(`${it.path}/theirs`);
    Deno.mkdirSync(`${it.path}/ours`);
    Deno.chownSync(`${it.path}/theirs`, OTHER, OTHER);
    openDirectory(`${it.path}/theirs`).close();
    const link = `${it.path}/theirs/link`;
    new Deno.Command("ln", { args: ["-s", "../ours", link] }).outputSync();
    openDirectory(link).close();
    new Deno.Command("chown", { args: ["-h", String(OTHER), link] })
      .outputSync();
    const error = assertThrows(() => openDirectory(link), UntrustedPathError);
    assertEquals(error.message.includes(`link of user ${OTHER}`), true);
    assertThrows(() => untrustedDirectories(`${link}/x`), UntrustedPathError);
  },
});

Deno.test("writableByOthers() takes sticky directories and one's own for safe", () => {
  using it = scratch();
  const reason = (mode: number, gid?: number) => {
    const status = fileStatus(it.path)!;
    return writableByOthers({ ...status, mode, gid: gid ?? status.gid });
  };
  assertEquals(reason(0o755), undefined);
  assertEquals(reason(0o775), undefined);
  assertEquals(reason(0o1777), undefined);
  assertEquals(reason(0o777), "every user may write to it");
  assertEquals(reason(0o775, 4711), "group 4711 may write to it");
  assertEquals(reason(0o1775, 4711), undefined);
  assertEquals(
    writableByOthers({ ...fileStatus(it.path)!, uid: 4711 }),
    "user 4711 owns it",
  );
  Deno.mkdirSync(`${it.path}/open/inner`, { recursive: true });
  Deno.chmodSync(`${it.path}/open`, 0o777);
  assertEquals(untrustedDirectories(`${it.path}/open/inner/x.sock`), [
    { path: `${it.path}/open`, reason: "every user may write to it" },
  ]);
});

testAlone(
  import.meta,
  "makePrivateDirectory() ignores the umask and gives no rights to others",
  () => {
    using it = scratch();
    for (const umask of [0, 0o777]) {
      const before = Deno.umask(umask);
      try {
        using parent = openDirectory(it.path);
        const { directory, name } = makePrivateDirectory(parent);
        using _directory = directory;
        assertEquals(fileStatus(`${it.path}/${name}`)?.mode, 0o700);
      } finally {
        Deno.umask(before);
      }
    }
  },
);

Deno.test("removeExactly() leaves another file of the name", () => {
  using it = scratch();
  using directory = openDirectory(it.path);
  Deno.writeTextFileSync(`${it.path}/x`, "one");
  const { identity } = statusAt(directory, "x")!;
  // Open, so that the file system does not give its number to the next one.
  using _open = openAt(directory, "x", O_PATH);
  Deno.removeSync(`${it.path}/x`);
  assertEquals(removeExactly(directory, "x", identity), false);
  Deno.writeTextFileSync(`${it.path}/x`, "another");
  assertEquals(removeExactly(directory, "x", identity), false);
  assertEquals(listDirectory(it.path), ["x"]);
  const now = statusAt(directory, "x")!.identity;
  assertEquals(removeExactly(directory, "x", now), true);
  assertEquals(listDirectory(it.path), []);
});

Deno.test("moveAt() replaces nothing", () => {
  using it = scratch();
  using directory = openDirectory(it.path);
  Deno.writeTextFileSync(`${it.path}/a`, "a");
  Deno.writeTextFileSync(`${it.path}/b`, "b");
  assertEquals(moveAt(directory, "a", directory, "b"), false);
  assertEquals(Deno.readTextFileSync(`${it.path}/b`), "b");
  assertEquals(moveAt(directory, "a", directory, "c"), true);
  assertEquals(Deno.readTextFileSync(`${it.path}/c`), "a");
});

testAlone(
  import.meta,
  "openOutput() makes a file of just the mode that is asked for",
  () => {
    using it = scratch();
    for (const umask of [0, 0o077]) {
      const before = Deno.umask(umask);
      try {
        const path = `${it.path}/out-${umask}`;
        {
          using file = openOutput(path, O_WRONLY | O_APPEND, { mode: 0o640 });
          writeWhole(file, new TextEncoder().encode("a"));
        }
        assertEquals(fileStatus(path)?.mode, 0o640);
      } finally {
        Deno.umask(before);
      }
    }
  },
);

testSerially(
  "openOutput() appends or empties, and refuses what is no file",
  () => {
    using it = scratch();
    const path = `${it.path}/out`;
    const put = (text: string, flags: number) => {
      using file = openOutput(path, O_WRONLY | flags, { mode: 0o600 });
      writeWhole(file, new TextEncoder().encode(text));
    };
    put("one ", O_APPEND);
    put("two", O_APPEND);
    assertEquals(Deno.readTextFileSync(path), "one two");
    put("x", O_TRUNC);
    assertEquals(Deno.readTextFileSync(path), "x");
    Deno.symlinkSync("out", `${it.path}/link`);
    openOutput(`${it.path}/link`, O_WRONLY, { mode: 0o600 }).close();
    new Deno.Command("mkfifo", { args: [`${it.path}/fifo`] }).outputSync();
    const open = (name: string) => () =>
      openOutput(`${it.path}/${name}`, O_WRONLY, { mode: 0o600 });
    assertThrows(open("fifo"), UntrustedPathError, "it is a fifo");
    for (const name of ["", ".."]) assertThrows(open(name), OsError, "EISDIR");
  },
);

testSerially({
  name: "openOutput() writes to no file that another user's link leads to",
  ignore: () => isUser,
  fn: () => {
    using it = scratch();
    const [victim, link] = [`${it.path}/victim`, `${it.path}/link`];
    Deno.writeTextFileSync(victim, "precious");
    for (const target of [victim, `${it.path}/not-there`]) {
      Deno.symlinkSync(target, link);
      new Deno.Command("chown", { args: ["-h", String(OTHER), link] })
        .outputSync();
      assertThrows(
        () => openOutput(link, O_WRONLY | O_TRUNC, { mode: 0o600 }),
        UntrustedPathError,
        `symbolic link of user ${OTHER}`,
      );
      replaceFile(link, "ours", 0o600);
      assertEquals(Deno.lstatSync(link).isSymlink, false);
      Deno.removeSync(link);
    }
    assertEquals(Deno.readTextFileSync(victim), "precious");
    assertEquals(listDirectory(it.path), ["victim"]);
  },
});

Deno.test("openRegularAt() does not wait for a process that has a lease of the file", () => {
  using it = scratch();
  Deno.writeTextFileSync(`${it.path}/leased`, "");
  using directory = openDirectory(it.path);
  {
    using _lease = leaseFile(`${it.path}/leased`);
    for (const flags of [O_RDONLY, O_WRONLY]) {
      assertEquals(openRegularAt(directory, "leased", flags), undefined);
    }
  }
  using file = openRegularAt(directory, "leased", O_RDONLY);
  assertEquals(file && openFor(file.fd), { read: true, write: false });
});

testSerially({
  name: "a file that may not be opened, or takes no more, is named by its path",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    using directory = openDirectory(disk.path);
    const path = `${disk.path}/old`;
    replaceFile(path, "old", 0o600);
    await disk.break("no bytes");
    {
      using file = openRegularAt(directory, "old", O_WRONLY)!;
      using output = openOutput(path, O_WRONLY | O_APPEND, { mode: 0o600 });
      for (const one of [file, output]) {
        const text = new Uint8Array(1e6);
        assertThrows(
          () => writeWhole(one, text),
          OsError,
          `write failed on ${path}:`,
        );
      }
    }
    await disk.repair();
    await disk.break("read-only");
    const message = `open failed on ${path}: ${FAULT_REASONS["read-only"]}`;
    assertThrows(
      () => openRegularAt(directory, "old", O_WRONLY),
      OsError,
      message,
    );
    assertThrows(
      () => openOutput(path, O_WRONLY | O_APPEND, { mode: 0o600 }),
      OsError,
      message,
    );
  },
});
