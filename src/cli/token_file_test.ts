import { assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import {
  DISK_FAULTS,
  FAULT_REASONS,
  FullDisk,
  lacksMounts,
} from "../../tests/doubles/full_disk.ts";
import { limitWrites, QUOTA_REASON } from "../../tests/doubles/disk_quota.ts";
import { lacksRoot } from "../../tests/doubles/skipped.ts";
import { ConfigError } from "../config/document/config_error.ts";
import { tokenIn } from "./token_file.ts";

const MADE = "0123456789abcdef";
async function withDirectory(body: (path: string) => Promise<void>) {
  const directory = await Deno.makeTempDir();
  try {
    await body(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a token's file is made for this user only, and read again", () =>
  withDirectory(async (directory) => {
    const file = `${directory}/token`;
    assertEquals(tokenIn(file, MADE), MADE);
    assertEquals((await Deno.stat(file)).mode! & 0o777, 0o600);
    assertEquals(await Deno.readTextFile(file), `${MADE}\n`);
    assertEquals(tokenIn(file, "another-token-0123"), MADE);
  }));

testSerially(
  "a token that others may know, or chose, is refused",
  () =>
    withDirectory(async (directory) => {
      const file = `${directory}/token`;
      const refused = (text: string) =>
        assertThrows(() => tokenIn(file, MADE), ConfigError, text);
      await Deno.writeTextFile(file, MADE, { mode: 0o600 });
      for (const mode of [0o644, 0o604, 0o602, 0o620, 0o666]) {
        await Deno.chmod(file, mode);
        refused("other users");
      }
      // A group may read it where the administrator said so.
      await Deno.chmod(file, 0o640);
      assertEquals(tokenIn(file, ""), MADE);
      await Deno.writeTextFile(file, "x".repeat(10_000));
      refused("holds no token");
      await Deno.remove(file);
      await Deno.symlink("/dev/zero", file);
      refused("symbolic link");
      await Deno.remove(file);
      // Nothing waits for a writer.
      const { success } = await new Deno.Command("mkfifo", { args: [file] })
        .output();
      assertEquals(success, true);
      refused("fifo");
    }),
);

Deno.test({
  name: "a token's file that another user planted is refused",
  ignore: lacksRoot("files of other users"),
  fn: () =>
    withDirectory(async (directory) => {
      const file = `${directory}/token`;
      await Deno.writeTextFile(file, MADE, { mode: 0o600 });
      await Deno.chown(file, 65534, 65534);
      assertThrows(() => tokenIn(file, MADE), ConfigError, "user 65534");
    }),
});

testSerially({
  name: "a token's file is not made half on a disk without room",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    const file = `${disk.path}/token`;
    for (const fault of DISK_FAULTS) {
      await disk.break(fault);
      assertThrows(
        () => tokenIn(file, MADE),
        Error,
        `${file}: ${FAULT_REASONS[fault]}`,
      );
      assertEquals(disk.files(), []);
      await disk.repair();
    }
    assertEquals(tokenIn(file, MADE), MADE);
  },
});

Deno.test("a token's file is not made half where a quota is used up", () =>
  withDirectory((directory) => {
    const file = `${directory}/token`;
    {
      using _quota = limitWrites(5);
      assertThrows(
        () => tokenIn(file, MADE),
        Error,
        `${file}: ${QUOTA_REASON}`,
      );
    }
    assertEquals([...Deno.readDirSync(directory)], []);
    assertEquals(tokenIn(file, MADE), MADE);
    return Promise.resolve();
  }));
