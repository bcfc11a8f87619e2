/**
 * A GPIO adapter on USB (LJCA) for Debian 13's own kernel.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { levelInterruptTable } from "../environment/acpi_table.ts";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { Service } from "../environment/service.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { until } from "../environment/wait.ts";
import { bootUsbGuest, events, monitor, untilBack } from "./usbredir_rig.ts";

const ignore = await mustSkip(
  "deno",
  "qemuOld",
  "qemuNew",
  "qemuNewest",
  "stockTrixie",
);

/** Changes a simulated line every 5 ms, from low to high and back. */
async function toggle(
  service: Service,
  line: string,
  count: number,
): Promise<void> {
  using connection = UnixStream.connect(`${service.socket("plc0")}.control`);
  const encoder = new TextEncoder();
  for (let i = 1; i <= count; i++) {
    const pull = [[line, i % 2]];
    await connection.write(encoder.encode(JSON.stringify({ pull }) + "\n"));
    let text = "";
    while (!text.endsWith("\n")) {
      text += new TextDecoder().decode(await connection.read() ?? undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name:
      `QEMU, ${qemu}: lines of an LJCA are read, driven, refused and monitored, also 100 edges 5 ms apart`,
    ignore,
    fn: async () => {
      await using service = await Service.start({
        plc0: ["sim/40,min-interval=1us", "sim/1,direction=input"],
      }, "--usbredir");
      await using guest = await bootUsbGuest({
        kernel: "trixie",
        qemu,
        sockets: [service.socket("plc0")],
      });
      assertStringIncludes(
        await guest.run("gpiodetect"),
        "gpiochip0 [usb_ljca.ljca-gpio.0] (42 lines)",
      );
      assertStringIncludes(await guest.run("gpioinfo -c 0 39"), "input");
      await guest.run("gpioset -t 0 -c 0 3=1 9=0");
      const lines = await service.lines("plc0");
      assertEquals([lines["sim3"]?.value, lines["sim9"]?.value], [1, 0]);
      await service.pull("plc0", "sim39=1");
      assertEquals(await guest.run("gpioget --numeric -c 0 38 39"), "0 1");
      const refused = await guest.exec("gpioset -t 0 -c 0 40=1");
      assertEquals(refused.code !== 0, true);
      assertStringIncludes(refused.output, "Broken pipe");

      // Longer than it would take to fall asleep.
      await guest.run("sleep 1");
      for (
        const [option, wanted] of [
          ["both", ["rising", "falling"]],
          ["rising", ["rising"]],
          ["falling", ["falling"]],
        ] as const
      ) {
        await monitor(guest, `-e ${option} -c 0 33`);
        const expected: string[] = [];
        for (const level of [1, 0, 1, 0]) {
          await service.pull("plc0", `sim33=${level}`);
          const edge = level === 1 ? "rising" : "falling";
          if ((wanted as readonly string[]).includes(edge)) expected.push(edge);
          assertEquals(await events(guest, expected.length), expected);
        }
        await guest.run("killall gpiomon");
      }
      await monitor(guest, "-c 0 40");
      await toggle(service, "sim40", 100);
      assertEquals(
        await events(guest, 100),
        Array.from({ length: 50 }, () => ["rising", "falling"]).flat(),
      );
      await guest.run("killall gpiomon");

      // Its driver is unloaded and loaded again: outputs stay, as those of a
      // real adapter, and the lines work.
      await guest.run("rmmod gpio_ljca");
      assertEquals((await service.lines("plc0"))["sim3"]?.value, 1);
      await guest.run("insmod /lib/modules/gpio_ljca.ko");
      await guest.run("gpioset -t 0 -c 0 3=0");
      assertEquals((await service.lines("plc0"))["sim3"]?.value, 0);
      assertEquals(await guest.run("gpioget --numeric -c 0 38"), "0");
    },
  });
}

/** Interrupts of a line that the guest's kernel has requested by its table. */
async function countEvents(guest: GuestSession, line: number): Promise<number> {
  const text = await guest.run("cat /proc/interrupts");
  const count = new RegExp(`(\\d+) +ljca-irq +${line} +ACPI:Event`).exec(text);
  if (count === null) throw new Error(`line ${line} has no interrupt: ${text}`);
  return Number(count[1]);
}

/** Waits until a line has interrupted so many more times. */
async function untilInterrupts(
  guest: GuestSession,
  line: number,
  count: number,
): Promise<void> {
  const wanted = await countEvents(guest, line) + count;
  await until(
    `${count} interrupts of line ${line}`,
    async () => await countEvents(guest, line) >= wanted,
    120_000,
  );
}

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name:
      `QEMU, ${qemu}: a level interrupts as long as it is active, no longer`,
    ignore,
    fn: async () => {
      await using service = await Service.start(
        { plc0: ["sim/8"] },
        "--usbredir",
      );
      await service.pull("plc0", "sim6=1");
      const table = await Deno.makeTempFile({ prefix: "gpioagg-acpi-" });
      await using stack = new AsyncDisposableStack();
      stack.defer(() => Deno.remove(table));
      await Deno.writeFile(
        table,
        levelInterruptTable([
          { line: 5, active: "high" },
          { line: 6, active: "low" },
        ]),
      );
      await using guest = await bootUsbGuest({
        kernel: "trixie",
        qemu,
        sockets: [service.socket("plc0")],
        arguments: ["-acpitable", `file=${table}`],
      });
      assertStringIncludes(await guest.run("gpiodetect"), "(8 lines)");
      await monitor(guest, "-c 0 0");
      const counts = async () => [
        await countEvents(guest, 5),
        await countEvents(guest, 6),
      ];
      assertEquals(await counts(), [0, 0]);

      // One change, many interrupts; other lines work meanwhile.
      await service.pull("plc0", "sim5=1");
      await untilInterrupts(guest, 5, 5);
      await service.pull("plc0", "sim0=1");
      assertEquals(await events(guest, 1), ["rising"]);
      await guest.run("gpioset -t 0 -c 0 7=1");
      assertEquals((await service.lines("plc0"))["sim7"]?.value, 1);
      await untilInterrupts(guest, 5, 5);

      // The first line interrupts no more while the second one does.
      await service.pull("plc0", "sim5=0");
      await service.pull("plc0", "sim6=0");
      await untilInterrupts(guest, 6, 5);
      const [ended] = await counts();
      await untilInterrupts(guest, 6, 5);
      assertEquals(await countEvents(guest, 5), ended);

      // Nor the second one while the first one does, again.
      await service.pull("plc0", "sim6=1");
      await service.pull("plc0", "sim5=1");
      await untilInterrupts(guest, 5, 5);
      const [, endedToo] = await counts();
      await untilInterrupts(guest, 5, 5);
      assertEquals(await countEvents(guest, 6), endedToo);
      await service.pull("plc0", "sim5=0");
      await service.pull("plc0", "sim0=0");
      assertEquals(await events(guest, 2), ["rising", "falling"]);
    },
  });
}

for (const qemu of ["old", "new", "newest"] as const) {
  Deno.test({
    name:
      `QEMU, ${qemu}: an LJCA has 1 line, or 64, and is back after gpioagg is killed`,
    ignore,
    fn: async () => {
      await using service = await Service.start(
        { plc0: ["sim/1"] },
        "--usbredir",
      );
      await using guest = await bootUsbGuest({
        kernel: "trixie",
        qemu,
        sockets: [service.socket("plc0")],
      });
      const lineOf = async (offset: number) =>
        (await service.lines("plc0"))[`sim${offset}`]?.value;
      assertStringIncludes(await guest.run("gpiodetect"), "(1 lines)");
      await guest.run("gpioset -t 0 -c 0 0=1");
      assertEquals(await lineOf(0), 1);
      await untilBack(service, guest, 0);

      await service.crash({ plc0: ["sim/64"] });
      let chip = "";
      await until("the chip with 64 lines", async () => {
        const { output } = await guest.exec("gpiodetect");
        chip = /^(gpiochip\d+) .*\(64 lines\)$/m.exec(output)?.[1] ?? "";
        return chip !== "";
      }, 120_000);
      await guest.run(`gpioset -t 0 -c ${chip} 63=1`);
      assertEquals([await lineOf(62), await lineOf(63)], [0, 1]);
    },
  });
}
