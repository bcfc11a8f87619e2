/**
 * GPIO adapters on USB (CP2112) for Debian 12's own kernel.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { ManagedService } from "./managed_service.ts";
import {
  bootUsbGuest,
  events,
  monitor,
  untilBack,
  untilChips,
} from "./usbredir_rig.ts";

const ignore = await mustSkip("deno", "qemuOld", "qemuNew", "stockBookworm");

Deno.test({
  name:
    "20 lines are three CP2112 of one controller, in order; gpioagg is killed",
  ignore,
  fn: async () => {
    await using service = new ManagedService(
      ["sim/19,min-interval=1us", "sim/1,direction=input"],
      ",device=cp2112",
    );
    await service.start();
    const path = service.socket("plc0");
    await using guest = await bootUsbGuest({
      kernel: "bookworm",
      qemu: "old",
      sockets: [path, `${path}.1`, `${path}.2`],
    });
    const chips = await untilChips(guest, 3);
    assertEquals(
      chips.map((chip) => chip.replace(/^gpiochip\d+ /, "")),
      new Array(3).fill("[cp2112_gpio] (8 lines)"),
    );
    const serials = await guest.run(
      "for chip in 0 1 2; do cat /sys/class/gpio/../../bus/gpio/devices/" +
        "gpiochip$chip/../../../serial; done",
    );
    assertEquals(serials.split("\n"), ["plc0.0", "plc0.1", "plc0.2"]);
    await guest.run("gpioset -t 0 -c 1 3=1");
    await guest.run("gpioset -t 0 -c 2 2=1");
    const lines = await service.lines("plc0");
    assertEquals([lines["sim11"]?.value, lines["sim18"]?.value], [1, 1]);
    await service.pull("plc0", "sim5=1");
    assertEquals(await guest.run("gpioget --numeric -c 0 4 5"), "0 1");
    // An input by rule, and one of the last adapter's pins without a line.
    for (const pin of [3, 4]) {
      const refused = await guest.exec(`gpioset -t 0 -c 2 ${pin}=1`);
      assertEquals(refused.code !== 0, true);
      assertStringIncludes(refused.output, "Broken pipe");
    }
    await monitor(guest, "-c 0 6");
    const expected: string[] = [];
    for (const level of [1, 0, 1, 0]) {
      await service.pull("plc0", `sim6=${level}`);
      expected.push(level === 1 ? "rising" : "falling");
      assertEquals(await events(guest, expected.length), expected);
    }

    // Its manager starts it again: nothing is unplugged, what programs of the
    // guest hold and wait for goes on.
    await guest.run("gpioset -z -c 1 4=1");
    for (const signal of ["SIGUSR2", "SIGKILL", "SIGKILL"] as const) {
      await service.restart(signal);
      for (const level of [1, 0]) {
        await service.pull("plc0", `sim6=${level}`);
        expected.push(level === 1 ? "rising" : "falling");
        assertEquals(await events(guest, expected.length), expected);
      }
      await guest.run("grep -x gpioset /proc/[0-9]*/comm");
      for (const level of [0, 1]) {
        await guest.run(`gpioset -t 0 -c 2 2=${level}`);
        assertEquals((await service.lines("plc0"))["sim18"]?.value, level);
      }
    }
    assertEquals(await guest.run("dmesg | grep -i 'USB disconnect' || :"), "");
  },
});

Deno.test({
  name:
    "8 lines are one CP2112, in QEMU 10 that listens; back after gpioagg is killed",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      { plc0: ["sim/8"] },
      "--usbredir",
      ",device=cp2112,connect",
    );
    await using guest = await bootUsbGuest({
      kernel: "bookworm",
      qemu: "new",
      sockets: [service.socket("plc0")],
      listens: true,
    });
    await guest.run("gpioset -t 0 -c 0 7=1 0=0");
    const lines = await service.lines("plc0");
    assertEquals([lines["sim7"]?.value, lines["sim0"]?.value], [1, 0]);
    await untilBack(service, guest, 7);
  },
});
