/** Kernel chips whose runtime directory is on a disk that takes nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DISK_FAULTS, FAULT_REASONS, FullDisk } from "../doubles/full_disk.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import {
  gpioaggIn,
  type HeldChip,
  holdChipIn,
  leftovers,
  type Wrapper,
} from "./kernel_chip_rig.ts";

const RECORDS = "gpioagg/kernel-chips";

/** Runs a program for which the disk is `/run`. */
function runOn(disk: FullDisk): Wrapper {
  return [
    ...["unshare", "--mount", "/bin/sh", "-c"],
    `mount --bind ${disk.path} /run && exec "$0" "$@"`,
  ];
}

Deno.test("a chip for whose record the disk has no room is not made, and later it is", async () => {
  await using _sim = await SimChip.create(localFiles, {
    label: "soc",
    lines: 8,
  });
  const create = ["--line=soc/0", "--name=plc0"];
  await using disk = await FullDisk.mount();
  await Deno.mkdir(`${disk.path}/${RECORDS}`, { recursive: true });
  for (const fault of DISK_FAULTS) {
    await disk.break(fault);
    const { code, stdout, stderr } = await gpioaggIn(
      runOn(disk),
      ...["kernel", "create", ...create],
    );
    assertEquals([code, stdout], [1, ""], fault);
    assertStringIncludes(stderr, FAULT_REASONS[fault]);
    assertStringIncludes(stderr, `/run/${RECORDS}`);
    assert(!stderr.includes("    at "), stderr);
    assertEquals(leftovers(), [], fault);
    assertEquals(
      disk.files(RECORDS).filter((name) => name !== "lock"),
      [],
      fault,
    );
    await disk.repair();
  }
  {
    // One that is there needs no room, neither for its end.
    await using held: HeldChip = await holdChipIn(runOn(disk), ...create);
    await disk.break("no bytes");
    const { code, stdout } = await gpioaggIn(
      runOn(disk),
      ...["kernel", "list"],
    );
    assertEquals(code, 0);
    assertStringIncludes(stdout, "plc0");
    held.process.kill("SIGTERM");
    assertEquals((await held.process.waitForExit()).code, 0);
  }
  assertEquals(leftovers(), []);
  assertEquals(disk.files(RECORDS), ["lock"]);
});
