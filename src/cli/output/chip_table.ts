/**
 * Table of the host's aggregated chips, for terminals.
 *
 * @module
 */
import type { InventoryChip } from "../../kernel_chip/inventory.ts";
import { formatTable } from "./table.ts";

/** Returns a table of chips, and of their lines if wanted. */
export function chipTable(
  chips: readonly InventoryChip[],
  withLines: boolean,
): string {
  const cells = chips.flatMap((chip) => [
    [
      chip.name || "-",
      chip.path ?? "-",
      chip.label ?? "-",
      chip.lines.length === 1 ? "1 line" : `${chip.lines.length} lines`,
      stateText(chip),
    ],
    ...(withLines ? chip.lines.map(lineRow) : []),
  ]);
  return formatTable(cells);
}

function stateText({ state, pid, lostChips = [] }: InventoryChip): string {
  const text = pid === undefined ? state : `held by process ${pid}`;
  return [text, ...lostChips.map((chip) => `${chip} is gone`)].join(", ");
}

function lineRow(line: InventoryChip["lines"][number]): string[] {
  const from = line.offset < 0 ? line.chip : `${line.chip}/${line.offset}`;
  return [`  ${line.lineNumber}`, line.name || "-", from];
}
