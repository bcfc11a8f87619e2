import { assertEquals } from "@std/assert";
import { deviceProperties } from "./device_properties.ts";

/** Makes a sysfs with one chip: where its device is, and files beside. */
function withSysfs(
  device: string,
  files: Readonly<Record<string, string>>,
  action: (sysfs: string) => void,
): void {
  const sysfs = Deno.makeTempDirSync();
  try {
    const make = (path: string) =>
      Deno.mkdirSync(`${sysfs}/${path}`, { recursive: true });
    make(`devices/${device}/gpiochip3`);
    make("dev/char");
    Deno.symlinkSync(
      `../../devices/${device}/gpiochip3`,
      `${sysfs}/dev/char/${NUMBER}`,
    );
    for (const [path, text] of Object.entries(files)) {
      make(path.slice(0, path.lastIndexOf("/")));
      if (text.startsWith("-> ")) {
        make(text.slice(3));
        Deno.symlinkSync(`${sysfs}/${text.slice(3)}`, `${sysfs}/${path}`);
      } else Deno.writeTextFileSync(`${sysfs}/${path}`, text);
    }
    action(sysfs);
  } finally {
    Deno.removeSync(sysfs, { recursive: true });
  }
}

/** The name of a device file says nothing: this chip is gpiochip3. */
const CHIP = "/dev/gpiochip0";
const NUMBER = "254:3";

Deno.test("deviceProperties() finds the serial number of a USB device", () => {
  const port = "pci0000:00/0000:00:14.0/usb1/1-2";
  withSysfs(`${port}/1-2:1.0`, {
    [`devices/${port}/idVendor`]: "0403\n",
    [`devices/${port}/serial`]: "FT123456\n",
    "devices/pci0000:00/0000:00:14.0/usb1/idVendor": "1d6b\n",
    "devices/pci0000:00/0000:00:14.0/usb1/serial": "0000:00:14.0\n",
  }, (sysfs) => {
    assertEquals(deviceProperties(CHIP, NUMBER, sysfs), {
      path: CHIP,
      device: `/devices/${port}/1-2:1.0`,
      usbSerial: "FT123456",
      i2c: undefined,
      deviceTree: undefined,
    });
  });
});

Deno.test("deviceProperties() does not take the hub's serial number for a device's", () => {
  const port = "pci0000:00/0000:00:14.0/usb1/1-2";
  withSysfs(`${port}/1-2:1.0`, {
    [`devices/${port}/idVendor`]: "0403\n",
    "devices/pci0000:00/0000:00:14.0/usb1/idVendor": "1d6b\n",
    "devices/pci0000:00/0000:00:14.0/usb1/serial": "0000:00:14.0\n",
  }, (sysfs) => {
    assertEquals(deviceProperties(CHIP, NUMBER, sysfs).usbSerial, undefined);
  });
});

Deno.test("deviceProperties() finds an I2C address, behind a mux too", () => {
  withSysfs("platform/soc/i2c-1/1-0070/channel-2/i2c-7/7-0020", {}, (sysfs) => {
    assertEquals(deviceProperties(CHIP, NUMBER, sysfs).i2c, "7-0020");
  });
});

Deno.test("deviceProperties() finds the node in the device tree", () => {
  const device = "platform/fe200000.gpio";
  withSysfs(device, {
    [`devices/${device}/of_node`]: "-> firmware/devicetree/base/soc/gpio@1",
  }, (sysfs) => {
    const properties = deviceProperties(CHIP, NUMBER, sysfs);
    assertEquals(properties.deviceTree, "/soc/gpio@1");
    assertEquals(properties.device, `/devices/${device}`);
  });
});

Deno.test("deviceProperties() knows nothing where there is no sysfs", () => {
  assertEquals(
    deviceProperties(CHIP, NUMBER, "/nonexistent").device,
    undefined,
  );
});
