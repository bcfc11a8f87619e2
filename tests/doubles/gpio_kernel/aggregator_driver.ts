/**
 * The kernel's gpio-aggregator in the double: its sysfs interface, as far as
 * making and removing chips goes. Values are not passed on.
 *
 * @module
 */
import { EINVAL, ENOENT } from "../../../ffi/errno.ts";
import type { GpioKernel } from "./kernel.ts";

const DRIVER = "/sys/bus/platform/drivers/gpio-aggregator";
const DEVICES = "/sys/bus/platform/devices";

/** Makes the driver's files. */
export function addDriver(root: string): void {
  Deno.mkdirSync(`${root}${DRIVER}`, { recursive: true });
  Deno.mkdirSync(`${root}${DEVICES}`, { recursive: true });
  for (const name of ["new_device", "delete_device"]) {
    Deno.writeTextFileSync(`${root}${DRIVER}/${name}`, "");
  }
}

/** Does what is written to an attribute: 0 or an errno. */
export function writeDriver(
  kernel: GpioKernel,
  path: string,
  text: string,
): number {
  if (path === `${DRIVER}/new_device`) return make(kernel, text);
  if (path === `${DRIVER}/delete_device`) return remove(kernel, text);
  return EINVAL;
}

/** Reads `LABEL OFFSETS...`: the lines, by the index of their chip. */
function parseLines(
  kernel: GpioKernel,
  text: string,
): { chip: number; offset: number }[] {
  const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)]
    .map(([, quoted, plain]) => quoted ?? plain!);
  const { chips } = kernel.look();
  const lines: { chip: number; offset: number }[] = [];
  for (let i = 0; i < words.length; i += 2) {
    const chip = chips.findIndex(({ label, isPlugged }) =>
      isPlugged && label === words[i]
    );
    for (const range of words[i + 1]!.split(",")) {
      const [first = 0, last = first] = range.split("-").map(Number);
      for (let offset = first; offset <= last; offset++) {
        lines.push({ chip, offset });
      }
    }
  }
  return lines;
}

function make(kernel: GpioKernel, text: string): number {
  const lines = parseLines(kernel, text);
  let number = 0;
  const directory = (name: string) => `${kernel.root}${DEVICES}/${name}`;
  const devices = [...Deno.readDirSync(`${kernel.root}${DEVICES}`)]
    .map(({ name }) => name);
  while (devices.includes(`gpio-aggregator.${number}`)) number++;
  const device = `gpio-aggregator.${number}`;
  const real = `${kernel.root}/sys/devices/platform/${device}`;
  Deno.mkdirSync(real, { recursive: true });
  Deno.symlinkSync(real, directory(device));
  const isFree = kernel.change(({ chips }) => {
    const wanted = lines.map(({ chip, offset }) => chips[chip]?.lines[offset]);
    if (wanted.some((line) => !line || line.hog !== "" || line.holder !== "")) {
      return false;
    }
    for (const line of wanted) line!.hog = device;
    return true;
  });
  // The kernel does not say that a device is not bound.
  if (!isFree) return 0;
  kernel.addChip({
    lines: lines.length,
    label: device,
    device: `platform/${device}`,
  });
  Deno.symlinkSync(`${kernel.root}${DRIVER}`, `${real}/driver`);
  return 0;
}

function remove(kernel: GpioKernel, device: string): number {
  const link = `${kernel.root}${DEVICES}/${device}`;
  try {
    Deno.removeSync(link);
  } catch {
    return ENOENT;
  }
  const { chips } = kernel.look();
  const chip = chips.findIndex(({ label, isPlugged }) =>
    isPlugged && label === device
  );
  if (chip >= 0) kernel.unplug(chip);
  kernel.change(({ chips }) => {
    for (const { lines } of chips) {
      for (const line of lines) if (line.hog === device) line.hog = "";
    }
  });
  Deno.removeSync(`${kernel.root}/sys/devices/platform/${device}`, {
    recursive: true,
  });
  return 0;
}
