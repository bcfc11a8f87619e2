/**
 * The unit gpioagg@plc0 and the chip that it serves, in a host under systemd.
 *
 * @module
 */
import type { Chip } from "../../src/gpio/mod.ts";
import type { SimChip } from "../environment/gpio_sim.ts";
import { until } from "../environment/wait.ts";
import { simChip } from "./gpio_sim.ts";
import { shell } from "./shell.ts";

/** Its configuration. */
export const PLC_FILE = "/etc/gpioagg/plc0.yaml";
/** Its socket for a VMM. */
export const PLC_SOCKET = "/run/gpioagg-plc0/plc0.sock";
/** Fds in systemd's store: three lines, a mark of a guest, and a pair for its session. */
export const KEPT = "6";

/** A chip that services may use: udev sees to it. */
export async function serviceChip(
  lines: number,
  label = "chip",
): Promise<SimChip> {
  const chip = await simChip({ lines, label });
  await until(
    "the rule is obeyed",
    async () => await shell(`stat -c '%G %a' ${chip.path}`) === "gpioagg 660",
  );
  return chip;
}

/** Which lines that are watched were requested or let go. */
export function requestsAndReleases(watcher: Chip): number[] {
  return watcher.readInfoEvents()
    .filter(({ kind }) => kind !== "reconfigured")
    .map(({ info }) => info.offset);
}

/** The file of gpioagg@plc0: an output, an input, and one that is either. */
export async function configure(chip: string): Promise<void> {
  await Deno.writeTextFile(
    PLC_FILE,
    `aggregators:
  plc0:
    vhost-user: { socket: ${PLC_SOCKET}, group: vmm }
    lines:
      - ${chip}/0,as=PUMP,direction=output,initial=0,safe=0
      - ${chip}/1,as=LEVEL,direction=input
      - ${chip}/2,as=SPARE
`,
  );
}
