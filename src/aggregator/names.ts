/**
 * The names that a guest sees: 7-bit and unique, whatever the host has.
 *
 * @module
 */
import { ConfigError } from "../config/document/config_error.ts";
import {
  type LineSpecification,
  MAX_NAME_LENGTH,
} from "../config/specification.ts";

/** One line's claim to a name. */
interface NameClaim {
  /** The line; its specification says which name was asked for, if any. */
  line: Pick<LineSpecification, "origin" | "position" | "name">;
  /** The name that the host line has; empty for none. */
  own: string;
}

/**
 * Gives every line its guest-visible name.
 *
 * A name that the user asked for stands as it is. A host line's own name is
 * made 7-bit, and made unique with a suffix (`LED`, `LED.2`), since a virtio
 * device must not show a name twice but hosts often have several of one name.
 *
 * @throws {ConfigError} If the user asked for one name twice.
 */
export function guestNames(claims: readonly NameClaim[]): string[] {
  const taken = new Map<string, NameClaim>();
  for (const claim of claims) {
    const { name } = claim.line;
    if (name === undefined) continue;
    const other = taken.get(name);
    if (other !== undefined) {
      throw new ConfigError(
        `the name "${name}" is taken by ${other.line.origin}`,
        {
          ...(claim.line.position ?? { path: `--line ${claim.line.origin}` }),
          hint: "Names are unique in an aggregator; choose another with as=",
        },
      );
    }
    taken.set(name, claim);
  }
  /** By base name: the suffix that is tried next. */
  const suffixes = new Map<string, number>();
  return claims.map((claim) => {
    if (claim.line.name !== undefined) return claim.line.name;
    const base = sevenBit(claim.own);
    if (base === "") return "";
    let name = base;
    let n = suffixes.get(base) ?? 2;
    for (; taken.has(name); n++) {
      const suffix = `.${n}`;
      name = base.slice(0, MAX_NAME_LENGTH - suffix.length) + suffix;
    }
    suffixes.set(base, n);
    taken.set(name, claim);
    return name;
  });
}

function sevenBit(name: string): string {
  return name.replace(/[^\x20-\x7e]/g, "_").slice(0, MAX_NAME_LENGTH);
}
