import { assertEquals, assertThrows } from "@std/assert";
import { fileKind, fileStatus } from "./file_status.ts";
import { OsError } from "./os_error.ts";

Deno.test("fileKind() is undefined where fileStatus() fails", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const loop = `${directory}/loop`;
    Deno.symlinkSync(loop, loop);
    assertThrows(() => fileStatus(loop), OsError);
    assertEquals(fileKind(loop), undefined);
    assertEquals(fileKind(`${directory}/none`), undefined);
    assertEquals(fileKind(directory), "directory");
    assertEquals(fileKind("/dev/null"), "character device");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
