/**
 * Text of `gpioagg doctor`.
 *
 * @module
 */
import { printable } from "../text/printable.ts";
import type { Guest, GuestArch } from "./guests.ts";
import type { Host } from "./host.ts";
import {
  EXPOSURES,
  exposuresFor,
  type HostExposure,
  type Recipe,
} from "./exposures.ts";

/** Longest text of another program in the report. **Units**: UTF-16 code units. */
const CELL_LIMIT = 512;
const NAME_WIDTH = Math.max(...EXPOSURES.map(({ name }) => name.length));

/** Returns the lines about the host: what it has, and which exposures work. */
export function hostReport(host: Host): string[] {
  const { chips, qemus } = host;
  return [
    "Host",
    entry("kernel", `Linux ${host.kernel} (${host.arch})`),
    entry("user", host.isRoot ? "root" : "not root, which kernel chips need"),
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
    ...EXPOSURES.map((exposure) => {
      const reason = exposure.whyNot(host);
      return entry(
        exposure.name,
        reason === undefined ? "yes" : `no: ${reason}`,
      );
    }),
  ];
}

/** Returns the lines about a guest's kernels: drivers, and lines to paste. */
export function guestReport(host: Host, guests: readonly Guest[]): string[] {
  return guests.flatMap((guest) => oneGuest(host, guest));
}

function oneGuest(host: Host, guest: Guest): string[] {
  const kernel = guest.kernel === undefined ? "" : `, Linux ${guest.kernel}`;
  const { known, unknown } = exposuresFor(guest);
  const lines = ["", `Guest ${guest.name} (${guest.arch}${kernel})`];
  if (known.length === 0) {
    lines.push(`  no exposure works: ${guest.note ?? "it has no driver"}`);
  }
  for (const exposure of known) {
    lines.push(...exposureLines(host, guest.arch, exposure));
  }
  for (const exposure of unknown) {
    lines.push(
      entry(exposure.name, `not known: is ${exposure.driver} in its kernel?`),
    );
  }
  return lines;
}

function exposureLines(
  host: Host,
  arch: GuestArch,
  exposure: HostExposure,
): string[] {
  const reason = exposure.whyNot(host, arch);
  const note = exposure.note === undefined ? "" : `; ${exposure.note}`;
  const status = reason === undefined
    ? `driver ${exposure.driver}${note}`
    : `driver ${exposure.driver}, but not from this host: ${reason}`;
  return [
    entry(exposure.name, status),
    ...reason === undefined ? recipeLines(exposure.recipe(host, arch)) : [],
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
