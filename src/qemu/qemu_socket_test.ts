import { assertEquals, assertThrows } from "@std/assert";
import { changeOwner, openAt } from "../../ffi/directory.ts";
import { O_NOFOLLOW, O_PATH } from "../../ffi/files.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { OsError } from "../../ffi/os_error.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import { openDirectory } from "../../ffi/trusted_path.ts";
import { listenUnix, socketPath } from "../../ffi/unix_socket.ts";
import { QemuError } from "./errors.ts";
import { connectToQemu, findStickyDirectory } from "./qemu_socket.ts";
import { lacksRoot } from "../../tests/doubles/skipped.ts";

/** Any user that is not this one. */
const OTHER = 65533;

interface Place {
  readonly path: string;
  readonly stack: DisposableStack;
}

/** Runs in a directory with a socket `vm/qmp` that is listened at. */
function withSocket(run: (place: Place) => void): void {
  const path = Deno.makeTempDirSync();
  using stack = new DisposableStack();
  stack.defer(() => Deno.removeSync(path, { recursive: true }));
  Deno.mkdirSync(`${path}/vm`);
  stack.use(listenUnix(`${path}/vm/qmp`));
  run({ path, stack });
}

const failureCode = (path: string, allowed?: readonly string[]) =>
  assertThrows(() => connectToQemu(path, allowed), OsError).code;
const failureMessage = (path: string, allowed?: readonly string[]) =>
  assertThrows(() => connectToQemu(path, allowed), QemuError).message;

testAlone(
  import.meta,
  "connectToQemu() connects, and leaves no other fd open",
  () => {
    withSocket(({ path }) => {
      const before = listDirectory("/proc/self/fd").length;
      for (const allowed of [undefined, [path], ["/nowhere", `${path}/vm`]]) {
        using connection = connectToQemu(`${path}/vm/qmp`, allowed);
        assertEquals(socketPath(connection.fd), undefined);
        assertEquals(listDirectory("/proc/self/fd").length, before + 1);
      }
      for (const name of ["vm/none", "none/qmp", "vm/qmp/x", "vm"]) {
        for (const allowed of [undefined, [path]]) {
          assertThrows(() => connectToQemu(`${path}/${name}`, allowed));
        }
      }
      assertEquals(listDirectory("/proc/self/fd").length, before);
    });
  },
);

Deno.test("connectToQemu() says what the kernel refused of the path that was asked for", () => {
  withSocket(({ path }) => {
    const error = assertThrows(
      () => connectToQemu(`${path}/vm/none`, [path]),
      OsError,
    );
    assertEquals([error.code, error.subject], ["ENOENT", `${path}/vm/none`]);
    listenUnix(`${path}/vm/dead`).close();
    assertEquals(failureCode(`${path}/vm/dead`), "ECONNREFUSED");
    assertEquals(failureCode(`${path}/vm/dead`, [path]), "ECONNREFUSED");
  });
});

Deno.test("connectToQemu() follows no link below a directory for clients", () => {
  withSocket(({ path }) => {
    Deno.symlinkSync("vm", `${path}/link`);
    Deno.symlinkSync("qmp", `${path}/vm/linked`);
    // Links of an administrator are followed on the way there, and for him.
    using _first = connectToQemu(`${path}/link/qmp`);
    using _second = connectToQemu(`${path}/vm/linked`);
    using _third = connectToQemu(`${path}/link/qmp`, [`${path}/link`]);
    assertEquals(failureCode(`${path}/link/qmp`, [path]), "ENOTDIR");
    assertEquals(
      failureMessage(`${path}/vm/linked`, [path]),
      `Cannot use ${path}/vm/linked: it is a symbolic link, not a socket`,
    );
    Deno.symlinkSync("loop", `${path}/loop`);
    assertEquals(
      failureMessage(`${path}/loop`),
      `Cannot use ${path}/loop: too many symbolic links`,
    );
  });
});

Deno.test("connectToQemu() connects to sockets of one name only", () => {
  withSocket(({ path }) => {
    Deno.linkSync(`${path}/vm/qmp`, `${path}/vm/hard`);
    for (const allowed of [undefined, [path]]) {
      assertEquals(
        failureMessage(`${path}/vm/hard`, allowed),
        `Cannot use ${path}/vm/hard: this socket has 2 names (hard links)`,
      );
    }
    Deno.writeTextFileSync(`${path}/vm/file`, "");
    assertEquals(
      failureMessage(`${path}/vm/file`),
      `Cannot use ${path}/vm/file: it is a regular file, not a socket`,
    );
  });
});

Deno.test("connectToQemu() leaves the directories for clients in no way", () => {
  withSocket(({ path }) => {
    for (const name of ["vm/../vm/qmp", "./vm/qmp", "vm//qmp", "../x"]) {
      assertEquals(
        failureMessage(`${path}/${name}`, [path]),
        `Cannot use ${path}/${name}: it is not in a directory that API ` +
          `clients may use`,
      );
    }
    assertEquals(
      failureMessage(`${path}/vm/qmp`, []).includes("API clients may use"),
      true,
    );
  });
});

const isUser = lacksRoot("links of other users");

Deno.test({
  name:
    "connectToQemu() follows no link of another user, who owns the directory",
  ignore: isUser,
  fn: () => {
    withSocket(({ path }) => {
      Deno.mkdirSync(`${path}/theirs`);
      Deno.symlinkSync(`${path}/vm/qmp`, `${path}/theirs/qmp`);
      Deno.symlinkSync(`${path}/vm`, `${path}/theirs/vm`);
      using directory = openDirectory(`${path}/theirs`);
      for (const name of ["qmp", "vm"]) {
        using link = openAt(directory, name, O_PATH | O_NOFOLLOW);
        changeOwner(link, OTHER, OTHER);
      }
      for (const name of ["qmp", "vm/qmp"]) {
        assertEquals(
          failureMessage(`${path}/theirs/${name}`).includes(
            `is a symbolic link of user ${OTHER}`,
          ),
          true,
        );
      }
    });
  },
});

Deno.test("findStickyDirectory() finds where another user may come first", () => {
  const path = Deno.makeTempDirSync();
  try {
    const found = (mode: number) => {
      Deno.chmodSync(path, mode);
      return findStickyDirectory(`${path}/qmp`);
    };
    assertEquals(found(0o1777), path);
    assertEquals(found(0o770), undefined);
    // Everybody may replace what is there, which the service tells of.
    assertEquals(found(0o777), undefined);
    assertEquals(findStickyDirectory(`${path}/none/qmp`), undefined);
    assertEquals(findStickyDirectory("/qmp"), undefined);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
});
