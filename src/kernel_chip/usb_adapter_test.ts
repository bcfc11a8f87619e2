import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { GpioKernel } from "../../tests/doubles/gpio_kernel/kernel.ts";
import { redirectFiles } from "../../tests/doubles/redirected_files.ts";
import { ConfigError } from "../config/document/config_error.ts";
import { MAX_USB_LINES } from "../config/specification.ts";
import { Chip } from "../gpio/chip.ts";
import { HOST_CONTROLLER } from "../usbip/host_controller.ts";
import {
  adapterChips,
  type AttachedAdapter,
  chooseModel,
  detachAdapters,
  findUsbProblem,
  HOST_KERNEL,
} from "./usb_adapter.ts";

const RECORD = { id: "plc0.0123456789abcdef", adapters: 2, ports: [0, 30] };

Deno.test("only the adapters of a record are detached, whatever the record says", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const row = (port: string, busId: string) =>
      `hub port sta spd dev sockfd local_busid\nhs ${port} 006 3 0 7 ${busId}\n`;
    await Deno.writeTextFile(`${directory}/status`, row("0000", "1-1"));
    await Deno.writeTextFile(`${directory}/status.1`, row("0030", "3-1"));
    await Deno.writeTextFile(`${directory}/detach`, "");
    for (const [busId, serial] of [["1-1", "keyboard"], ["3-1", "other"]]) {
      await Deno.mkdir(`${directory}/${busId}`);
      await Deno.writeTextFile(`${directory}/${busId}/serial`, `${serial}\n`);
    }
    const detached = () => Deno.readTextFile(`${directory}/detach`);
    detachAdapters(RECORD, directory, directory);
    assertEquals(await detached(), "");
    await Deno.writeTextFile(`${directory}/3-1/serial`, `${RECORD.id}.1\n`);
    detachAdapters(RECORD, directory, directory);
    assertEquals(await detached(), "30");
    // The ports may be free, and the controllers unloaded.
    detachAdapters({ ...RECORD, ports: [1, 2] }, directory, directory);
    detachAdapters(RECORD, `${directory}/none`, directory);
    assertEquals(await detached(), "30");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a chip is there once all its adapters are chips", () => {
  const chips = new Map([[0, "gpiochip1"]]);
  const kernel = {
    chips: (adapters: readonly AttachedAdapter[]) =>
      adapters.flatMap(({ port }) => {
        const name = chips.get(port);
        return name === undefined ? [] : { name, path: `/dev/${name}` };
      }),
  };
  assertEquals(adapterChips(RECORD, kernel), undefined);
  chips.set(30, "gpiochip2");
  assertEquals(
    adapterChips(RECORD, kernel)?.map(({ name }) => name),
    ["gpiochip1", "gpiochip2"],
  );
  assertEquals(adapterChips({ id: RECORD.id }, kernel), undefined);
});

/**
 * A kernel with virtual USB hubs. The port of each device of `devices` is its
 * number; a free port has none.
 */
function hubs(kernel: GpioKernel, devices: readonly string[]): void {
  const controller = `${kernel.root}${HOST_CONTROLLER}`;
  Deno.mkdirSync(controller, { recursive: true });
  Deno.mkdirSync(`${kernel.root}/sys/bus/usb/devices`, { recursive: true });
  Deno.mkdirSync(`${kernel.root}/sys/class/hidraw`, { recursive: true });
  Deno.writeTextFileSync(`${controller}/attach`, "");
  const rows = devices.map((busId, port) =>
    `hs ${port} ${busId === "" ? "004 0 0 0 0-0" : `006 3 0 7 ${busId}`}`
  );
  Deno.writeTextFileSync(
    `${controller}/status`,
    ["hub port sta spd dev sockfd local_busid", ...rows, ""].join("\n"),
  );
}

/** Gives a USB device attributes; its directory. */
function usbDevice(
  kernel: GpioKernel,
  busId: string,
  attributes: Readonly<Record<string, string>>,
): string {
  const path = `${HOST_CONTROLLER.slice("/sys/devices/".length)}/${busId}`;
  const directory = `${kernel.root}/sys/devices/${path}`;
  Deno.mkdirSync(directory, { recursive: true });
  Deno.symlinkSync(directory, `${kernel.root}/sys/bus/usb/devices/${busId}`);
  for (const [name, value] of Object.entries(attributes)) {
    Deno.writeTextFileSync(`${directory}/${name}`, `${value}\n`);
  }
  return path;
}

Deno.test("the chips of adapters are those below the devices at their ports", () => {
  using kernel = GpioKernel.install();
  kernel.addChip({ lines: 4, label: "soc" });
  hubs(kernel, ["1-1", "", "1-3", "1-4"]);
  const adapter = (busId: string, serial: string) => {
    const device = usbDevice(kernel, busId, { serial });
    return kernel.addChip({
      lines: 8,
      label: "cp2112_gpio",
      device: `${device}/${busId}:1.0/0003:10C4:EA90.0001`,
    });
  };
  adapter("1-1", "plc0.1");
  adapter("1-3", "plc0");
  // No chip yet.
  usbDevice(kernel, "1-4", { serial: "plc0.2" });
  const first = { port: 2, serial: "plc0" };
  const second = { port: 0, serial: "plc0.1" };
  assertEquals(HOST_KERNEL.chips([first, second]), [
    { name: "gpiochip2", path: "/dev/gpiochip2" },
    { name: "gpiochip1", path: "/dev/gpiochip1" },
  ]);
  for (
    const missing of [
      { port: 0, serial: "plc0" },
      { port: 1, serial: "plc0" },
      { port: 3, serial: "plc0.2" },
      { port: 9, serial: "plc0.3" },
    ]
  ) assertEquals(HOST_KERNEL.chips([first, missing]), []);
});

Deno.test("a chip is used while a program holds one of its lines", () => {
  using kernel = GpioKernel.install();
  const chip = kernel.addChip({ lines: 2, label: "cp2112_gpio" });
  const path = "/dev/gpiochip0";
  assertEquals([HOST_KERNEL.readLabel(path), HOST_KERNEL.isUsed(path)], [
    "cp2112_gpio",
    false,
  ]);
  {
    using opened = Chip.open(path);
    using _request = opened.requestLines({ lines: [{ offset: 1 }] });
    assertEquals(HOST_KERNEL.isUsed(path), true);
  }
  assertEquals(HOST_KERNEL.isUsed(path), false);
  chip.unplug();
  assertEquals(HOST_KERNEL.isUsed(path), false);
});

Deno.test("an old kernel forgets who holds lines of a chip that goes", () => {
  const file = Deno.makeTempFileSync();
  using _files = redirectFiles({
    files: { "/proc/sys/kernel/osrelease": file },
  });
  try {
    for (
      const [release, forgets] of [
        ["6.1.0-40-amd64", true],
        ["5.10.0", true],
        ["6.12.48+deb13-amd64", false],
        ["7.2.0", false],
      ] as const
    ) {
      Deno.writeTextFileSync(file, `${release}\n`);
      assertEquals(HOST_KERNEL.forgetsHolders(), forgets, release);
    }
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("a kernel without virtual USB hubs takes no adapter", () => {
  using kernel = GpioKernel.install();
  const message = assertThrows(() => HOST_KERNEL.chooseModel(8), Error).message;
  assertEquals([message, findUsbProblem()], [message, message]);
  assertMatch(message, /modprobe vhci-hcd/);
  hubs(kernel, []);
  assertEquals(findUsbProblem(), undefined);
});

Deno.test("an LJCA is chosen where the kernel has its driver and no other LJCA", () => {
  using kernel = GpioKernel.install();
  hubs(kernel, []);
  Deno.mkdirSync(`${kernel.root}/sys/module/gpio_ljca`, { recursive: true });
  assertEquals(chooseModel(8), "ljca");
  assertEquals(chooseModel(8, "cp2112"), "cp2112");
  // A device of the same vendor, and one that shows nothing.
  usbDevice(kernel, "1-1", { idVendor: "8086", idProduct: "0001" });
  usbDevice(kernel, "usb1", {});
  assertEquals(chooseModel(8), "ljca");
  usbDevice(kernel, "1-2", { idVendor: "8086", idProduct: "0b63" });
  assertEquals(chooseModel(8), "cp2112");
  assertThrows(() => chooseModel(8, "ljca"), Error, "use cp2112");
});

Deno.test("as many CP2112 are taken as leave hidraw devices to others", () => {
  using kernel = GpioKernel.install();
  hubs(kernel, []);
  const add = (count: number) => {
    for (let i = 0; i < count; i++) {
      Deno.mkdirSync(`${kernel.root}/sys/class/hidraw/hidraw${added++}`);
    }
  };
  let added = 0;
  // Of 64, 8 are left; 17 lines take 3.
  add(53);
  assertEquals(chooseModel(17, "cp2112"), "cp2112");
  add(1);
  assertThrows(() => chooseModel(17, "cp2112"), Error, "hidraw");
  assertEquals(chooseModel(16, "cp2112"), "cp2112");
});

Deno.test("more lines than the adapters have are refused with what to do", () => {
  using kernel = GpioKernel.install();
  hubs(kernel, []);
  assertEquals(chooseModel(MAX_USB_LINES, "ljca"), "ljca");
  const error = assertThrows(
    () => chooseModel(MAX_USB_LINES + 1, "ljca"),
    ConfigError,
    `${MAX_USB_LINES + 1} lines`,
  );
  assertMatch(error.hint ?? "", /several kernel chips/);
});
