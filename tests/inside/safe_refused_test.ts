/** `gpioagg safe` on a chip that refuses, as an I2C expander does. */
import { assertEquals, assertMatch } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { GpioKernel } from "../doubles/gpio_kernel/kernel.ts";
import { runProgramsInside } from "../doubles/program/command.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";

const EREMOTEIO = 121;

/** Runs the command while a chip refuses the first `times` requests of lines. */
async function safeWith(times: number, retryFor: string) {
  using kernel = GpioKernel.install();
  using _programs = runProgramsInside();
  const chip = kernel.addChip({ lines: 2, names: { 0: "RELAY" } });
  kernel.refuse("GPIO_V2_GET_LINE_IOCTL", EREMOTEIO, times);
  const { code, stderr } = await new Deno.Command(PROGRAM_FILE, {
    args: [
      ...PROGRAM,
      "safe",
      `--retry-for=${retryFor}`,
      "RELAY,direction=output,safe=1",
      "gpiochip0/1,direction=output,safe=1",
    ],
  }).output();
  using opened = Chip.open(chip.path);
  return {
    code,
    stderr: new TextDecoder().decode(stderr),
    directions: opened.lines().map(({ direction }) => direction),
  };
}

Deno.test("safe retries what a chip refuses, and says nothing once it holds", async () => {
  assertEquals(await safeWith(3, "60s"), {
    code: 0,
    stderr: "",
    directions: ["output", "output"],
  });
});

Deno.test("safe fails for lines whose chip goes on refusing, and names each", async () => {
  const { code, stderr, directions } = await safeWith(1e6, "200ms");
  assertEquals([code, directions], [1, ["input", "input"]]);
  for (const line of ["RELAY", "gpiochip0/1"]) {
    assertMatch(
      stderr,
      new RegExp(`not in its safe state: --line ${line},.*EREMOTEIO`),
    );
  }
});
