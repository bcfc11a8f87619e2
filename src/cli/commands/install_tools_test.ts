import { assertEquals } from "@std/assert";
import { testSerially } from "../../../tests/doubles/test_alone.ts";
import { FullDisk, lacksMounts } from "../../../tests/doubles/full_disk.ts";
import { main } from "./install_tools.ts";

testSerially({
  name: "install-tools makes all links or none, and leaves what was there",
  ignore: () => lacksMounts(),
  fn: async () => {
    await using disk = await FullDisk.mount();
    const install = (...options: readonly string[]) =>
      main([...options, disk.path], "gpioagg install-tools");
    await disk.break("no files");
    // For the first one, and what it is made as.
    disk.giveOneFile();
    assertEquals(await install(), 1);
    assertEquals(disk.files(), []);
    Deno.writeTextFileSync(`${disk.path}/gpioset`, "mine");
    assertEquals(await install("--force"), 1);
    assertEquals(disk.files(), ["gpioset"]);
    assertEquals(Deno.readTextFileSync(`${disk.path}/gpioset`), "mine");
    await disk.repair();
    assertEquals(await install("--force"), 0);
    assertEquals(disk.files().length, 6);
  },
});
