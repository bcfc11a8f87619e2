/**
 * Facilities of this host for each exposure: kernel, QEMU programs, permissions.
 *
 * @module
 */

/** Access to the host; a double in tests. */
export interface HostAccess {
  /**
   * Runs a program and returns its output; undefined if it cannot be run, fails
   * or takes longer than a few seconds.
   */
  run(program: string, args: readonly string[]): Promise<string | undefined>;
  /** Returns the content of a file; undefined if it cannot be read. */
  read(path: string): string | undefined;
  exists(path: string): boolean;
  /**
   * Returns the reason why the kernel makes no chip of lines; undefined if it
   * can.
   */
  whyNoKernelChip(): string | undefined;
  /** Returns the same of a chip through the kernel's USB drivers. */
  findUsbChipProblem(): string | undefined;
  /** Returns the chips' device files. */
  chips(): string[];
  /** Returns the reason why a chip cannot be opened; undefined if it can. */
  whyNotOpen(chip: string): string | undefined;
  /** Architecture of the host. */
  readonly arch: "x86_64" | "aarch64";
  readonly isRoot: boolean;
}

/** A QEMU program of this host. */
export interface Qemu {
  program: string;
  /** `10.0.2`. */
  version: string;
  major: number;
  minor: number;
  /** Names of the devices that it can add. */
  devices: ReadonlySet<string>;
}

/** A chip of this host. */
interface HostChip {
  path: string;
  /** Reason why this user cannot open it. */
  problem?: string;
}

/** Findings about a host. */
export interface Host {
  kernel: string;
  arch: "x86_64" | "aarch64";
  isRoot: boolean;
  chips: HostChip[];
  qemus: Qemu[];
  hasKvm: boolean;
  /** Reason why the kernel makes no chip of lines. */
  kernelChipProblem: string | undefined;
  /** Reason why it makes none through its USB drivers. */
  usbChipProblem: string | undefined;
}

/** QEMU programs that are looked for, in this order. */
const PROGRAMS = [
  "qemu-system-x86_64",
  "qemu-system-aarch64",
  "qemu-kvm",
  "/usr/libexec/qemu-kvm",
];

const VERSION = /version (\d+)\.(\d+)(?:\.(\d+))?/;
/** A line of `-device help`: `name "usb-redir", bus usb-bus`. */
const DEVICE = /^name "([^"]+)"/gm;

/**
 * Examines the host. Changes nothing.
 *
 * @param programs QEMU programs to examine instead of the usual ones.
 */
export async function examineHost(
  access: HostAccess,
  programs: readonly string[] = PROGRAMS,
): Promise<Host> {
  const qemus: Qemu[] = [];
  for (const program of programs) {
    const qemu = await examineQemu(access, program);
    if (qemu !== undefined) qemus.push(qemu);
  }
  return {
    kernel: access.read("/proc/sys/kernel/osrelease")?.trim() ?? "unknown",
    arch: access.arch,
    isRoot: access.isRoot,
    chips: access.chips().map((path) => {
      const problem = access.whyNotOpen(path);
      return problem === undefined ? { path } : { path, problem };
    }),
    qemus,
    hasKvm: access.exists("/dev/kvm"),
    kernelChipProblem: access.whyNoKernelChip(),
    usbChipProblem: access.findUsbChipProblem(),
  };
}

async function examineQemu(
  access: HostAccess,
  program: string,
): Promise<Qemu | undefined> {
  const text = await access.run(program, ["--version"]);
  const found = VERSION.exec(text ?? "");
  if (found === null) return undefined;
  // Without a machine: some devices need one before they can be added.
  const help = await access.run(program, [
    "-machine",
    "none",
    "-device",
    "help",
  ]);
  return {
    program,
    version: found.slice(1).filter((part) => part !== undefined).join("."),
    major: Number(found[1]),
    minor: Number(found[2]),
    devices: new Set(
      [...(help ?? "").matchAll(DEVICE)].map(([, name]) => name!),
    ),
  };
}
