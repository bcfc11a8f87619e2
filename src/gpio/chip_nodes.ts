/**
 * Device files of GPIO chips, and which chip each of them is.
 *
 * A device file may have any name: a container maps `/dev/gpiochip1` to
 * `/dev/gpiochip0`, an administrator makes `/dev/plc-io`. The chip behind it is
 * that of the device number, under `/sys/dev/char/MAJOR:MINOR`.
 *
 * @module
 */
import { readSmallFile, realPath } from "../../ffi/files.ts";
import { listEntries } from "../../ffi/directory_entries.ts";
import {
  characterDevice,
  type FileKind,
  fileStatus,
} from "../../ffi/file_status.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { describe } from "../text/arguments.ts";
import { baseName, whyNotChip } from "./device_file.ts";
import { AmbiguousError } from "./errors.ts";

/** The device file of a chip. */
interface ChipNode {
  /** Its path, which is not a link. */
  readonly path: string;
  /** Its device number: `254:0`. */
  readonly device: string;
  /** The kernel's name for the chip: `gpiochip0`; undefined without sysfs. */
  readonly kernelName: string | undefined;
}

/**
 * Returns the path of a chip's device file, by its number, name or path.
 *
 * @throws {TypeError} If it is given by something else.
 */
export function chipPath(chip: string | number): string {
  const isNumber = typeof chip === "number" && Number.isInteger(chip) &&
    chip >= 0;
  if (!isNumber && (typeof chip !== "string" || chip === "")) {
    throw new TypeError(
      `A chip is given by its number, name or path, not by ${describe(chip)}`,
    );
  }
  if (typeof chip === "number" || /^\d+$/.test(chip)) {
    return `/dev/gpiochip${chip}`;
  }
  return chip.includes("/") ? chip : `/dev/${chip}`;
}

/**
 * Directories under `/dev` without chips: other file systems, and links by
 * number.
 */
const OTHER_DIRECTORIES: ReadonlySet<string> = new Set([
  "block",
  "char",
  "fd",
  "hugepages",
  "mqueue",
  "pts",
  "shm",
]);
const MAX_DEPTH = 4;
/** Bounds the work where `/dev` is full of files. */
const MAX_ENTRIES = 20_000;

const NUMBERED_NAME = /^gpiochip\d+$/;

/**
 * Returns the device number of a character device, links followed: `254:0`;
 * undefined for other files and where there is none.
 *
 * @throws {OsError} EACCES, ELOOP, …
 */
export function deviceNumber(path: string): string | undefined {
  const device = characterDevice(path);
  return device && `${device.major}:${device.minor}`;
}

/**
 * Returns the directory of a chip in sysfs, links followed; undefined where
 * sysfs does not show it.
 *
 * @param device The chip's device number.
 * @param sysfs Mount point of sysfs.
 */
export function chipDirectory(
  device: string,
  sysfs = "/sys",
): string | undefined {
  return realPath(`${sysfs}/dev/char/${device}`);
}

/**
 * Returns the kernel's name for the chip behind a device file; without sysfs,
 * the name of the file.
 *
 * @throws {OsError} If the file may not be looked at.
 */
export function kernelNameAt(path: string): string {
  const device = deviceNumber(path);
  const directory = device === undefined ? undefined : chipDirectory(device);
  return baseName(directory ?? realPath(path) ?? path);
}

/** A file below `/dev`. */
interface DevFile {
  readonly path: string;
  readonly kind: FileKind;
}

/**
 * Visits the files below a directory; links and other file systems are not
 * entered.
 */
function* filesBelow(
  directory: string,
  budget: { left: number },
  depth = 1,
): Generator<DevFile, void> {
  const directories: string[] = [];
  for (const entry of listEntries(directory)) {
    if (budget.left-- <= 0) return;
    const path = `${directory}/${entry.name}`;
    const kind = entry.kind ?? fileStatus(path, { followLinks: false })?.kind;
    if (kind === undefined) continue;
    if (kind !== "directory") yield { path, kind };
    else if (depth > 1 || !OTHER_DIRECTORIES.has(entry.name)) {
      directories.push(path);
    }
  }
  if (depth >= MAX_DEPTH) return;
  for (const path of directories) {
    try {
      yield* filesBelow(path, budget, depth + 1);
    } catch (error) {
      // Private directories, and those that vanish meanwhile.
      if (!isOsError(error, "EACCES", "EPERM", "ENOENT", "ENOTDIR")) {
        throw error;
      }
    }
  }
}

/** Major numbers of GPIO chips; undefined without procfs. */
function chipMajors(): ReadonlySet<number> | undefined {
  const text = readSmallFile("/proc/devices");
  if (text === undefined) return undefined;
  const [characterDevices = ""] = text.split("Block devices:");
  return new Set(
    [...characterDevices.matchAll(/^\s*(\d+) gpiochip$/gm)].map(([, major]) =>
      Number(major)
    ),
  );
}

/**
 * Lists this machine's chips by their device files below `/dev`, in natural
 * order (2 before 10). A chip with several device files comes once, by the one
 * that has the kernel's name where there is one.
 *
 * @throws {OsError} If `/dev` cannot be read.
 *
 * **Blocking**: reads `/dev`; opens no chip.
 */
export function listChipNodes(): ChipNode[] {
  const majors = chipMajors();
  if (majors?.size === 0) return [];
  const byDevice = new Map<string, ChipNode>();
  const nodes: ChipNode[] = [];
  for (const { path, kind } of filesBelow("/dev", { left: MAX_ENTRIES })) {
    if (kind !== "character device") continue;
    const node = chipNodeAt(path, majors);
    if (node !== undefined) nodes.push(node);
  }
  nodes.sort((a, b) => comparePaths(a.path, b.path));
  for (const node of nodes) {
    const known = byDevice.get(node.device);
    if (known === undefined || isKernelNamed(node) && !isKernelNamed(known)) {
      byDevice.set(node.device, node);
    }
  }
  return nodes.filter((node) => byDevice.get(node.device) === node);
}

function isKernelNamed({ path, kernelName }: ChipNode): boolean {
  return path === `/dev/${kernelName}`;
}

/** The chip of a device file; undefined if it is another device's. */
function chipNodeAt(
  path: string,
  majors: ReadonlySet<number> | undefined,
): ChipNode | undefined {
  const file = fileStatus(path, { followLinks: false });
  if (file?.kind !== "character device") return undefined;
  if (majors !== undefined && !majors.has(file.major)) return undefined;
  const device = `${file.major}:${file.minor}`;
  const directory = chipDirectory(device);
  if (directory === undefined) {
    // Without procfs and sysfs a chip is known by its name only.
    const isKnown = majors !== undefined || NUMBERED_NAME.test(baseName(path));
    if (!isKnown) return undefined;
  }
  if (whyNotChip(path) !== undefined) return undefined;
  return {
    path,
    device,
    kernelName: directory === undefined ? undefined : baseName(directory),
  };
}

/**
 * Orders by directory depth, then naturally: `gpiochip2` before `gpiochip10`.
 */
function comparePaths(a: string, b: string): number {
  const depth = a.split("/").length - b.split("/").length;
  if (depth !== 0) return depth;
  const one = a.split(/(\d+)/);
  const other = b.split(/(\d+)/);
  for (let i = 0; i < Math.min(one.length, other.length); i++) {
    const [x, y] = [one[i]!, other[i]!];
    const difference = i % 2 === 1 ? Number(x) - Number(y) : 0;
    if (difference !== 0) return difference;
    if (x !== y) return x < y ? -1 : 1;
  }
  return one.length - other.length;
}

/**
 * Returns the device file by which a chip is listed, whatever device file or
 * link of it is given; that one, links followed, if the chip is not listed.
 *
 * @throws {OsError} If it may not be looked at.
 */
export function listedPath(path: string): string {
  const real = realPath(path) ?? path;
  if (real === `/dev/${kernelNameAt(real)}`) return real;
  const device = deviceNumber(real);
  return listChipNodes().find((node) => node.device === device)?.path ?? real;
}

/**
 * Lists the links below `/dev` that lead to a chip, without those of
 * `/dev/char`, which are named by the device number.
 *
 * @param device The chip's device number.
 */
export function linksTo(device: string): string[] {
  return [...filesBelow("/dev", { left: MAX_ENTRIES })]
    .filter(({ path, kind }) =>
      kind === "symbolic link" && linkTarget(path) === device
    )
    .map(({ path }) => path)
    .sort();
}

function linkTarget(path: string): string | undefined {
  try {
    return deviceNumber(path);
  } catch (error) {
    // A link in a loop, or to where this user may not look.
    if (isOsError(error, "ELOOP", "EACCES", "EPERM")) return undefined;
    throw error;
  }
}

/**
 * Finds the chip that a name means: that of a device file in `/dev`, or the
 * kernel's name where the device file is called otherwise.
 *
 * @param path The name behind `/dev/`.
 * @returns The path of a device file; undefined if no chip has the name.
 * @throws {AmbiguousError} If it is the name of one chip's device file and the
 * kernel's name for another.
 */
export function namedChipPath(path: string): string | undefined {
  const name = path.slice("/dev/".length);
  // There may be some other device of that name ("console").
  const isChip = whyNotChip(path) === undefined;
  if (isChip && kernelNameAt(path) === name) return path;
  const named = listChipNodes().find(({ kernelName }) => kernelName === name);
  if (named === undefined) return isChip ? path : undefined;
  if (!isChip || named.device === deviceNumber(path)) return named.path;
  throw new AmbiguousError({
    chip: `the chip ${name}`,
    operation: "find",
    reason: `${path} is the device file of ${kernelNameAt(path)}, and ` +
      `${name} is the kernel's name for ${named.path}; give the path`,
  });
}
