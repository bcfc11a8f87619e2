/**
 * The plant of docs/guide.md, "Three VMs, two chips, one emergency stop": its
 * file, its command line of a VM and its commands are taken from the guide, and
 * the VMs are real ones.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import {
  runInGuest,
  type SerialResult,
} from "../environment/serial_session.ts";
import { until } from "../environment/wait.ts";
import { simChip } from "./gpio_sim.ts";
import { gpioagg } from "./kernel_chip_rig.ts";
import { shell, TOP } from "./shell.ts";
import { installUnits, properties, stopAtEnd, unitLog } from "./systemd_rig.ts";

const VMS = ["press", "crane", "oven"] as const;
type Vm = typeof VMS[number];

/** Three guests boot at a time, by translation, on one slow processor. */
const LIMIT_MS = 180_000;
const SAFE_LIMIT_MS = 120_000;

const API = "--api=/run/gpioagg-plant/api.sock";

/** Offsets on the first chip. */
const ESTOP = 2;
const FORWARD = 4;
const REVERSE = 5;
/** Offsets on the second. */
const HOIST = 0;
const HEATER = 1;

/** Returns the code blocks of the guide's section, in order. */
async function blocksOfGuide(): Promise<string[]> {
  const guide = await Deno.readTextFile(`${REPOSITORY}/docs/guide.md`);
  const [, section = ""] = guide.split("\n## Three VMs, two chips");
  const [own = ""] = section.split("\n## ");
  return [...own.matchAll(/^```\w*\n(.*?)^```$/gms)].map(([, text]) => text!);
}

/** Makes QEMU and a guest visible to those who may not look into a home. */
async function showQemu(): Promise<void> {
  const wrapper = await artefact("qemuNew");
  const folder = /"(\/[^"]*)\/root\/usr\/bin\/qemu-system-x86_64"/
    .exec(await Deno.readTextFile(wrapper))![1]!;
  await shell(`
    mkdir -p ${TOP}/qemu ${TOP}/guest
    mount --bind '${folder}' ${TOP}/qemu
    sed 's|${folder}|${TOP}/qemu|g' '${wrapper}' > /usr/bin/qemu-system-x86_64
    chmod 755 /usr/bin/qemu-system-x86_64
    cp '${await artefact("guestKernel")}' ${TOP}/guest/kernel
    cp '${await artefact("initramfs")}' ${TOP}/guest/initramfs
    chmod -R a+rX ${TOP}/guest
    groupadd -f kvm
    mkdir -p /etc/systemd/system/vm@.service.d
    cat > /etc/systemd/system/vm@.service.d/test.conf <<END
[Service]
Environment=PATH=${TOP}/bin:/usr/bin:/bin DENO_DIR=${TOP}/deno-cache
StandardOutput=append:/run/units.log
StandardError=append:/run/units.log
END
  `);
}

const consoleOf = (vm: Vm) => `/var/lib/vm/${vm}.console`;

const inVm = (vm: Vm, command: string): Promise<SerialResult> =>
  runInGuest(consoleOf(vm), command, LIMIT_MS);

/** Sets a line in a guest; false if the guest could not. */
const sets = async (vm: Vm, line: string) =>
  (await inVm(vm, `gpioset -t 0 ${line}`)).code === 0;

const reads = async (vm: Vm, line: string) =>
  (await inVm(vm, `gpioget --numeric ${line}`)).output.trim();

/** Process of a VM's QEMU. */
async function findQemu(vm: Vm): Promise<string> {
  const { ControlGroup } = await properties(`vm@${vm}`);
  return await shell(`
    for pid in $(cat /sys/fs/cgroup${ControlGroup}/cgroup.procs); do
      case $(cat /proc/$pid/cmdline | tr '\\0' ' ') in
        *root/usr/bin/qemu-system*) echo $pid; break;;
      esac
    done`);
}

async function becomes(chip: SimChip, offset: number, level: number) {
  await until(
    `line ${offset} of ${chip.name} is ${level}`,
    async () => await chip.level(offset) === level,
    SAFE_LIMIT_MS,
  );
}

Deno.test("the guide's plant: three VMs, two chips, one emergency stop", async (t) => {
  const [file, vmFile, commands] = await blocksOfGuide();
  await installUnits();
  await showQemu();
  await using chip = await simChip({
    lines: 8,
    label: "soc-gpio",
    names: { [ESTOP]: "ESTOP" },
  });
  await using usb = await simChip({ lines: 4, label: "usb-gpio" });
  await Deno.writeTextFile(
    "/etc/gpioagg/plant.yaml",
    file!.replaceAll("usb-serial: FT123", "label: usb-gpio")
      // Guests are slow here.
      .replaceAll(/safe-after: \d+s/g, "safe-after: 1h"),
  );
  for (const vm of VMS) {
    assertMatch(vmFile!, /^VMM=qemu-system-x86_64 .* \{qemu\}\n$/);
    const own = vmFile!.replace(
      /-accel kvm .*?,if=virtio /,
      "-accel tcg -M q35 -m 128 -nodefaults -display none " +
        `-kernel ${TOP}/guest/kernel -initrd ${TOP}/guest/initramfs ` +
        `-append no_timer_check -serial null ` +
        `-serial unix:${consoleOf(vm)},server=on,wait=off `,
    );
    await Deno.writeTextFile(`/etc/gpioagg/${vm}.vm`, own);
  }
  await using _end = stopAtEnd("gpioagg@plant");
  await shell(`
    cd '${REPOSITORY}'; PATH=${TOP}/bin:$PATH
    mkdir -p /etc/sysusers.d
    ${commands!}`);

  const step = async (name: string, action: () => Promise<void>) => {
    // What follows builds on it.
    if (!await t.step(name, action)) {
      throw new Error(`"${name}" failed; the units say:\n${await unitLog()}`);
    }
  };

  await step("all three guests see their lines", async () => {
    const names = { press: "FORWARD", crane: "PRESS_MOVES", oven: "HEATER" };
    for (const vm of VMS) {
      const { output } = await inVm(vm, "gpioinfo");
      assertMatch(output, /"ESTOP"/);
      assertMatch(output, new RegExp(`"${names[vm]}"`));
    }
    const list = await gpioagg("list", API);
    assertEquals(list.stdout.match(/VMM connected/g)?.length, 3, list.stderr);
  });

  await step("the emergency stop reaches all of them", async () => {
    for (const [way, level] of [["up", "1"], ["down", "0"]] as const) {
      await chip.pull(ESTOP, way);
      for (const vm of VMS) assertEquals(await reads(vm, "ESTOP"), level, vm);
    }
  });

  await step("interlocks hold across guests, whichever is first", async () => {
    assert(await sets("press", "FORWARD=1"));
    assertEquals(await reads("crane", "PRESS_MOVES"), "1");
    assert(!await sets("press", "REVERSE=1"));
    assert(!await sets("crane", "HOIST=1"));
    assertEquals([await chip.level(FORWARD), await chip.level(REVERSE)], [
      1,
      0,
    ]);
    assertEquals(await usb.level(HOIST), 0);
    assert(await sets("press", "FORWARD=0"));
    assert(await sets("crane", "HOIST=1"));
    assert(!await sets("press", "FORWARD=1"));
    assertEquals([await chip.level(FORWARD), await usb.level(HOIST)], [0, 1]);
  });

  await step("a VM that is killed is respawned, its outputs safe", async () => {
    assert(await sets("press", "REVERSE=1"));
    const pid = await findQemu("press");
    await shell(`kill -KILL ${pid}`);
    await becomes(chip, REVERSE, 0);
    assertEquals(await usb.level(HOIST), 1);
    assertEquals(await reads("press", "ESTOP"), "0");
    assert(await findQemu("press") !== pid);
  });

  await step("so is one whose guest reboots", async () => {
    assert(await sets("oven", "HEATER=1"));
    const pid = await findQemu("crane");
    await inVm("crane", "(sleep 1; reboot -f) >/dev/null 2>&1 &");
    await becomes(usb, HOIST, 0);
    await until(
      "another QEMU",
      async () => !["", pid].includes(await findQemu("crane")),
      LIMIT_MS,
    );
    assertEquals(await reads("crane", "PRESS_MOVES"), "0");
    assertEquals(await usb.level(HEATER), 1);
  });

  for (
    const [name, command] of [
      ["a restart of the service", "systemctl restart gpioagg@plant"],
      ["a crash", "systemctl kill --signal=SIGKILL gpioagg@plant"],
    ] as const
  ) {
    await step(`${name} brings the VMs back, their outputs safe`, async () => {
      assertEquals(await usb.level(HEATER), 1);
      const before = (await properties("gpioagg@plant")).MainPID;
      await shell(command);
      await until(
        "the outputs are safe",
        async () => await usb.level(HEATER) === 0,
        LIMIT_MS,
      );
      for (const vm of VMS) assertEquals(await reads(vm, "ESTOP"), "0", vm);
      assert((await properties("gpioagg@plant")).MainPID !== before);
      assert(await sets("oven", "HEATER=1"));
      assertEquals(await usb.level(HEATER), 1);
    });
  }

  await step(
    "systemctl restart vm@crane makes only its outputs safe",
    async () => {
      assert(await sets("oven", "HEATER=1"));
      assert(await sets("crane", "HOIST=1"));
      await shell("systemctl restart vm@crane");
      await becomes(usb, HOIST, 0);
      assertEquals(await usb.level(HEATER), 1);
    },
  );

  await step(
    "systemctl stop gpioagg@plant makes all outputs safe",
    async () => {
      await shell("systemctl stop gpioagg@plant");
      assertEquals([await usb.level(HEATER), await chip.level(FORWARD)], [
        0,
        0,
      ]);
      for (const vm of VMS) {
        assertEquals((await properties(`vm@${vm}`)).ActiveState, "inactive");
      }
    },
  );
});
