/**
 * Level interrupts of a PCI card in Debian's own kernel.
 *
 * A guest's programs request edges only, so its kernel has to request levels by
 * itself. It does where a table of the machine's firmware connects a line with a
 * driver, and it finds the card's chips by such a table from 7.x on: in 6.1 and
 * 6.12 these chips have no parent, and so none of their modules can. What the card's
 * driver writes for a level is the same in all of them, and is in
 * `src/pci/ml_ioh_test.ts`.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { cardInterruptTable } from "../environment/acpi_table.ts";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("deno", "qemuNewest", "stockBackports");

const LIMIT_MS = 180_000;
/** The first chip, of channel 0, has the last lines. */
const FIRST_LINE = 103;
const HIGH = 5;
const LOW = 4;

/** Interrupts of the two lines that the guest's kernel has requested. */
async function counts(guest: GuestSession): Promise<[number, number]> {
  const text = await guest.run("cat /proc/interrupts");
  const found = [...text.matchAll(/^ *\d+: +(\d+) +ioh_gpio .*lm90$/gm)]
    .map(([, count]) => Number(count));
  if (found.length !== 2) throw new Error(`no two interrupts: ${text}`);
  // In the order of their numbers.
  return [found[1]!, found[0]!];
}

/** Waits until a line has interrupted so many more times; both counts. */
async function untilInterrupts(
  guest: GuestSession,
  which: 0 | 1,
  count: number,
): Promise<[number, number]> {
  const wanted = (await counts(guest))[which] + count;
  let now: [number, number] = [0, 0];
  await until(`${count} interrupts of line ${which}`, async () => {
    now = await counts(guest);
    return now[which] >= wanted;
  }, LIMIT_MS);
  return now;
}

Deno.test({
  name: "a level interrupts as long as it is active, no longer",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      { plc0: ["sim/109"] },
      "--vfio-user",
    );
    const pull = (bit: number, level: number) =>
      service.pull("plc0", `sim${FIRST_LINE + bit}=${level}`);
    await pull(LOW, 1);
    await using stack = new AsyncDisposableStack();
    const table = await Deno.makeTempFile({ prefix: "gpioagg-acpi-" });
    stack.defer(() => Deno.remove(table));
    await Deno.writeFile(
      table,
      cardInterruptTable([
        { line: HIGH, active: "high" },
        { line: LOW, active: "low" },
      ]),
    );
    await using guest = await bootQemuGuest({
      qemu: "newest",
      kernel: "backports",
      memoryMiB: 256,
      arguments: [
        "-device",
        JSON.stringify({
          driver: "vfio-user-pci",
          socket: { type: "unix", path: service.socket("plc0") },
        }),
        ...["-acpitable", `file=${table}`],
      ],
    });
    assertStringIncludes(await guest.run("gpiodetect"), "(6 lines)");
    assertEquals(await counts(guest), [0, 0]);

    // One change, many interrupts; other lines work meanwhile.
    await pull(HIGH, 1);
    await untilInterrupts(guest, 0, 5);
    await pull(0, 1);
    assertEquals(await guest.run("gpioget --numeric -c gpiochip0 0 1"), "1 0");
    await guest.run("gpioset -t 0 -c gpiochip0 1=1");
    assertEquals(
      (await service.lines("plc0"))[`sim${FIRST_LINE + 1}`]?.value,
      1,
    );
    await untilInterrupts(guest, 0, 5);

    // The first line interrupts no more while the second one does.
    await pull(HIGH, 0);
    await pull(LOW, 0);
    const [ended] = await untilInterrupts(guest, 1, 5);
    assertEquals((await untilInterrupts(guest, 1, 5))[0], ended);

    // Nor the second one while the first one does, again.
    await pull(LOW, 1);
    await pull(HIGH, 1);
    const [, endedToo] = await untilInterrupts(guest, 0, 5);
    assertEquals((await untilInterrupts(guest, 0, 5))[1], endedToo);
    await pull(HIGH, 0);
  },
});
