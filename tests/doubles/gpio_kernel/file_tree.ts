/**
 * Directory that stands for `/` in the GPIO kernel double: device files, sysfs
 * and `/proc/devices` of its chips.
 *
 * @module
 */
import type { ChipState } from "./state.ts";

/** Device number of chips here: that of a usual kernel's. */
export const MAJOR = 254;

/** Paths of what this machine's kernel may have, and the double's has not. */
const OURS = /gpio|vhci_hcd|\/bus\/usb\//;

/** The files, and the paths that lead to them. */
export class FileTree {
  /** Path of the directory. */
  readonly root: string;

  /** Uses a directory that {@linkcode FileTree.make} has made. */
  constructor(root: string) {
    this.root = root;
  }

  /** Makes a directory without chips. */
  static make(): FileTree {
    const root = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "gpio-" }));
    for (
      const path of [
        "dev",
        "proc",
        "sys/dev/char",
        "sys/devices",
        "sys/bus/gpio/devices",
      ]
    ) Deno.mkdirSync(`${root}/${path}`, { recursive: true });
    Deno.writeTextFileSync(
      `${root}/proc/devices`,
      `Character devices:\n  1 mem\n${MAJOR} gpiochip\n\nBlock devices:\n`,
    );
    return new FileTree(root);
  }

  /** Returns the path of a chip's device file. */
  findNode({ number }: ChipState): string {
    return `${this.root}/dev/gpiochip${number}`;
  }

  /**
   * Makes the device file and the directories of a chip.
   *
   * @param onMade Called with the device file before it is seen.
   */
  addChip(chip: ChipState, onMade: (node: string) => void): void {
    const name = `gpiochip${chip.number}`;
    const sys = `${this.root}/sys`;
    const directory = `${sys}/devices/${chip.device}/${name}`;
    Deno.mkdirSync(directory, { recursive: true });
    Deno.symlinkSync(`${sys}/bus/gpio`, `${directory}/subsystem`);
    Deno.writeTextFileSync(`${directory}/dev`, `${MAJOR}:${chip.number}\n`);
    Deno.symlinkSync(directory, `${sys}/bus/gpio/devices/${name}`);
    Deno.symlinkSync(directory, `${sys}/dev/char/${MAJOR}:${chip.number}`);
    // Complete before it is seen: /dev is under watch.
    const made = `${this.root}/made`;
    Deno.writeTextFileSync(made, "", { mode: 0o600 });
    onMade(made);
    Deno.renameSync(made, this.findNode(chip));
  }

  /** Removes them. */
  removeChip(chip: ChipState): void {
    const name = `gpiochip${chip.number}`;
    const sys = `${this.root}/sys`;
    Deno.removeSync(this.findNode(chip));
    Deno.removeSync(`${sys}/bus/gpio/devices/${name}`);
    Deno.removeSync(`${sys}/dev/char/${MAJOR}:${chip.number}`);
    Deno.removeSync(`${sys}/devices/${chip.device}/${name}`, {
      recursive: true,
    });
  }

  /** The real path for a path of the double's world. */
  mapped(path: string): string {
    const mapped = `${this.root}${path}`;
    if (/^\/(dev|sys)\/?$/.test(path) || path === "/proc/devices") {
      return mapped;
    }
    if (!/^\/(dev|sys)\//.test(path)) return path;
    const isOurs = OURS.test(path) || exists(mapped);
    return isOurs ? mapped : path;
  }

  /** The path of the double's world for a real path. */
  shown(path: string): string {
    return path.startsWith(`${this.root}/`)
      ? path.slice(this.root.length)
      : path;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Makes device files of the regular files among directory entries. */
export function showDevices(entries: Uint8Array, length: number): void {
  const view = new DataView(entries.buffer, entries.byteOffset);
  for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
    if (entries[at + 18] === 8) entries[at + 18] = 2;
  }
}
