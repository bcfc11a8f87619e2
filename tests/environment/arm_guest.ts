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

interface Board {
  readonly program: string;
  readonly architecture: "arm64" | "armhf";
  readonly machine: readonly string[];
  readonly memory: string;
  /** The board's first serial port, as Linux calls it. */
  readonly tty: string;
  readonly deviceTree?: string;
}

const BOARDS: Readonly<Record<ArmBoard, Board>> = {
  "virt": {
    program: "qemu-system-aarch64",
    architecture: "arm64",
    machine: ["-M", "virt", "-cpu", "cortex-a57"],
    memory: "256",
    tty: "ttyAMA0",
  },
  "highbank": {
    program: "qemu-system-arm",
    architecture: "armhf",
    machine: ["-M", "highbank"],
    memory: "256",
    tty: "ttyAMA0",
    deviceTree: "highbank.dtb",
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

/** What an ARM guest is given. */
export interface ArmGuestOptions {
  readonly board: ArmBoard;
  /** Which QEMU: "old" is 7.2, "new" is 10. Default: "old". */
  readonly qemu?: "old" | "new";
  /** Words to add to the board's `-M`: `secure=on`. */
  readonly machineOptions?: string;
  /** Further arguments of QEMU. */
  readonly arguments?: readonly string[];
  /** A command, with arguments, that runs QEMU. */
  readonly prefix?: readonly string[];
  /** How long it may take to come up, in milliseconds. Default: 90 s. */
  readonly bootTimeoutMs?: number;
}

/** What of `scripts/environment` a board needs. */
export function artefactsOf(
  board: ArmBoard,
  qemu: "old" | "new" = "old",
): Artefact[] {
  const { architecture } = BOARDS[board];
  return [
    qemu === "old" ? "qemuArmOld" : "qemuArmNew",
    `${architecture}Kernel`,
    `${architecture}Initramfs`,
  ];
}

/** The command that boots a board, for those who start it themselves. */
export async function armCommand(
  options: ArmGuestOptions,
): Promise<{ command: string; args: string[] }> {
  const board = BOARDS[options.board];
  const [qemu, kernel, initramfs] = await Promise.all(
    artefactsOf(options.board, options.qemu).map(artefact),
  );
  const machine = [...board.machine];
  if (options.machineOptions !== undefined) {
    machine[1] += `,${options.machineOptions}`;
  }
  const [command, ...args] = [
    ...options.prefix ?? [],
    `${qemu}/${board.program}`,
  ];
  return {
    command: command!,
    args: [
      ...args,
      ...machine,
      ...["-accel", "tcg", "-m", board.memory, "-nodefaults"],
      ...["-display", "none", "-kernel", `${kernel}/vmlinuz`],
      ...["-initrd", initramfs!],
      ...(board.deviceTree === undefined
        ? []
        : ["-dtb", `${kernel}/${board.deviceTree}`]),
      "-append",
      // Only what ends the kernel is printed: the port is the commands'.
      `console=${board.tty} quiet loglevel=1 panic=-1 GPIOAGG_TTY=${board.tty}`,
      ...["-chardev", "stdio,id=session,signal=off"],
      ...["-serial", "chardev:session"],
      ...options.arguments ?? [],
    ],
  };
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
  const process = new ChildProcess({
    ...await armCommand(options),
    input: true,
  });
  return await CommandSession.open(process, {
    bootTimeoutMs: options.bootTimeoutMs ?? 90_000,
    log: () => process.stderr,
  });
}
