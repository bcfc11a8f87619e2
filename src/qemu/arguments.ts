/**
 * Arguments that a QEMU needs to be reached.
 *
 * @module
 */

/** The two sockets that {@linkcode ./qemu_pins.ts} connects to. */
export interface QemuSockets {
  /** Path of the qtest socket. */
  readonly qtest: string;
  /** Path of the QMP socket. */
  readonly qmp: string;
}

/**
 * Returns the arguments that make QEMU open both sockets, without waiting for a
 * client.
 *
 * **Source**: qemu-system-*(1), options `-qtest`, `-qtest-log` and `-qmp`.
 */
export function qemuArguments({ qtest, qmp }: QemuSockets): string[] {
  return [
    "-qtest",
    socket(qtest),
    // Otherwise every command is written to QEMU's standard error output.
    "-qtest-log",
    "none",
    "-qmp",
    socket(qmp),
  ];
}

function socket(path: string): string {
  // In QEMU's options a comma is written twice.
  return `unix:${path.replaceAll(",", ",,")},server=on,wait=off`;
}

/** File names of QEMU's programs, of all distributions. */
const PROGRAM_NAME = /^(qemu-system-[\w.-]+|qemu-kvm|kvm)$/;

/** Returns true for the program of a QEMU, by the name of its file. */
export function isQemuProgram(program: string): boolean {
  return PROGRAM_NAME.test(program.slice(program.lastIndexOf("/") + 1));
}

/**
 * Returns the option by which a character device of a QEMU connects again.
 *
 * **Source**: qemu-options.hx; in milliseconds since 9.2, in seconds before; the
 * older option was removed later.
 */
export function selectReconnectOption(major: number, minor: number): string {
  const isNew = major > 9 || major === 9 && minor >= 2;
  return isNew ? "reconnect-ms=500" : "reconnect=1";
}
