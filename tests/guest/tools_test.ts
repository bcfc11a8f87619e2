/**
 * Our own tools in a guest, on a controller that gpioagg itself serves: the
 * whole way from `gpioset` to the line and back.
 */
import { assertEquals } from "@std/assert";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { mustSkip, REPOSITORY } from "../environment/environment.ts";
import { Service } from "../environment/service.ts";
import { bootUmlGuest } from "../environment/uml_guest.ts";

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
    const monitor = await EdgeMonitor.start(
      guest,
      "-n 2 BUTTON",
      "/root/ours/gpiomon",
    );
    await service.pull("plc0", "BUTTON=1");
    // The guest's kernel calls an edge by the level that it finds.
    assertEquals(await monitor.seen(1), ["rising"]);
    await service.pull("plc0", "BUTTON=0");
    assertEquals(await monitor.seen(2), ["rising", "falling"]);
    await service.pull("plc0", "BUTTON=1");
    assertEquals(await run("gpioget --numeric BUTTON"), "1");
  },
});
