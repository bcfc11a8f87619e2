import { assertEquals, assertThrows } from "@std/assert";
import { findGroupId, findUserId } from "./accounts.ts";
import { O_PATH, O_RDONLY, O_WRONLY, openFile } from "./files.ts";
import { fileStatus } from "./file_status.ts";
import { changeMode, changeOwner } from "./directory.ts";
import { OsError } from "./os_error.ts";
import {
  effectiveUserId,
  makeDirectory,
  removeDirectory,
  UNCHANGED,
  writeAttribute,
  writeOpenAttribute,
} from "./sysfs.ts";

Deno.test("writeAttribute() writes, and says what has no such attribute", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/live`, "0000\n");
    writeAttribute(`${directory}/live`, "1\n");
    assertEquals(await Deno.readTextFile(`${directory}/live`), "1\n00\n");
    const error = assertThrows(
      () => writeAttribute(`${directory}/none`, "1"),
      OsError,
    );
    assertEquals([error.syscall, error.code], ["open", "ENOENT"]);
    // One attribute, one line: nothing that a name holds becomes another.
    for (const text of ["a\nb", "a\r", "\n\n", "a\x1b[m", "a\x9b"]) {
      assertThrows(
        () => writeAttribute(`${directory}/live`, text),
        RangeError,
        "control character",
      );
    }
    assertEquals(await Deno.readTextFile(`${directory}/live`), "1\n00\n");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("writeOpenAttribute() writes to what is open for it", async () => {
  const path = await Deno.makeTempFile();
  try {
    using file = openFile(path, O_WRONLY);
    writeOpenAttribute(file.fd, "3 9 4 3");
    assertEquals(await Deno.readTextFile(path), "3 9 4 3");
    assertThrows(() => writeOpenAttribute(file.fd, "1\n2"), RangeError);
    using readable = openFile(path, O_RDONLY);
    const error = assertThrows(
      () => writeOpenAttribute(readable.fd, "1"),
      OsError,
    );
    assertEquals([error.syscall, error.code], ["write", "EBADF"]);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("makeDirectory() and removeDirectory() say what was there before", async () => {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/a`;
  try {
    assertEquals(makeDirectory(path), true);
    assertEquals(makeDirectory(path), false);
    makeDirectory(`${path}/b`);
    const error = assertThrows(() => removeDirectory(path), OsError);
    assertEquals(error.code, "ENOTEMPTY");
    removeDirectory(`${path}/b`);
    removeDirectory(path);
    removeDirectory(path);
    assertEquals(fileStatus(path), undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("changeMode() and changeOwner() change just what they are told", async () => {
  const path = await Deno.makeTempFile();
  try {
    using file = openFile(path, O_PATH);
    changeMode(file, 0o640);
    const before = fileStatus(path)!;
    assertEquals(before.mode, 0o640);
    changeOwner(file, UNCHANGED, UNCHANGED);
    assertEquals(fileStatus(path), before);
    changeOwner(file, effectiveUserId(), UNCHANGED);
    assertEquals(fileStatus(path)!.uid, effectiveUserId());
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("findUserId() and findGroupId() find root and reject unknown names", () => {
  assertEquals(findUserId("root"), 0);
  assertEquals(findGroupId("root"), 0);
  assertEquals(findUserId("no such user"), undefined);
  assertEquals(findGroupId("no such group"), undefined);
});
