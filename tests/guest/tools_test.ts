/**
 * Our own tools in a guest, on a controller that gpioagg itself serves: the
 * whole way from `gpioset` to the line and back.
 */
import { assertEquals } from "@std/assert";
import { mustSkip, REPOSITORY } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { bootUmlGuest } from "../environment/uml_guest.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip("uml", "gpiod", "busybox", "deno");

/** Deno's heap needs more than a guest has without it. */
const MEMORY_MIB = 768;

Deno.test({
  name: "UML guest: our own tools drive, read and watch virtio lines",
  ignore,
  fn: async () => {
    await using service = await Service.start({
      plc0: ["sim/1,as=LAMP,direction=output", "sim/1,as=BUTTON"],
    });
    await using guest = await bootUmlGuest({
      sockets: [service.socket("plc0")],
      memoryMiB: MEMORY_MIB,
    });
    await guest.run(
      `mkdir /root/ours && ${REPOSITORY}/scripts/gpioagg install-tools /root/ours`,
    );
    const run = (command: string) => guest.run(`/root/ours/${command}`);
    assertEquals(
      await run("gpioinfo --unquoted LAMP BUTTON | tr -s ' '"),
      "gpiochip0 0\tLAMP \toutput\ngpiochip0 1\tBUTTON \tinput",
    );
    await run("gpioset -z LAMP=1");
    assertEquals((await service.lines("plc0"))["LAMP"]?.value, 1);
    await run(
      "gpiomon --banner -n 2 -F '%E %l' BUTTON >/tmp/edges 2>&1 &",
    );
    await until(
      "gpiomon watches",
      async () => (await guest.run("cat /tmp/edges")).includes("Monitoring"),
    );
    await service.pull("plc0", "BUTTON=1");
    await service.pull("plc0", "BUTTON=0");
    await until(
      "gpiomon has seen both edges",
      async () => (await guest.run("wc -l < /tmp/edges")) === "3",
    );
    assertEquals(
      await guest.run("tail -n 2 /tmp/edges"),
      "rising BUTTON\nfalling BUTTON",
    );
    await service.pull("plc0", "BUTTON=1");
    assertEquals(await run("gpioget --numeric BUTTON"), "1");
  },
});
