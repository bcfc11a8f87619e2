import { assertEquals } from "@std/assert";
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
