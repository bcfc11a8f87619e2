import { assertEquals, assertThrows } from "@std/assert";
import { fdStatus, fileStatus } from "./file_status.ts";
import {
  openRuntimeDirectory,
  ownRuntimeDirectory,
} from "./runtime_directory.ts";
import { effectiveUserId } from "./sysfs.ts";
import { testAlone } from "../tests/doubles/test_alone.ts";
import { UntrustedPathError } from "./trusted_path.ts";

/** A user that owns nothing. */
const OTHER = 65534;

function scratch() {
  const path = Deno.realPathSync(Deno.makeTempDirSync());
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

testAlone(
  import.meta,
  "openRuntimeDirectory() makes directories that only their owner may write to",
  () => {
    using it = scratch();
    const umask = Deno.umask(0);
    try {
      assertEquals(openRuntimeDirectory(`${it.path}/a/b`), undefined);
      openRuntimeDirectory(`${it.path}/a/b`, { make: true })!.close();
    } finally {
      Deno.umask(umask);
    }
    using made = openRuntimeDirectory(`${it.path}/a/b`);
    assertEquals(fdStatus(made!.fd).inode, fileStatus(`${it.path}/a/b`)?.inode);
    for (const path of ["a", "a/b"]) {
      assertEquals(fileStatus(`${it.path}/${path}`)?.mode, 0o755);
    }
  },
);

Deno.test("openRuntimeDirectory() refuses what others may write to, and links", () => {
  using it = scratch();
  const path = `${it.path}/gpioagg`;
  const refusal = (mode: number) => {
    Deno.chmodSync(path, mode);
    return assertThrows(() => openRuntimeDirectory(path), UntrustedPathError)
      .message;
  };
  Deno.mkdirSync(path);
  for (const mode of [0o777, 0o1777]) {
    assertEquals(refusal(mode).includes("every user may write to it"), true);
  }
  Deno.chmodSync(path, 0o755);
  openRuntimeDirectory(path)!.close();
  Deno.chmodSync(it.path, 0o777);
  assertThrows(() => openRuntimeDirectory(path), UntrustedPathError);
  // Like /tmp: another user's files cannot be replaced.
  Deno.chmodSync(it.path, 0o1777);
  openRuntimeDirectory(path)!.close();
  if (effectiveUserId() === 0) {
    Deno.chownSync(path, OTHER, OTHER);
    assertEquals(refusal(0o755).includes(`user ${OTHER} owns it`), true);
  }
  Deno.symlinkSync(it.path, `${it.path}/link`);
  assertThrows(
    () => openRuntimeDirectory(`${it.path}/link`),
    UntrustedPathError,
    "it is not a directory",
  );
});

testAlone(
  import.meta,
  "ownRuntimeDirectory() is not one that others may write to",
  () => {
    using it = scratch();
    Deno.env.set("XDG_RUNTIME_DIR", it.path);
    assertEquals(ownRuntimeDirectory(), { path: it.path });
    Deno.chmodSync(it.path, 0o777);
    assertEquals(ownRuntimeDirectory(), {
      problem:
        `$XDG_RUNTIME_DIR (${it.path}) is not used: every user may write to it`,
    });
    Deno.env.set("XDG_RUNTIME_DIR", "relative");
    assertEquals(ownRuntimeDirectory().path, undefined);
    Deno.env.delete("XDG_RUNTIME_DIR");
    assertEquals(ownRuntimeDirectory(), {});
  },
);
