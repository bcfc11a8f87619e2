/**
 * Text of `gpioagg doctor`.
 *
 * @module
 */
import { printable } from "../text/printable.ts";
import type { Guest, GuestArch } from "./guests.ts";
import type { Host } from "./host.ts";
import { type Recipe, type Way, WAYS, waysFor } from "./ways.ts";

/** Longest text of another program in the report. **Units**: UTF-16 code units. */
const CELL_LIMIT = 200;
const NAME_WIDTH = 24;

/** Returns the lines about the host: what it has, and which exposures work. */
export function hostReport(host: Host): string[] {
  const { chips, qemus } = host;
  return [
    "Host",
    entry("kernel", `Linux ${host.kernel} (${host.arch})`),
    ...chips.length === 0
      ? [entry("GPIO chips", "none: simulated lines (--line sim/8) still work")]
      : chips.map(({ path, problem }, i) =>
        entry(i === 0 ? "GPIO chips" : "", problem ?? `${path}: can be opened`)
      ),
    ...qemus.length === 0
      ? [entry("QEMU", "none found: name one with --qemu PROGRAM")]
      : qemus.map(({ program, version }, i) =>
        entry(i === 0 ? "QEMU" : "", `${program} ${version}`)
      ),
    entry("KVM", host.hasKvm ? "/dev/kvm exists" : "no /dev/kvm"),
    "",
    "Exposures that this host can provide",
    ...WAYS.map((way) => {
      const reason = way.whyNot(host);
      return entry(way.name, reason === undefined ? "yes" : `no: ${reason}`);
    }),
  ];
}

/** Returns the lines about a guest's kernels: drivers, and lines to paste. */
export function guestReport(host: Host, guests: readonly Guest[]): string[] {
  return guests.flatMap((guest) => oneGuest(host, guest));
}

function oneGuest(host: Host, guest: Guest): string[] {
  const kernel = guest.kernel === undefined ? "" : `, Linux ${guest.kernel}`;
  const { known, unknown } = waysFor(guest);
  const lines = ["", `Guest ${guest.name} (${guest.arch}${kernel})`];
  if (known.length === 0) {
    lines.push(`  no exposure works: ${guest.note ?? "it has no driver"}`);
  }
  for (const way of known) lines.push(...oneWay(host, guest.arch, way));
  for (const way of unknown) {
    lines.push(entry(way.name, `not known: is ${way.driver} in its kernel?`));
  }
  return lines;
}

function oneWay(host: Host, arch: GuestArch, way: Way): string[] {
  const reason = way.whyNot(host);
  const note = way.note === undefined ? "" : `; ${way.note}`;
  const status = reason === undefined
    ? `driver ${way.driver}${note}`
    : `driver ${way.driver}, but not from this host: ${reason}`;
  return [
    entry(way.name, status),
    ...reason === undefined ? recipeLines(way.recipe(host, arch)) : [],
  ];
}

function recipeLines(recipe: Recipe): string[] {
  const part = (title: string, lines: readonly string[] = []) =>
    lines.length === 0
      ? []
      : [`    ${title}:`, ...lines.map((line) => `      ${line}`)];
  return [
    ...part("host", recipe.gpioagg),
    ...part("QEMU", recipe.qemu),
    ...part("libvirt", recipe.libvirt),
    ...part("Proxmox", recipe.proxmox),
  ];
}

function entry(name: string, text: string): string {
  return `  ${name.padEnd(NAME_WIDTH)} ${printable(text, CELL_LIMIT)}`
    .trimEnd();
}
