/**
 * Stable identities of chips, ready to be copied: `gpioinfo --ids`.
 *
 * @module
 */
import { chipIdentities, identityTexts } from "../../gpio/mod.ts";
import { jsonLine, jsonName } from "./line_text.ts";
import { nameText } from "../../text/names.ts";
import { printable } from "../../text/printable.ts";

/** A chip with all its identities. */
interface KnownChip {
  readonly name: string;
  readonly label: string;
  readonly lines: number;
  readonly ids: readonly string[];
}

/**
 * Formats the identities of chips as text or as JSON. Those that also identify
 * another chip of this host are marked.
 *
 * @param all Paths of all chips of this host, among which an identity must be
 * unique.
 * @param wanted Paths of those to print.
 */
export function identitiesOutput(
  all: readonly string[],
  wanted: readonly string[],
  json: boolean,
): string {
  const chips = new Map(
    [...new Set([...all, ...wanted])].map((path) => [path, knownChip(path)]),
  );
  const owners = new Map<string, string[]>();
  for (const { name, ids } of chips.values()) {
    for (const id of ids) owners.set(id, [...owners.get(id) ?? [], name]);
  }
  return wanted.map((path) => {
    const chip = chips.get(path)!;
    const shared = new Map(
      chip.ids.map((id) => [
        id,
        owners.get(id)!.filter((name) => name !== chip.name),
      ]),
    );
    return json ? chipJson(chip, shared) : chipText(chip, shared);
  }).join("");
}

function knownChip(path: string): KnownChip {
  const chip = chipIdentities(path);
  const { name, label, lines } = chip;
  return { name, label, lines, ids: identityTexts(chip) };
}

function chipText(
  { name, label, lines, ids }: KnownChip,
  shared: ReadonlyMap<string, readonly string[]>,
): string {
  const rows = ids.map((id) => {
    const others = shared.get(id)!;
    const note = others.length === 0 ? "" : `  (${others.join(", ")} too)`;
    return `\t${printable(id)}${note}\n`;
  });
  return `${name} [${nameText(label)}] (${lines} lines)\n${rows.join("")}`;
}

function chipJson(
  { name, label, lines, ids }: KnownChip,
  shared: ReadonlyMap<string, readonly string[]>,
): string {
  return jsonLine({
    chip: name,
    label: jsonName(label),
    lines,
    ids: ids.map((id) => ({ id, sharedWith: shared.get(id) })),
  });
}
