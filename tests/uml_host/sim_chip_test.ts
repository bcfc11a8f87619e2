import { assertEquals } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";

Deno.test("a simulated chip made beside the test is a device, until it is disposed of", async () => {
  let path: string;
  {
    await using chip = await SimChip.create(localFiles, {
      label: "beside",
      lines: 3,
      names: { 0: "first" },
      hogs: { 2: "hog" },
    });
    path = chip.path;
    assertEquals(fileStatus(path)?.kind, "character device");
    const device = `/sys/bus/gpio/devices/${chip.name}`;
    assertEquals(fileStatus(device)?.kind, "directory");
    await chip.pull(1, "up");
    assertEquals([await chip.level(0), await chip.level(1)], [0, 1]);
    await chip.pull(1, "down");
    assertEquals(await chip.level(1), 0);
    await chip.unplug();
    assertEquals(fileStatus(path), undefined);
    await chip.plug();
  }
  assertEquals(fileStatus(path), undefined);
});

Deno.test("the host of this tier is User-Mode Linux", () => {
  const cpu = readSmallFile("/proc/cpuinfo") ?? "";
  assertEquals(/vendor_id\s*: (.*)/.exec(cpu)?.[1], "User Mode Linux");
});
