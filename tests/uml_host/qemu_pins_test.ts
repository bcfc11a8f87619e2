import { assertEquals, assertStringIncludes } from "@std/assert";
import { listArtefacts } from "../environment/arm_guest.ts";
import { mustSkip } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { PinRig } from "../guest/qemu_pins_rig.ts";

/** QEMU in User-Mode Linux takes its time. */
const BOOT_LIMIT_MS = 300_000;
const COMMAND_LIMIT_MS = 60_000;

Deno.test({
  name:
    "real chips, a real QEMU, an unmodified arm64 guest: its PL061 has the chips' lines",
  ignore: await mustSkip(...listArtefacts("virt")),
  fn: async () => {
    await using chip = await SimChip.create(localFiles, {
      label: "soc",
      lines: 8,
      names: { 0: "START", 1: "STOP", 5: "LAMP" },
    });
    await using rig = await PinRig.create(
      ["LAMP,safe=0", "START", "STOP,active-low", "soc/2,direction=output"],
      { device: "pl061" },
    );
    await chip.pull(0, "up");
    await using guest = await rig.boot({
      board: "virt",
      bootTimeoutMs: BOOT_LIMIT_MS,
    });
    assertEquals(rig.log, ["connected", "started"]);
    const run = (command: string) =>
      guest.run(command, { timeoutMs: COMMAND_LIMIT_MS });
    assertStringIncludes(await run("gpiodetect"), "pl061] (8 lines)");

    await run("gpioset -t 0 -c gpiochip0 0=1 3=1");
    await untilLevel(chip, 5, 1);
    await untilLevel(chip, 2, 1);
    assertEquals(
      (await run("gpioget --numeric -c gpiochip0 1 2")).trim(),
      "1 1",
    );
    const handed = [...rig.pins.counters.levels];
    await chip.pull(1, "up");
    await chip.pull(0, "down");
    await rig.until(
      "the new levels",
      () =>
        rig.pins.counters.levels[1]! > handed[1]! &&
        rig.pins.counters.levels[2]! > handed[2]!,
    );
    assertEquals(
      (await run("gpioget --numeric -c gpiochip0 1 2")).trim(),
      "0 0",
    );

    // An edge of the real chip is an interrupt in the guest.
    const pulls = ["up", "down"] as const;
    const edgesOf = (output: string) =>
      output.match(/^(rising|falling)$/gm) ?? [];
    let pulled = 0;
    const seen = await guest.run(
      "gpiomon --banner -n 2 -F '%E' -c gpiochip0 1",
      {
        timeoutMs: COMMAND_LIMIT_MS,
        onOutput: (output) => {
          // The next one when the guest has seen the last one.
          const isDue = output.includes("Monitoring") &&
            edgesOf(output).length === pulled;
          const next = isDue ? pulls[pulled++] : undefined;
          if (next !== undefined) void chip.pull(0, next);
        },
      },
    );
    assertEquals(edgesOf(seen), ["rising", "falling"]);

    guest.process.kill("SIGKILL");
    await untilLevel(chip, 5, 0);
    // This one has no rule for a guest that is gone.
    assertEquals(await chip.level(2), 1);
  },
});

async function untilLevel(
  chip: SimChip,
  offset: number,
  level: 0 | 1,
): Promise<void> {
  const deadline = performance.now() + COMMAND_LIMIT_MS;
  while (await chip.level(offset) !== level) {
    if (performance.now() > deadline) {
      throw new Error(`line ${offset} of ${chip.name} is not ${level}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
