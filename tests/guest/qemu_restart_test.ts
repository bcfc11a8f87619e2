/**
 * Restarts of gpioagg that neither QEMU nor its guest notices: the guest drives
 * and watches lines all the time, and no process of it sees an error. QEMU has
 * no `reconnect=`, which 9 and newer refuse.
 */
import { assert, assertEquals } from "@std/assert";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { replaceService } from "../environment/keeper_pair.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip(
  "qemuOld",
  "qemuNew",
  "guestKernel",
  "initramfs",
  "deno",
);

/** Restarts, some of which are crashes. */
const ENDS: readonly Deno.Signal[] = [
  ...Array.from({ length: rounds(50, 3) }, () => "SIGUSR2" as const),
  ...Array.from({ length: rounds(10, 2) }, () => "SIGKILL" as const),
];

/** A process of the guest that drives and reads lines without a rest. */
class Busy {
  readonly #guest: GuestSession;

  private constructor(guest: GuestSession) {
    this.#guest = guest;
  }

  static async start(guest: GuestSession): Promise<Busy> {
    await guest.run(`echo 0 >/tmp/count; (
      n=0
      while :; do
        gpioset -t 0 BUSY=1 && gpioset -t 0 BUSY=0 && gpioget FOLLOWS \\
          >/dev/null || echo failed >>/tmp/failures
        n=$((n+1)); echo $n >/tmp/count
      done
    ) >/dev/null 2>>/tmp/failures &`);
    return new Busy(guest);
  }

  /** Waits until it has gone on for some rounds. */
  async goesOn(): Promise<void> {
    const count = async () => Number(await this.#guest.run("cat /tmp/count"));
    const before = await count();
    await until("it goes on", async () => await count() > before + 2);
  }

  async failures(): Promise<string> {
    return await this.#guest.run("cat /tmp/failures 2>/dev/null || :");
  }
}

/**
 * Returns the words of the guest's kernel about its lines, but for the one that
 * each `gpioset` leaves there, restart or not.
 */
function complaints(guest: GuestSession): Promise<string> {
  return guest.run(
    "dmesg | grep -i 'gpio\\|virtio.*fail' | grep -v 'GPIO request failed' || :",
  );
}

for (const qemu of ["old", "new"] as const) {
  Deno.test({
    name: `QEMU guest (${qemu}): it notices no restart and no crash of gpioagg`,
    ignore,
    fn: async () => {
      await using manager = new ManagerDouble();
      const socket = `${manager.directory}/plc0.sock`;
      const args = [
        ...["--socket-path", socket, "--name=plc0"],
        "--line=sim/1,as=BUSY",
        "--line=wire/plc0.BUSY,as=FOLLOWS",
        "--line=sim/1,as=LAMP",
        "--line=wire/plc0.LAMP,as=SEES",
      ];
      await manager.start(args);
      await using guest = await bootQemuGuest({ qemu, sockets: [socket] });
      const busy = await Busy.start(guest);
      await busy.goesOn();
      const before = await complaints(guest);
      const hasInterrupts = qemu === "new";
      const monitor = hasInterrupts
        ? await EdgeMonitor.start(guest, "SEES")
        : undefined;
      const edges: string[] = [];
      /** The lamp is on, and off again: as edges, or else as levels. */
      const seesLamp = async (): Promise<void> => {
        for (const level of [1, 0]) {
          if (level === 0) await guest.run("gpioset -t 0 LAMP=0");
          if (monitor === undefined) {
            await until(
              "the lamp",
              async () =>
                await guest.run("gpioget --numeric SEES") === `${level}`,
            );
          } else {
            edges.push(level === 1 ? "rising" : "falling");
            assertEquals(await monitor.seen(edges.length), edges);
          }
        }
      };
      for (const signal of ENDS) {
        await manager.stop(signal);
        // Asked for while no process serves it.
        await guest.run("gpioset -t 0 LAMP=1 >/tmp/lamp 2>&1 &");
        await manager.start(args);
        await busy.goesOn();
        await seesLamp();
      }
      // With a spare from here on. A simulated line that is on would be off in
      // the next process.
      await manager.stop("SIGUSR2");
      await manager.start(["--standby", ...args]);
      let replaced: number | undefined;
      for (const signal of ENDS) {
        replaced = await replaceService(
          manager.pid,
          signal === "SIGKILL" ? signal : "SIGUSR1",
          replaced,
        );
        await busy.goesOn();
        await guest.run("gpioset -t 0 LAMP=1");
        await seesLamp();
      }
      assertEquals(await busy.failures(), "");
      assertEquals(await guest.run("cat /tmp/lamp"), "");
      assertEquals(await complaints(guest), before);
      assert(!manager.log.includes("disconnected"), manager.log);
    },
  });
}
