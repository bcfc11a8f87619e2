import { assertEquals, assertThrows } from "@std/assert";
import {
  DISK_FAULTS,
  FAULT_REASONS,
  FullDisk,
  lacksMounts,
} from "../tests/doubles/full_disk.ts";
import { limitWrites, QUOTA_REASON } from "../tests/doubles/disk_quota.ts";
import { testAlone, testSerially } from "../tests/doubles/test_alone.ts";
import { fileStatus } from "./file_status.ts";
import { OsError } from "./os_error.ts";
import { openDirectory } from "./trusted_path.ts";
import { makeFileAt, replaceFile, replaceLink } from "./whole_file.ts";

testAlone(
  import.meta,
  "replaceFile() makes files of just the mode that is asked for",
  () => {
    const directory = Deno.makeTempDirSync();
    try {
      for (const umask of [0, 0o077]) {
        const before = Deno.umask(umask);
        try {
          replaceFile(`${directory}/${umask}`, "{}", 0o644);
          assertEquals(fileStatus(`${directory}/${umask}`)?.mode, 0o644);
        } finally {
          Deno.umask(before);
        }
      }
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

testSerially({
  name: "a disk without room keeps the old file whole, and nothing else",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    using directory = openDirectory(disk.path);
    const text = "x".repeat(100_000);
    const path = (name: string) => `${disk.path}/${name}`;
    replaceFile(path("old"), "old", 0o600);
    replaceLink(path("link"), "old");
    for (const fault of DISK_FAULTS) {
      await disk.break(fault);
      const refused = (name: string, act: () => unknown) => {
        const { message } = assertThrows(act, OsError, FAULT_REASONS[fault]);
        assertEquals(message.includes(`${path(name)}:`), true, message);
      };
      refused("old", () => replaceFile(path("old"), text, 0o600));
      refused("new", () => makeFileAt(directory, "new", text, 0o600));
      if (fault !== "no bytes") {
        refused("link", () => replaceLink(path("link"), "new"));
      }
      assertEquals(disk.files(), ["link", "old"], fault);
      assertEquals(Deno.readTextFileSync(path("old")), "old");
      assertEquals(Deno.readLinkSync(path("link")), "old");
      await disk.repair();
    }
    replaceFile(path("old"), text, 0o600);
    assertEquals(Deno.readTextFileSync(path("old")), text);
    assertEquals(makeFileAt(directory, "new", "1", 0o600), true);
    assertEquals(makeFileAt(directory, "new", "2", 0o600), false);
    assertEquals(makeFileAt(directory, "link", "2", 0o600), false);
    assertEquals(Deno.readTextFileSync(path("new")), "1");
    assertEquals(disk.files(), ["link", "new", "old"]);
  },
});

Deno.test("a quota that is used up keeps the old file whole, and nothing else", () => {
  const directory = Deno.makeTempDirSync();
  try {
    using open = openDirectory(directory);
    const old = `${directory}/old`;
    replaceFile(old, "old", 0o600);
    for (const left of [0, 50_000]) {
      using _quota = limitWrites(left);
      const text = "x".repeat(100_000);
      assertThrows(
        () => replaceFile(old, text, 0o600),
        OsError,
        `${old}: ${QUOTA_REASON}`,
      );
      assertThrows(
        () => makeFileAt(open, "new", text, 0o600),
        OsError,
        `${directory}/new: ${QUOTA_REASON}`,
      );
      const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
      assertEquals(names, ["old"]);
      assertEquals(Deno.readTextFileSync(old), "old");
    }
    replaceFile(old, "new", 0o600);
    assertEquals(Deno.readTextFileSync(old), "new");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
