/**
 * A GPIO adapter on USB that has lines of real chips, in a QEMU whose guest has
 * Debian 13's own kernel.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";
import { bootUsbGuest } from "../guest/usbredir_rig.ts";

/** QEMU in User-Mode Linux takes its time, more so on a busy machine. */
const BOOT_LIMIT_MS = 600_000;
const LIMIT_MS = 240_000;

Deno.test({
  name: "real chips, a real QEMU, a stock guest: its LJCA has the chips' lines",
  ignore: await mustSkip("qemuOld", "stockTrixie"),
  fn: async () => {
    await using chip = await SimChip.create(localFiles, {
      label: "soc",
      lines: 8,
      names: { 0: "START", 1: "STOP", 5: "LAMP" },
    });
    await using service = await Service.start({
      plc0: [
        "LAMP,safe=0",
        "START",
        "STOP,active-low",
        "soc/2,direction=output",
      ],
    }, "--usbredir");
    await chip.pull(0, "up");
    await using guest = await bootUsbGuest({
      kernel: "trixie",
      qemu: "old",
      sockets: [service.socket("plc0")],
      bootTimeoutMs: BOOT_LIMIT_MS,
    });
    const run = (command: string) =>
      guest.run(command, { timeoutMs: LIMIT_MS });
    const untilLevel = (offset: number, level: 0 | 1) =>
      until(
        `line ${offset} is ${level}`,
        async () => await chip.level(offset) === level,
        LIMIT_MS,
      );
    assertStringIncludes(await run("gpiodetect"), "(4 lines)");
    await run("gpioset -t 0 -c 0 0=1 3=1");
    await untilLevel(5, 1);
    await untilLevel(2, 1);
    assertEquals((await run("gpioget --numeric -c 0 1 2")).trim(), "1 1");
    await chip.pull(1, "up");
    await chip.pull(0, "down");
    assertEquals((await run("gpioget --numeric -c 0 1 2")).trim(), "0 0");
    await run("gpioset -t 0 -c 0 0=0");
    await untilLevel(5, 0);
    await run("gpioset -t 0 -c 0 0=1");
    await untilLevel(5, 1);

    // An edge of the real chip is an interrupt in the guest.
    const pulls = ["up", "down", "up"] as const;
    const edgesOf = (output: string) =>
      output.match(/^(rising|falling)$/gm) ?? [];
    let pulled = 0;
    const seen = await guest.run(
      `gpiomon --banner -n ${pulls.length} -F '%E' -c 0 1`,
      {
        timeoutMs: LIMIT_MS,
        onOutput: (output) => {
          // The next one when the guest has seen the last one.
          const isDue = output.includes("Monitoring") &&
            edgesOf(output).length === pulled;
          const next = isDue ? pulls[pulled++] : undefined;
          if (next !== undefined) void chip.pull(0, next);
        },
      },
    );
    assertEquals(edgesOf(seen), ["rising", "falling", "rising"]);

    guest.process.kill("SIGKILL");
    await untilLevel(5, 0);
    // This one has no rule for a guest that is gone.
    assertEquals(await chip.level(2), 1);
  },
});
