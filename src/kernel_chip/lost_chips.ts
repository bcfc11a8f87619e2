/**
 * Source chips that an aggregated chip has lost.
 *
 * The kernel's aggregator keeps its chip when a chip behind it is unplugged,
 * and does not take lines up again when that chip returns: what is asked of
 * them fails with ENODEV until the aggregated chip is made again.
 *
 * @module
 */
import { fileStatus } from "../../ffi/file_status.ts";
import { Chip } from "../gpio/chip.ts";
import { LineError } from "../gpio/errors.ts";
import type { ChipRecord } from "./records.ts";

/** The kernel's list of chips, which does not depend on device nodes. */
const CHIPS = "/sys/bus/gpio/devices";

/**
 * Returns the chips of a record's lines that its device has no lines of any
 * more: they are gone, or came back without it. What cannot be seen (no sysfs,
 * no rights) counts as there.
 */
export function lostChips(
  { device, lines }: Pick<ChipRecord, "device" | "lines">,
): string[] {
  if (device === undefined || fileStatus(CHIPS) === undefined) return [];
  // A chip goes with all its lines: one line of each shows that.
  const first = new Map<string, number>();
  for (const { chip, chipOffset } of lines) {
    if (!first.has(chip)) first.set(chip, chipOffset);
  }
  return [...first]
    .filter(([chip, offset]) => !mayHold(device, chip, offset))
    .map(([chip]) => chip);
}

function mayHold(device: string, chip: string, offset: number): boolean {
  if (fileStatus(`${CHIPS}/${chip}`) === undefined) return false;
  try {
    using opened = Chip.open(chip);
    // Without its node, the name may be that of another chip's node.
    return opened.name !== chip || opened.lineInfo(offset).consumer === device;
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    // No node, no rights; or it goes right now, which the next look sees.
    return true;
  }
}

/** Returns the consequence of lost chips for the chip at `path`, in words. */
export function lostChipsText(
  lost: readonly string[],
  path: string,
): string {
  const [verb, pronoun] = lost.length === 1 ? ["is", "its"] : ["are", "their"];
  return `${
    lost.join(" and ")
  } ${verb} gone: ${pronoun} lines of ${path} fail ` +
    `until the chip is made again`;
}
