/**
 * Life and death of a GPIO adapter on USB: pauses, restarts, resets, QEMUs that
 * end, and QEMUs that go on with the state of another one.
 */
import { assertEquals } from "@std/assert";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { Monitor } from "../environment/qemu_monitor.ts";
import { listOpenFiles, untilNoneIsLeft } from "../environment/open_files.ts";
import { Service } from "../environment/service.ts";
import {
  snapshotDisk,
  writeSnapshotDisk,
} from "../environment/snapshot_disk.ts";
import { until } from "../environment/wait.ts";
import { ManagedService, type Served } from "./managed_service.ts";
import {
  bootUsbGuest,
  events,
  monitor,
  type UsbGuestOptions,
} from "./usbredir_rig.ts";

const ignore = await mustSkip("deno", "qemuOld", "qemuNew", "stockTrixie");

const SPECS = ["sim/2,safe=0", "sim/1"];

function guestAt(
  service: Served,
  monitor: Monitor,
  more: Partial<UsbGuestOptions> = {},
): Promise<GuestSession> {
  return bootUsbGuest({
    kernel: "trixie",
    qemu: "old",
    sockets: [service.socket("plc0")],
    ...more,
    arguments: [...monitor.arguments, ...more.arguments ?? []],
  });
}

async function readValue(service: Served, name: string) {
  return (await service.lines("plc0"))[name]?.value;
}

/** Waits until the guest's lines can be driven, which no guest does now. */
async function untilDriven(
  service: Served,
  guest: GuestSession,
): Promise<void> {
  assertEquals(await readValue(service, "sim1"), 0);
  await until("the chip is back", async () => {
    await guest.exec("gpioset -t 0 -c $(gpiodetect | cut -d' ' -f1) 1=1");
    return await readValue(service, "sim1") === 1;
  }, 60_000);
}

Deno.test({
  name:
    "a pause, a restart and a crash of gpioagg lose nothing; a reset is the end",
  ignore,
  fn: async () => {
    await using service = new ManagedService(SPECS);
    await service.start();
    await using hmp = await Monitor.prepare();
    await using guest = await guestAt(service, hmp, {
      arguments: ["-action", "reboot=reset"],
    });
    await guest.run("gpioset -z -c 0 0=1");
    await monitor(guest, "-c 0 2");
    await hmp.run("stop");
    await service.pull("plc0", "sim2=1");
    await service.pull("plc0", "sim2=0");
    assertEquals(await readValue(service, "sim0"), 1);
    await hmp.run("cont");
    assertEquals(await events(guest, 2), ["rising", "falling"]);
    assertEquals(await readValue(service, "sim0"), 1);

    // The chip, the programs that use it and their interrupts go on.
    const edges = ["rising", "falling"];
    for (const signal of ["SIGUSR2", "SIGKILL", "SIGKILL"] as const) {
      await service.restart(signal);
      await service.pull("plc0", "sim2=1");
      await service.pull("plc0", "sim2=0");
      edges.push("rising", "falling");
      assertEquals(await events(guest, edges.length), edges);
      await guest.run(
        "grep -x gpioset /proc/[0-9]*/comm && gpioset -t 0 -c 0 1=1",
      );
      assertEquals(await readValue(service, "sim1"), 1);
      await guest.run("gpioset -t 0 -c 0 1=0");
    }
    assertEquals(await guest.run("dmesg | grep -i 'USB disconnect' || :"), "");
    await untilDriven(service, guest);

    const from = guest.process.stdout.length;
    await hmp.run("system_reset");
    await until(
      "the line is safe",
      async () => await readValue(service, "sim1") === 0,
    );
    await guest.process.waitFor("\x1eready\x1e", { from, timeoutMs: 120_000 });
    await untilDriven(service, guest);
  },
});

for (const device of ["cp2112", "ljca"] as const) {
  Deno.test({
    name:
      `${device}: snapshots have their chip again, and QEMUs that are killed safe lines`,
    ignore,
    fn: async () => {
      await using service = await Service.start(
        { plc0: SPECS },
        "--usbredir",
        `,device=${device}`,
      );
      await using hmp = await Monitor.prepare();
      const disk = hmp.file("disk");
      await writeSnapshotDisk(disk);
      const start = (more: Partial<UsbGuestOptions> = {}) =>
        guestAt(service, hmp, {
          ...more,
          arguments: [...snapshotDisk(disk), ...more.arguments ?? []],
        });
      /** Uses the chip, and kills QEMU while a line is driven and monitored. */
      const useAndKill = async (guest: GuestSession) => {
        await untilDriven(service, guest);
        // The driver of a CP2112 takes an input that is high for a rising edge.
        await monitor(guest, "-c $(gpiodetect | cut -d' ' -f1) 2");
        await service.pull("plc0", "sim2=1");
        assertEquals(await events(guest, 1), ["rising"]);
        guest.process.kill("SIGKILL");
        await until(
          "the line is safe",
          async () => await readValue(service, "sim1") === 0,
        );
        await service.pull("plc0", "sim2=0");
      };
      {
        await using guest = await start();
        assertEquals((await hmp.run("savevm booted")).includes("rror"), false);
        await untilDriven(service, guest);
        await guest.run("gpioset -t 0 -c 0 1=0");
        // A running QEMU that loads a snapshot with an LJCA ends at an assertion
        // of its own (7.2 and 10).
        if (device === "cp2112") await hmp.run("loadvm booted");
        await useAndKill(guest);
      }
      const { pid } = service.process;
      const before = listOpenFiles(pid);
      // Each of them begins with the snapshot, so none has to boot.
      for (let round = 1; round < 5; round++) {
        await using guest = await start({
          isRestored: true,
          arguments: ["-loadvm", "booted"],
        });
        await useAndKill(guest);
      }
      await untilNoneIsLeft(pid, before);
    },
  });
}

Deno.test({
  name: "a guest that moves to another running QEMU has its chip again",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: SPECS }, "--usbredir");
    await using here = await Monitor.prepare();
    await using there = await Monitor.prepare();
    const socket = `unix:${there.file("migration")}`;
    await using source = await guestAt(service, here);
    await untilDriven(service, source);
    await source.run("gpioset -t 0 -c 0 1=0");
    await using target = await guestAt(service, there, {
      isRestored: true,
      arguments: ["-incoming", socket],
    });
    await until(
      "the other QEMU listens",
      async () => (await there.run("info status").catch(() => "")) !== "",
      60_000,
    );
    await here.run(`migrate -d ${socket}`);
    await until(
      "the guest has moved",
      async () => (await here.run("info migrate")).includes("completed"),
      60_000,
    );
    await until(
      "the guest goes on",
      async () => (await there.run("info status")).includes("running"),
      60_000,
    );
    // It is at gpioagg's socket until it ends.
    await here.run("quit").catch(() => {});
    await untilDriven(service, target);
  },
});
