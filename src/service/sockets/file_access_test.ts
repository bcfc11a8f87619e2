import { assertEquals, assertThrows } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { FileAccess } from "../../config/specification.ts";
import { listenFor } from "./file_access.ts";

const { uid, gid } = fileStatus("/proc/self")!;

/** Returns what a socket's file has that is made with `access`. */
function made(access: FileAccess): [uid: number, gid: number] {
  const directory = Deno.makeTempDirSync({ prefix: "file-access-" });
  try {
    const path = `${directory}/socket`;
    using _socket = listenFor(path, access, 0o600);
    const status = fileStatus(path)!;
    return [status.uid, status.gid];
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

Deno.test("listenFor() leaves a file to its maker, or gives it away by number", () => {
  assertEquals(made({}), [uid, gid]);
  assertEquals(made({ owner: `${uid}`, group: `${gid}` }), [uid, gid]);
});

Deno.test("listenFor() finds users and groups by name, and refuses unknown ones", () => {
  for (
    const [access, problem] of [
      [{ owner: "no-such-user" }, 'there is no user "no-such-user"'],
      [{ group: "no-such-group" }, 'there is no group "no-such-group"'],
      // The number by which chown changes nothing.
      [{ owner: "4294967295" }, 'there is no user "4294967295"'],
    ] as const
  ) assertThrows(() => made(access), ConfigError, problem);
  if (uid === 0) assertEquals(made({ owner: "root" })[0], 0);
});
