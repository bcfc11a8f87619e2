/**
 * A PCI card for Debian's own kernels, which have no virtio-gpio.
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import {
  ConfigService,
  type ServiceLine,
} from "../environment/config_service.ts";
import { artefact, mustSkip, REPOSITORY } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { ChildProcess } from "../environment/process.ts";
import {
  bootQemuGuest,
  type QemuGuestOptions,
} from "../environment/qemu_guest.ts";
import { Monitor } from "../environment/qemu_monitor.ts";
import {
  listOpenFiles,
  type OpenFiles,
  untilNoneIsLeft,
} from "../environment/open_files.ts";
import { rounds } from "../environment/rounds.ts";
import { Service } from "../environment/service.ts";
import { linesAt, pullLines } from "../environment/served_lines.ts";
import {
  snapshotDisk,
  writeSnapshotDisk,
} from "../environment/snapshot_disk.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip(
  "deno",
  "qemuNewest",
  "stockBookworm",
  "stockTrixie",
);

/** A look at the card is taken each 30 s. */
const LIMIT_MS = 180_000;

/** The chip that has the first 16 lines. */
const CHIP = "gpiochip2";

function boot(
  kernel: "bookworm" | "trixie",
  sockets: readonly string[],
  more: Pick<QemuGuestOptions, "arguments" | "isRestored"> = {},
): Promise<GuestSession> {
  return bootQemuGuest({
    qemu: "newest",
    kernel,
    memoryMiB: 256,
    ...more,
    arguments: [
      ...sockets.flatMap((path) => [
        "-device",
        JSON.stringify({
          driver: "vfio-user-pci",
          socket: { type: "unix", path },
        }),
      ]),
      ...more.arguments ?? [],
    ],
  });
}

function isWithoutAddress({ detail = "" }: ServiceLine): boolean {
  return detail.includes("has not given the card an address");
}

/**
 * Waits until gpioagg has what the guest has written so far: QEMU does not wait
 * for an answer to a write, but to a read that follows. Line 15 is none of the
 * tests'.
 */
async function written(guest: GuestSession): Promise<void> {
  await guest.run(`gpioget --numeric -c ${CHIP} 15`);
}

/** Starts `gpiomon` for a line of the guest. */
async function monitor(guest: GuestSession, offset: number): Promise<void> {
  await guest.run(
    `: >/tmp/events; gpiomon --banner -F 'event %E' -c ${CHIP} ${offset} >/tmp/events 2>&1 &`,
  );
  await until(
    "gpiomon is ready",
    async () => (await guest.run("cat /tmp/events")).includes("Monitoring"),
  );
  await written(guest);
}

/** Waits until `gpiomon` in the guest has written so many events. */
async function events(guest: GuestSession, count: number): Promise<string[]> {
  let lines: string[] = [];
  await until(`${count} events`, async () => {
    const text = await guest.run("cat /tmp/events");
    lines = text.split("\n").filter((line) => line.startsWith("event"));
    return lines.length >= count;
  });
  return lines.map((line) => line.split(" ")[1]!);
}

for (const kernel of ["bookworm", "trixie"] as const) {
  Deno.test({
    name: `Debian ${kernel}: a PCI card's lines are read, driven and monitored`,
    ignore,
    fn: async () => {
      await using service = await Service.start({
        plc0: ["sim/16,min-interval=1us"],
      }, "--vfio-user");
      await using guest = await boot(kernel, [service.socket("plc0")]);
      assertStringIncludes(
        await guest.run("gpiodetect"),
        `${CHIP} [0000:00:01.0] (16 lines)`,
      );
      await guest.run(`gpioset -t 0 -c ${CHIP} 3=1 9=0`);
      await written(guest);
      const lines = await service.lines("plc0");
      assertEquals([lines["sim3"]?.value, lines["sim9"]?.value], [1, 0]);
      await service.pull("plc0", "sim5=1");
      assertEquals(await guest.run(`gpioget --numeric -c ${CHIP} 4 5`), "0 1");

      await monitor(guest, 12);
      const expected: string[] = [];
      for (const level of [1, 0, 1, 0]) {
        await service.pull("plc0", `sim12=${level}`);
        expected.push(level === 1 ? "rising" : "falling");
        assertEquals(await events(guest, expected.length), expected);
      }
    },
  });
}

Deno.test({
  name:
    "a PCI card of a process of its own has 109 lines; a restored one is told",
  ignore,
  fn: async () => {
    await using service = await ConfigService.start((directory) => `
aggregators:
  plc0:
    isolate: process
    vfio-user: ${directory}/plc0.sock
    lines:
      - { sim: 109 }
`);
    await using hmp = await Monitor.prepare();
    const disk = hmp.file("disk");
    await writeSnapshotDisk(disk);
    const start = (
      more: Pick<QemuGuestOptions, "isRestored">,
      ...args: string[]
    ) =>
      boot("trixie", [service.socket("plc0")], {
        ...more,
        arguments: [...hmp.arguments, ...snapshotDisk(disk), ...args],
      });
    const value = async (lineNumber: number) =>
      (await linesAt(service.socket("plc0")))[lineNumber]?.value;
    {
      await using guest = await start({});
      const sizes = (await guest.run("gpiodetect")).match(/\d+(?= lines)/g);
      assertEquals(
        sizes?.map(Number),
        [6, 12, 16, 16, 15, 16, 16, 12],
      );
      // The last lines are on the smallest chip.
      await service.pull("plc0", "sim108=1");
      assertEquals(await guest.run("gpioget --numeric -c gpiochip0 5"), "1");
      await guest.run("gpioset -t 0 -c gpiochip0 0=1");
      await until("the output", async () => await value(103) === 1);

      // QEMU refuses no snapshot of a machine with a card, and the card of the
      // machine that goes on with it has no addresses.
      await guest.run("while :; do :; done >/dev/null 2>&1 &");
      assertEquals(/error/i.test(await hmp.run("savevm booted")), false);
      guest.process.kill("SIGKILL");
    }
    await using _restored = await start(
      { isRestored: true },
      ...["-loadvm", "booted"],
    );
    await until(
      "the card without addresses is told",
      () => service.said("fault").some(isWithoutAddress),
      LIMIT_MS,
    );
  },
});

Deno.test({
  name: "a guest that reboots, and a QEMU that is killed, leave safe lines",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      { plc0: ["sim/2,safe=0"] },
      "--vfio-user",
    );
    const level = async () => (await service.lines("plc0"))["sim0"]?.value;
    const { pid } = service.process;
    let before: OpenFiles | undefined;
    for (let i = 0; i <= rounds(5, 1); i++) {
      await using guest = await boot("trixie", [service.socket("plc0")]);
      await guest.run(`gpioset -z -c ${CHIP} 0=1`);
      await until("the output", async () => await level() === 1);
      await monitor(guest, 1);
      await service.pull("plc0", `sim1=${1 - i % 2}`);
      assertEquals(await events(guest, 1), [
        i % 2 === 0 ? "rising" : "falling",
      ]);
      if (i === 0) await guest.sendLast("echo b >/proc/sysrq-trigger");
      else guest.process.kill("SIGKILL");
      await until("the line is safe", async () => await level() === 0);
      before ??= listOpenFiles(pid);
    }
    await untilNoneIsLeft(pid, before!);
  },
});

Deno.test({
  // A driver that goes writes nothing to its card: a real one keeps its outputs
  // too. (No kernel here has virtio-gpio's driver as a module: of its removal
  // the test of guests that are gone tells.)
  name: "a card whose driver is unloaded and loaded again works as before",
  ignore,
  fn: async () => {
    await using service = await Service.start(
      { plc0: ["sim/16,safe=0"] },
      "--vfio-user",
    );
    await using guest = await boot("trixie", [service.socket("plc0")]);
    const level = async () => (await service.lines("plc0"))["sim0"]?.value;
    await guest.run(`gpioset -z -c ${CHIP} 0=1`);
    await written(guest);
    // A chip with a line in use keeps its driver.
    assertEquals((await guest.exec("rmmod gpio_ml_ioh")).code === 0, false);
    await guest.run("killall gpioset");
    for (let round = 0; round < 2; round++) {
      await guest.run("rmmod gpio_ml_ioh");
      assertEquals(
        (await guest.run("gpiodetect")).includes("0000:00:01"),
        false,
      );
      assertEquals(await level(), 1);
      await guest.run("insmod /lib/modules/gpio_ml_ioh.ko");
      assertStringIncludes(
        await guest.run("gpiodetect"),
        `${CHIP} [0000:00:01.0] (16 lines)`,
      );
      await service.pull("plc0", `sim5=${1 - round}`);
      assertEquals(
        await guest.run(`gpioget --numeric -c ${CHIP} 5`),
        `${1 - round}`,
      );
      for (const value of [0, 1]) {
        await guest.run(`gpioset -t 0 -c ${CHIP} 0=${value}`);
        await until(
          `the line is ${value}`,
          async () => await level() === value,
        );
      }
    }
    await guest.sendLast("echo b >/proc/sysrq-trigger");
    await until("the line is safe", async () => await level() === 0);
  },
});

Deno.test({
  name: "gpioagg run gives QEMU a card, in a private directory",
  ignore,
  fn: async () => {
    await using run = new ChildProcess({
      command: await artefact("deno"),
      args: [
        "run",
        "-q",
        "-P=gpioagg",
        "src/cli/main.ts",
        "run",
        "--line",
        "sim/4",
        "--",
        await artefact("qemuNewest"),
        "-M",
        "q35,accel=tcg",
        "-nodefaults",
        "-display",
        "none",
        "-monitor",
        "stdio",
        "-S",
        "{vfio-user}",
      ],
      cwd: REPOSITORY,
      input: true,
    });
    await run.waitFor("(qemu)", { timeoutMs: 120_000 });
    await run.write("info pci\n");
    await run.waitFor("10db:802e", { timeoutMs: 120_000 });
    await run.write("quit\n");
    assertEquals((await run.waitForExit()).code, 0);
  },
});

Deno.test({
  name: "a guest does not notice restarts, nor that gpioagg is killed",
  ignore,
  fn: async () => {
    await using manager = new ManagerDouble();
    const socket = `${manager.directory}/plc0.sock`;
    const start = () =>
      manager.start(["--vfio-user", socket, "--line", "sim/2,safe=0"]);
    await start();
    await using guest = await boot("trixie", [socket]);
    await monitor(guest, 1);
    const expected: string[] = [];
    for (const signal of ["SIGUSR2", "SIGKILL", "SIGKILL"] as const) {
      await guest.run(`gpioset -t 0 -c ${CHIP} 0=1`);
      await manager.stop(signal);
      await start();
      // Its latch drives the line again.
      await until(
        "the output",
        async () => (await linesAt(socket))[0]!.value === 1,
      );
      for (const level of [1, 0]) {
        await pullLines(socket, [`sim1=${level}`]);
        expected.push(level === 1 ? "rising" : "falling");
        assertEquals(await events(guest, expected.length), expected);
      }
    }
    await manager.stop("SIGTERM");
    assertEquals(manager.stored("session."), []);
  },
});
