import { assertEquals, assertThrows } from "@std/assert";
import { GpioKernel } from "../../../tests/doubles/gpio_kernel/kernel.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Chip } from "../../gpio/mod.ts";
import { CONSUMER_PREFIX, prefixed } from "./locate.ts";

Deno.test("prefixed() advises one file for a line that another gpioagg holds", () => {
  using kernel = GpioKernel.install();
  using chip = Chip.open(kernel.addChip({ lines: 1 }).path);
  const [line] = parseLineSpec("gpiochip0/0,shared", 0);
  const request = (consumer: string) =>
    chip.requestLines({
      consumer,
      lines: [{ offset: 0, settings: { direction: "input" } }],
    });
  for (
    const [holder, isAdvised] of [
      [`${CONSUMER_PREFIX}plc0`, true],
      ["gpio-keys", false],
    ] as const
  ) {
    using _held = request(holder);
    const { message } = assertThrows(
      () => prefixed(line!, () => request(`${CONSUMER_PREFIX}plc1`)),
      Error,
      `--line gpiochip0/0,shared: `,
    );
    assertEquals(
      message.includes("put both aggregators into one file"),
      isAdvised,
      message,
    );
  }
});
