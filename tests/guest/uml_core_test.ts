/**
 * A real Linux guest (User-Mode Linux, a vhost-user frontend by itself) on
 * simulated lines.
 */
import { assert, assertEquals } from "@std/assert";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { Service } from "../environment/service.ts";
import { bootUmlGuest, interruptDeviceTree } from "../environment/uml_guest.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("uml", "gpiod", "busybox", "deno");

async function interrupts(guest: GuestSession, name: string): Promise<number> {
  const line = await guest.run(`grep -w ${name} /proc/interrupts || true`);
  const [, count = "0"] = line.trim().split(/\s+/);
  return Number(count);
}

Deno.test({
  name: "UML guest: its tools show the names, read and drive the lines",
  ignore,
  fn: async () => {
    await using service = await Service.start({
      plc0: [
        "sim/2,as=LAMP,direction=output",
        "sim/2,as=BUTTON,direction=input",
        "sim/1,as=SPARE",
      ],
    });
    await using guest = await bootUmlGuest({
      sockets: [service.socket("plc0")],
    });
    const detected = await guest.run("gpiodetect");
    assert(/^gpiochip0 \[.*\] \(5 lines\)$/.test(detected), detected);
    const info = await guest.run("gpioinfo");
    assertEquals(
      [...info.matchAll(/"(\w+)"\s+(input|output)/g)].map(([, name, way]) =>
        `${name} ${way}`
      ),
      [
        "LAMP0 output",
        "LAMP1 output",
        "BUTTON0 input",
        "BUTTON1 input",
        "SPARE input",
      ],
    );

    await guest.run("gpioset -t 0 LAMP0=1 SPARE=1");
    const lines = await service.lines("plc0");
    assertEquals(lines["LAMP0"]?.value, 1);
    assertEquals(lines["LAMP1"]?.value, 0);
    assertEquals(lines["SPARE"], {
      ...lines["SPARE"]!,
      direction: "output",
      value: 1,
    });

    await service.pull("plc0", "BUTTON1=1");
    assertEquals(
      await guest.run("gpioget --numeric BUTTON0 BUTTON1"),
      "0 1",
    );
    const refused = await guest.exec("gpioset -t 0 BUTTON0=1");
    assert(refused.code !== 0, "an input was driven");
  },
});

for (
  const [edges, expected] of [
    ["rising", ["rising"]],
    ["falling", ["falling"]],
    ["both", ["rising", "falling"]],
  ] as const
) {
  Deno.test({
    name: `UML guest: gpiomon sees ${edges} edges`,
    ignore,
    fn: async () => {
      await using service = await Service.start({ plc0: ["sim/2"] });
      await using guest = await bootUmlGuest({
        sockets: [service.socket("plc0")],
      });
      const monitor = await EdgeMonitor.start(guest, `-e ${edges} sim1`);
      await service.pull("plc0", "sim1=1");
      // The guest's kernel calls an edge by the level that it finds.
      if (edges !== "falling") assertEquals(await monitor.seen(1), ["rising"]);
      await service.pull("plc0", "sim1=0");
      assertEquals(await monitor.seen(expected.length), [...expected]);
    },
  });
}

Deno.test({
  name: "UML guest: a kernel consumer's interrupts work on lines that were " +
    "never requested as GPIO",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: ["sim/4"] });
    await using guest = await bootUmlGuest({
      deviceTree: interruptDeviceTree(service.socket("plc0"), [
        { name: "key-up", line: 0, trigger: "rising" },
        { name: "key-down", line: 1, trigger: "falling" },
        { name: "key-any", line: 2, trigger: "both" },
      ]),
    });
    for (const level of [1, 0]) {
      await service.pull(
        "plc0",
        ...[0, 1, 2].map((line) => `${line}=${level}`),
      );
      await until(
        `interrupts of level ${level}`,
        async () => await interrupts(guest, "key-any") === 2 - level,
      );
    }
    await until(
      "the rising edge",
      async () => await interrupts(guest, "key-up") === 1,
    );
    await until(
      "the falling edge",
      async () => await interrupts(guest, "key-down") === 1,
    );
  },
});

Deno.test({
  name:
    "UML guest: a level interrupt is served at the guest's pace while the " +
    "line is active, and rests when it is not",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: ["sim/2"] });
    await using guest = await bootUmlGuest({
      deviceTree: interruptDeviceTree(service.socket("plc0"), [
        { name: "key-high", line: 0, trigger: "high" },
        { name: "key-low", line: 1, trigger: "low" },
      ]),
    });
    // Line 1 is low from the start: its interrupt goes on and on; line 0 rests.
    assertEquals(await interrupts(guest, "key-high"), 0);
    const before = await interrupts(guest, "key-low");
    await until(
      "more interrupts of the active level",
      async () => await interrupts(guest, "key-low") > before,
    );
    // The guest is well all the while: that is no storm.
    assertEquals(await guest.run("echo alive"), "alive");

    await service.pull("plc0", "1=1", "0=1");
    await until(
      "interrupts of the other line",
      async () => await interrupts(guest, "key-high") > 1,
    );
    const rested = await interrupts(guest, "key-low");
    await service.pull("plc0", "0=0");
    await until("rest", async () => {
      const seen = await interrupts(guest, "key-high");
      await new Promise((resolve) => setTimeout(resolve, 200));
      return seen === await interrupts(guest, "key-high");
    });
    assertEquals(await interrupts(guest, "key-low"), rested);
    // And it fires again: nothing was lost by resting.
    const rest = await interrupts(guest, "key-high");
    await service.pull("plc0", "0=1");
    await until(
      "the level again",
      async () => await interrupts(guest, "key-high") > rest,
    );
  },
});

Deno.test({
  name: "UML guest: one that unbinds its driver is gone, and is served again " +
    "when it binds it",
  ignore,
  fn: async () => {
    await using service = await Service.start({
      plc0: ["sim/1,as=LAMP,safe=0", "sim/1,as=BUTTON"],
    });
    await using guest = await bootUmlGuest({
      sockets: [service.socket("plc0")],
    });
    const lamp = async () => (await service.lines("plc0"))["LAMP"]?.value;
    const driver = "/sys/bus/virtio/drivers/gpio_virtio";
    const device = await guest.run(`cd ${driver} && echo virtio*`);
    for (let round = 0; round < 2; round++) {
      await guest.run("gpioset -t 0 LAMP=1");
      assertEquals(await lamp(), 1);
      await guest.run(`echo ${device} >${driver}/unbind`);
      await until("the lamp's safe value", async () => await lamp() === 0);
      assertEquals(
        (await guest.exec("gpioinfo LAMP")).output.includes('LAMP"'),
        false,
      );
      await guest.run(`echo ${device} >${driver}/bind`);
    }
    await guest.run("gpioset -t 0 LAMP=1");
    assertEquals(await lamp(), 1);
    // The VMM was there all the time.
    assert(!service.process.stdout.includes('"event":"disconnected"'));
    assert(!service.process.stdout.includes('"event":"fault"'));
  },
});
