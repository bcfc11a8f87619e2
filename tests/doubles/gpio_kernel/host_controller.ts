/**
 * The kernel's virtual USB host controller in the double: its attributes, and
 * GPIO adapters at its ports, which become chips.
 *
 * @module
 */
import { EBUSY, EINVAL } from "../../../ffi/errno.ts";
import { HOST_CONTROLLER } from "../../../src/usbip/host_controller.ts";
import type { GpioKernel } from "./kernel.ts";

const USB_DEVICES = "/sys/bus/usb/devices";
const HIDRAW = "/sys/class/hidraw";
/** States of a port. **Source**: Linux, `include/uapi/linux/usbip.h`. */
const [FREE, NOT_ASSIGNED, USED] = [4, 5, 6];

/** State and device of each port. */
type Ports = { state: number; busId: string }[];

/** Makes the controller, with ports that are free. */
export function addHostController(root: string, ports = 8): void {
  for (const path of [HOST_CONTROLLER, USB_DEVICES, HIDRAW]) {
    Deno.mkdirSync(`${root}${path}`, { recursive: true });
  }
  for (const name of ["attach", "detach"]) {
    Deno.writeTextFileSync(`${root}${HOST_CONTROLLER}/${name}`, "");
  }
  writePorts(
    root,
    Array.from({ length: ports }, () => ({ state: FREE, busId: "0-0" })),
  );
}

/** Does what is written to an attribute: 0 or an errno. */
export function writeHostController(
  kernel: GpioKernel,
  path: string,
  text: string,
): number {
  const number = parseInt(text, 10);
  const ports = readPorts(kernel.root);
  const port = ports[number];
  if (port === undefined) return EINVAL;
  if (path === `${HOST_CONTROLLER}/attach`) {
    if (port.state !== FREE) return EBUSY;
    // The device is asked for its descriptors first.
    port.state = NOT_ASSIGNED;
    writePorts(kernel.root, ports);
    return 0;
  }
  if (path !== `${HOST_CONTROLLER}/detach` || port.state === FREE) {
    return EINVAL;
  }
  detachAdapter(kernel, number);
  return 0;
}

/** Makes a chip of an adapter at the first free port. @returns The port. */
export function plugAdapter(
  kernel: GpioKernel,
  serial: string,
  lines: number,
  manufacturer = "gpioagg",
): number {
  const { root } = kernel;
  const ports = readPorts(root);
  const number = ports.findIndex(({ state }) => state === FREE);
  const busId = `1-${number + 1}`;
  kernel.addChip({
    lines,
    label: "cp2112_gpio",
    device: `usb/${busId}/${busId}:1.0`,
  });
  const device = `${root}/sys/devices/usb/${busId}`;
  for (const [name, text] of Object.entries({ serial, manufacturer })) {
    Deno.writeTextFileSync(`${device}/${name}`, `${text}\n`);
  }
  Deno.symlinkSync(device, `${root}${USB_DEVICES}/${busId}`);
  ports[number] = { state: USED, busId };
  writePorts(root, ports);
  return number;
}

/** Takes the adapter of a port away, if it has one. */
export function detachAdapter(kernel: GpioKernel, number: number): void {
  const ports = readPorts(kernel.root);
  const { state, busId } = ports[number]!;
  if (state === FREE) return;
  ports[number] = { state: FREE, busId: "0-0" };
  writePorts(kernel.root, ports);
  if (state !== USED) return;
  Deno.removeSync(`${kernel.root}${USB_DEVICES}/${busId}`);
  const chip = kernel.look().chips.findIndex(({ device, isPlugged }) =>
    isPlugged && device.startsWith(`usb/${busId}/`)
  );
  if (chip >= 0) kernel.unplug(chip);
}

/** Returns true if a port has an adapter. */
export function hasAdapter({ root }: GpioKernel, number: number): boolean {
  return readPorts(root)[number]!.state === USED;
}

function readPorts(root: string): Ports {
  const text = Deno.readTextFileSync(`${root}${HOST_CONTROLLER}/status`);
  return text.trimEnd().split("\n").slice(1).map((line) => {
    const [, , state, , , , busId] = line.split(/ +/);
    return { state: Number(state), busId: busId! };
  });
}

/** Writes it as a whole: it is read at any time. */
function writePorts(root: string, ports: Ports): void {
  const rows = ports.map(({ state, busId }, port) =>
    `hs  ${String(port).padStart(4, "0")} 00${state} 000 00000000 000000 ` +
    `${busId}\n`
  );
  const path = `${root}${HOST_CONTROLLER}/status`;
  Deno.writeTextFileSync(
    `${path}.new`,
    `hub port sta spd dev      sockfd local_busid\n${rows.join("")}`,
  );
  Deno.renameSync(`${path}.new`, path);
}
