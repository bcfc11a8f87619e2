/**
 * QEMU with ARM boards that have GPIO controllers of their own, and a stock
 * Debian kernel that knows nothing of virtio-gpio.
 *
 * @module
 */
import { type Artefact, artefact } from "./environment.ts";
import { CommandSession, type GuestSession } from "./guest_session.ts";
import { ChildProcess } from "./process.ts";

/** The boards that the tests know. */
export type ArmBoard = "virt" | "highbank" | "ast2600-evb";

/** Releases of Debian whose kernel a board boots. */
export type ArmKernel = "bookworm" | "trixie";

interface Board {
  readonly program: string;
  readonly architecture: "arm64" | "armhf";
  readonly machine: readonly string[];
  readonly memory: string;
  /** The board's first serial port, as Linux calls it. */
  readonly tty: string;
  readonly deviceTree?: string;
  /** Changes of the device tree's source text. */
  readonly adapt?: (source: string) => string;
}

const BOARDS: Readonly<Record<ArmBoard, Board>> = {
  "virt": {
    program: "qemu-system-aarch64",
    architecture: "arm64",
    machine: ["-M", "virt", "-cpu", "cortex-a57"],
    memory: "256M",
    tty: "ttyAMA0",
  },
  "highbank": {
    program: "qemu-system-arm",
    architecture: "armhf",
    machine: ["-M", "highbank"],
    memory: "256M",
    tty: "ttyAMA0",
    deviceTree: "highbank.dtb",
    // The board's controllers are there, but not in its device tree's view.
    adapt: (source) =>
      source.replace(
        /(gpio@fff3[0-3]000 \{[^}]*status = )"disabled"/g,
        '$1"okay"',
      ),
  },
  "ast2600-evb": {
    program: "qemu-system-arm",
    architecture: "armhf",
    machine: ["-M", "ast2600-evb"],
    memory: "1G",
    tty: "ttyS4",
    deviceTree: "aspeed-ast2600-evb.dtb",
  },
};

/** Options of an ARM guest. */
export interface ArmGuestOptions {
  readonly board: ArmBoard;
  /** Which QEMU: "old" is 7.2, "new" is 10. Default: "old". */
  readonly qemu?: "old" | "new";
  /**
   * Which kernel: Debian 12's, or Debian 13's for arm64, with the drivers of USB
   * adapters. Default: "bookworm".
   */
  readonly kernel?: ArmKernel;
  /** Words to add to the board's `-M`: `secure=on`. */
  readonly machineOptions?: string;
  /** Set if its memory is a memory file (`memory-backend-memfd,share=on`). */
  readonly sharedMemory?: boolean;
  /** Further arguments of QEMU. */
  readonly arguments?: readonly string[];
  /** A command, with arguments, that runs QEMU. */
  readonly prefix?: readonly string[];
  /** Limit of its start, in milliseconds. Default: 90 s. */
  readonly bootTimeoutMs?: number;
}

/** Returns the artefacts of `scripts/environment` that a board needs. */
export function listArtefacts(
  board: ArmBoard,
  qemu: "old" | "new" = "old",
  kernel: ArmKernel = "bookworm",
): Artefact[] {
  const { architecture } = BOARDS[board];
  return [
    qemu === "old" ? "qemuArmOld" : "qemuArmNew",
    ...(kernel === "trixie" ? ["stockTrixieArm64" as const] : [
      `${architecture}Kernel` as const,
      `${architecture}Initramfs` as const,
    ]),
    ...(BOARDS[board].adapt === undefined ? [] : ["dtc" as const]),
  ];
}

/** The command that boots a board; `directory` is for files that it needs. */
async function buildCommand(
  options: ArmGuestOptions,
  directory: string,
): Promise<{ command: string; args: string[] }> {
  const board = BOARDS[options.board];
  const [qemu, kernel, given] = await Promise.all(
    listArtefacts(options.board, options.qemu, options.kernel).map(artefact),
  );
  const initramfs = options.kernel === "trixie" ? `${kernel}/initrd.gz` : given;
  const machine = [...board.machine];
  if (options.machineOptions !== undefined) {
    machine[1] += `,${options.machineOptions}`;
  }
  if (options.sharedMemory) machine[1] += ",memory-backend=memory";
  const [command, ...args] = [
    ...options.prefix ?? [],
    `${qemu}/${board.program}`,
  ];
  const deviceTree = await buildDeviceTree(board, kernel!, directory);
  return {
    command: command!,
    args: [
      ...args,
      ...machine,
      ...(options.sharedMemory
        ? [
          "-object",
          `memory-backend-memfd,id=memory,size=${board.memory},share=on`,
        ]
        : []),
      ...["-accel", "tcg", "-m", board.memory, "-nodefaults"],
      ...["-display", "none", "-kernel", `${kernel}/vmlinuz`],
      ...["-initrd", initramfs!],
      ...(deviceTree === undefined ? [] : ["-dtb", deviceTree]),
      "-append",
      // Only what ends the kernel is printed: the port is the commands'.
      `console=${board.tty} quiet loglevel=1 panic=-1 GPIOAGG_TTY=${board.tty}`,
      ...["-chardev", "stdio,id=session,signal=off"],
      ...["-serial", "chardev:session"],
      ...options.arguments ?? [],
    ],
  };
}

async function buildDeviceTree(
  { deviceTree, adapt }: Board,
  kernel: string,
  directory: string,
): Promise<string | undefined> {
  if (deviceTree === undefined) return undefined;
  const original = `${kernel}/${deviceTree}`;
  if (adapt === undefined) return original;
  const source = `${directory}/tree.dts`;
  const adapted = `${directory}/tree.dtb`;
  await dtc(["-I", "dtb", "-O", "dts", "-o", source, original]);
  await Deno.writeTextFile(source, adapt(await Deno.readTextFile(source)));
  await dtc(["-I", "dts", "-O", "dtb", "-o", adapted, source]);
  return adapted;
}

async function dtc(args: readonly string[]): Promise<void> {
  const result = await new Deno.Command(await artefact("dtc"), {
    args: ["-q", ...args],
    stdin: "null",
  }).output();
  if (result.success) return;
  const text = new TextDecoder().decode(result.stderr);
  throw new Error(`Cannot convert a device tree: ${text.trim()}`);
}

/**
 * Boots an ARM guest and waits until it takes commands: busybox and libgpiod's
 * tools. Works inside User-Mode Linux too.
 *
 * @throws {Error} when something is not built, or the guest does not come up
 * within the limit.
 */
export async function bootArmGuest(
  options: ArmGuestOptions,
): Promise<GuestSession> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-arm-" });
  const cleanUp = () => Deno.remove(directory, { recursive: true });
  try {
    const process = new ChildProcess({
      ...await buildCommand(options, directory),
      input: true,
    });
    return await CommandSession.open(process, {
      bootTimeoutMs: options.bootTimeoutMs ?? 90_000,
      log: () => process.stderr,
      dispose: cleanUp,
    });
  } catch (error) {
    await cleanUp().catch(() => {});
    throw error;
  }
}
