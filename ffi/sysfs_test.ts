import { assertEquals, assertThrows } from "@std/assert";
import { groupIdOf, userIdOf } from "./accounts.ts";
import { fileStatus } from "./files.ts";
import { OsError } from "./os_error.ts";
import {
  changeMode,
  changeOwner,
  effectiveUserId,
  makeDirectory,
  removeDirectory,
  UNCHANGED,
  writeAttribute,
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
  } finally {
    await Deno.remove(directory, { recursive: true });
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
    changeMode(path, 0o640);
    const before = fileStatus(path)!;
    assertEquals(before.mode, 0o640);
    changeOwner(path, UNCHANGED, UNCHANGED);
    assertEquals(fileStatus(path), before);
    changeOwner(path, effectiveUserId(), UNCHANGED);
    assertEquals(fileStatus(path)!.uid, effectiveUserId());
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("userIdOf() and groupIdOf() find root and nobody else's name", () => {
  assertEquals(userIdOf("root"), 0);
  assertEquals(groupIdOf("root"), 0);
  assertEquals(userIdOf("no such user"), undefined);
  assertEquals(groupIdOf("no such group"), undefined);
});
