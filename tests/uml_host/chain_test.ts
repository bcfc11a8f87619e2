/**
 * The whole chain: simulated chips behind the real uAPI, `gpioagg serve` as a
 * process, a real VMM, a real guest driver.
 */
import { assertEquals } from "@std/assert";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";

// QEMU translates the guest's code, and this host's system calls are slow.
const GUEST_LIMIT_MS = 120_000;

Deno.test("a QEMU guest uses lines of two chips, mixed and renamed", async () => {
  await using left = await SimChip.create(localFiles, {
    label: "left",
    lines: 4,
    names: { 1: "L1", 3: "L3" },
  });
  await using right = await SimChip.create(localFiles, {
    label: "right",
    lines: 4,
    names: { 0: "R0" },
  });
  await using service = await Service.start({
    plc0: [
      "right/2,as=VALVE,direction=output,safe=0",
      "L3,as=DOOR,direction=input",
      "R0",
      `${left.name}/0,active-low,as=PUMP`,
    ],
  });
  await using guest = await bootQemuGuest({
    qemu: "new",
    sockets: [service.socket("plc0")],
    bootTimeoutMs: GUEST_LIMIT_MS,
  });
  const options = { timeoutMs: GUEST_LIMIT_MS };
  const info = await guest.run("gpioinfo", options);
  assertEquals(
    [...info.matchAll(/"(\w+)"\s+(input|output)/g)].map(([, name, way]) =>
      `${name} ${way}`
    ),
    ["VALVE output", "DOOR input", "R0 input", "PUMP input"],
  );

  await guest.run("gpioset -t 0 VALVE=1 PUMP=1", options);
  assertEquals(await right.level(2), 1);
  assertEquals(await left.level(0), 0, "PUMP is active-low");
  await guest.run("gpioset -t 0 PUMP=0", options);
  assertEquals(await left.level(0), 1);

  await left.pull(3, "up");
  await right.pull(0, "up");
  assertEquals(await guest.run("gpioget --numeric DOOR R0", options), "1 1");
  await right.pull(0, "down");
  assertEquals(await guest.run("gpioget --numeric DOOR R0", options), "1 0");

  const monitor = await EdgeMonitor.start(guest, "DOOR");
  await left.pull(3, "down");
  assertEquals(await monitor.seen(1), ["falling"]);
  await left.pull(3, "up");
  assertEquals(await monitor.seen(2), ["falling", "rising"]);

  guest.process.kill("SIGKILL");
  await until("the safe state", async () => await right.level(2) === 0);
});
