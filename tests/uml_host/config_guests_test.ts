/**
 * A configuration file with three aggregators on simulated chips, and real
 * guests: two at once, killed and paused.
 */
import { assertEquals } from "@std/assert";
import { Chip } from "../../src/gpio/mod.ts";
import { ConfigService } from "../environment/config_service.ts";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { localFiles, SimChip } from "../environment/gpio_sim.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { until } from "../environment/wait.ts";
import { MovingChip } from "./moving_chip.ts";

// QEMU translates the guest's code, and this host's system calls are slow.
const GUEST_LIMIT_MS = 90_000;
const options = { timeoutMs: GUEST_LIMIT_MS };

function boot(
  service: ConfigService,
  name: string,
  args: string[] = [],
): Promise<GuestSession> {
  return bootQemuGuest({
    qemu: "new",
    sockets: [service.socket(name)],
    bootTimeoutMs: GUEST_LIMIT_MS,
    memoryMiB: 96,
    arguments: args,
  });
}

function set(guest: GuestSession, change: string): Promise<string> {
  return guest.run(`gpioset -t 0 ${change} 2>&1 || echo refused`, options);
}

Deno.test("two guests live by one configuration: shared, wired, combined, interlocked", async () => {
  await using io = await SimChip.create(localFiles, {
    label: "io",
    lines: 4,
    names: { 0: "ESTOP" },
  });
  await using relays = await SimChip.create(localFiles, {
    label: "relays",
    lines: 4,
  });
  await using service = await ConfigService.start((directory) => `
aggregators:
  plc0:
    vhost-user: ${directory}/plc0.sock
    lines:
      - { line: ESTOP, shared: true, as: ESTOP }
      - { chip: relays, offset: 0, as: FORWARD, direction: output, safe: 0 }
      - { chip: relays, offset: 1, as: LAMP, combine: or }
      - { sim: 1, as: READY }
      - { chip: io, offset: 1, as: DOOR, direction: input }
  plc1:
    vhost-user: ${directory}/plc1.sock
    lines:
      - { line: ESTOP, shared: true, as: ESTOP }
      - { chip: relays, offset: 2, as: REVERSE, direction: output, safe: 0 }
      - { chip: relays, offset: 1, as: LAMP, combine: or }
      - { wire: plc0.READY, as: PEER }
      - { invert: plc0.DOOR, as: CLOSED }
  spare:
    vhost-user: ${directory}/spare.sock
    lines: [ sim/4, const/1 ]
interlocks:
  - exclusive: [plc0.FORWARD, plc1.REVERSE]
`);
  await using plc0 = await boot(service, "plc0");
  await using plc1 = await boot(service, "plc1");

  // One pull interrupts both.
  const stops = [
    await EdgeMonitor.start(plc0, "ESTOP"),
    await EdgeMonitor.start(plc1, "ESTOP"),
  ];
  await io.pull(0, "up");
  for (const stop of stops) assertEquals(await stop.seen(1), ["rising"]);

  // plc0's READY is plc1's PEER, with an interrupt and nothing between.
  const peer = await EdgeMonitor.start(plc1, "PEER");
  assertEquals(await set(plc0, "READY=1"), "");
  assertEquals((await peer.seen(1))[0], "rising");
  await io.pull(1, "up");
  assertEquals(await plc1.run("gpioget --numeric CLOSED", options), "0");

  // Never both directions.
  assertEquals(await set(plc0, "FORWARD=1"), "");
  assertEquals(await relays.level(0), 1);
  assertEquals((await set(plc1, "REVERSE=1")).includes("refused"), true);
  assertEquals(await relays.level(2), 0);
  const [refused] = await service.heard("refused");
  assertEquals(refused?.aggregator, "plc1");
  assertEquals(await set(plc0, "FORWARD=0"), "");
  assertEquals(await set(plc1, "REVERSE=1"), "");
  assertEquals(await relays.level(2), 1);

  // The lamp is lit while any of them wants it, also past a death.
  assertEquals(await set(plc0, "LAMP=1"), "");
  assertEquals(await set(plc1, "LAMP=1"), "");
  plc1.process.kill("SIGKILL");
  await until(
    "plc1's line is safe",
    async () => await relays.level(2) === 0,
    GUEST_LIMIT_MS,
  );
  assertEquals(await relays.level(1), 1, "plc0 wants the lamp");
  assertEquals(await set(plc0, "LAMP=0"), "");
  assertEquals(await relays.level(1), 0);
});

Deno.test("a guest that is killed leaves each line as its rule says, a paused one does not", async () => {
  await using chip = await SimChip.create(localFiles, {
    label: "rules",
    lines: 5,
  });
  // Value of a line that is not driven.
  for (const line of [0, 1, 2, 3, 4]) await chip.pull(line, "down");
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines:
      - { chip: rules, offset: 0, as: KEEP }
      - { chip: rules, offset: 1, as: SAFE0, safe: 0 }
      - { chip: rules, offset: 2, as: SAFE1, safe: 1 }
      - { chip: rules, offset: 3, as: INPUT, on-disconnect: input }
      - { chip: rules, offset: 4, as: RELEASE, on-disconnect: release }
`);
  const monitor = await Deno.makeTempDir();
  try {
    for (const end of ["in", "out"]) {
      const { success } = await new Deno.Command("mkfifo", {
        args: [`${monitor}/qemu.${end}`],
      }).output();
      assertEquals(success, true);
    }
    const levels = async () => {
      const all: number[] = [];
      for (let line = 0; line < 5; line++) all.push(await chip.level(line));
      return all;
    };
    const drive = "KEEP=1 SAFE0=1 SAFE1=0 INPUT=1 RELEASE=1";
    {
      await using guest = await boot(service, "a", [
        "-chardev",
        `pipe,id=monitor,path=${monitor}/qemu`,
        "-mon",
        "chardev=monitor,mode=readline",
      ]);
      assertEquals(await set(guest, drive), "");
      assertEquals(await levels(), [1, 1, 0, 1, 1]);
      const tell = (command: string) =>
        Deno.writeTextFile(`${monitor}/qemu.in`, `${command}\n`);
      await tell("stop");
      await service.heard("stopped");
      assertEquals(await levels(), [1, 1, 0, 1, 1], "paused, not dead");
      await tell("cont");
      await service.heard("started", 2);
      assertEquals(await set(guest, "SAFE1=0"), "");
      assertEquals(await levels(), [1, 1, 0, 1, 1]);
      guest.process.kill("SIGKILL");
      await service.heard("disconnected");
    }
    // A simulated line that becomes an input keeps its last level until it is
    // pulled: that it is one is seen below.
    await until(
      "every line is as its rule says",
      async () => {
        const [keep, safe0, safe1, , release] = await levels();
        return keep === 1 && safe0 === 0 && safe1 === 1 && release === 0;
      },
    );
    using opened = Chip.open(chip.path);
    assertEquals(
      [0, 1, 2, 3, 4].map((line) => {
        const { used, direction } = opened.lineInfo(line);
        return used ? direction : "free";
      }),
      ["output", "output", "output", "input", "free"],
    );
    await using next = await boot(service, "a");
    assertEquals(await set(next, drive), "");
    assertEquals(await levels(), [1, 1, 0, 1, 1]);
  } finally {
    await Deno.remove(monitor, { recursive: true });
  }
});

Deno.test("a real guest's interrupt fires on a chip that was away and has another number", async () => {
  await using chip = await MovingChip.create("wanderer", 2);
  await using service = await ConfigService.start((directory) => `
aggregators:
  a:
    vhost-user: ${directory}/a.sock
    lines:
      - { chip: wanderer, offset: 0, as: IN, direction: input }
      - { chip: wanderer, offset: 1, as: OUT, direction: output }
`);
  await using guest = await boot(service, "a");
  const monitor = await EdgeMonitor.start(guest, "IN");
  assertEquals(await set(guest, "OUT=1"), "");
  assertEquals(await chip.level(1), 1);
  const before = chip.name;
  await chip.unplug();
  await service.heard("unplugged", 2);
  assertEquals((await set(guest, "OUT=0")).includes("refused"), true);
  await using stranger = await SimChip.create(localFiles, { lines: 2 });
  assertEquals(stranger.name, before);
  await chip.plug();
  await service.heard("plugged", 2);
  assertEquals(await chip.level(1), 1, "its last value");
  await chip.pull(0, "up");
  assertEquals((await monitor.seen(1))[0], "rising");
  assertEquals(await set(guest, "OUT=0"), "");
  assertEquals(await chip.level(1), 0);
});
