import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  DISK_FAULTS,
  FAULT_REASONS,
  FullDisk,
  lacksMounts,
} from "../../../tests/doubles/full_disk.ts";
import { testAlone, testSerially } from "../../../tests/doubles/test_alone.ts";
import { COMMANDS } from "../commands.ts";
import { main } from "./man.ts";

Deno.test("man writes pages through no link that another user planted", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const victim = `${directory}/victim`;
    await Deno.writeTextFile(victim, "mine");
    await Deno.mkdir(`${directory}/man1`);
    // Names that can be guessed: that of the page, and of one on its way.
    for (const name of ["gpioagg.1", `.gpioagg-serve.1.new-${Deno.pid}`]) {
      await Deno.symlink(victim, `${directory}/man1/${name}`);
    }
    assertEquals(await main(["--output", directory], "gpioagg", COMMANDS), 0);
    assertEquals(await Deno.readTextFile(victim), "mine");
    for (const name of ["gpioagg.1", "gpioagg-serve.1"]) {
      const { isFile, mode } = await Deno.lstat(`${directory}/man1/${name}`);
      assertEquals([isFile, mode! & 0o777], [true, 0o644]);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

testSerially({
  name: "man writes no half page on a disk without room",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    const write = () => main(["--output", disk.path], "gpioagg", COMMANDS);
    await Deno.mkdir(`${disk.path}/man1`);
    for (const fault of DISK_FAULTS) {
      await disk.break(fault);
      await assertRejects(
        write,
        Error,
        `${disk.path}/man1/gpioagg.1: ${FAULT_REASONS[fault]}`,
      );
      assertEquals([...Deno.readDirSync(`${disk.path}/man1`)], [], fault);
      await disk.repair();
    }
    assertEquals(await write(), 0);
    assert([...Deno.readDirSync(`${disk.path}/man1`)].length > 20);
  },
});

testAlone(
  import.meta,
  "a limit of file sizes is a message, and leaves no half page",
  async () => {
    const directory = await Deno.makeTempDir();
    const limit = async (softBytes: string) => {
      const { success } = await new Deno.Command("prlimit", {
        args: [`--pid=${Deno.pid}`, `--fsize=${softBytes}:`],
      }).output();
      assert(success);
    };
    const write = () => main(["--output", directory], "gpioagg", COMMANDS);
    // What is loaded for it may be written into Deno's own cache.
    assertEquals(await write(), 0);
    const pages = () =>
      [...Deno.readDirSync(`${directory}/man1`)].map(({ name }) =>
        `${name} ${Deno.statSync(`${directory}/man1/${name}`).size}`
      ).sort();
    const before = pages();
    await limit("1000");
    try {
      await assertRejects(
        write,
        Error,
        "/man1/gpioagg.1: file too large (EFBIG)",
      );
    } finally {
      await limit("unlimited");
    }
    assertEquals(pages(), before);
    await Deno.remove(directory, { recursive: true });
  },
);
