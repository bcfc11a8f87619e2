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
