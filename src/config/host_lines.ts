/**
 * Every host line has one user, unless all of its users say that they share
 * it: nobody's output has two masters.
 *
 * @module
 */
import { identityText } from "./chip_identity.ts";
import type { Problems } from "./problems.ts";
import type {
  LineSpecification,
  SourceSpecification,
} from "./specification.ts";
import {
  keyPlace,
  where,
  type WrittenConfig,
  type WrittenLine,
} from "./written.ts";

/** A line with the aggregator that uses it. */
interface User {
  aggregator: string;
  written: WrittenLine;
}

/** Refuses host lines that are used twice, as far as their words show it. */
export function checkHostLines(
  { aggregators }: WrittenConfig,
  problems: Problems,
): void {
  const users = new Map<string, User[]>();
  for (const { name, lines } of aggregators) {
    for (const written of lines) {
      const key = hostLineKey(written.line.source);
      if (key === undefined) continue;
      const user = { aggregator: name, written };
      const others = users.get(key);
      if (others === undefined) users.set(key, [user]);
      else {
        others.push(user);
        checkPair(others[0]!, user, problems);
      }
    }
  }
}

/**
 * The same text for the same host line; undefined for lines without a chip.
 * Two texts may still mean one line: that shows when the chips are looked at.
 */
export function hostLineKey(source: SourceSpecification): string | undefined {
  switch (source.kind) {
    case "chip":
      return `${chipKey(source)} ${source.offset}`;
    case "line-name": {
      const chip = source.chip === undefined
        ? ""
        : chipKey({ ...source, chip: source.chip });
      return `${chip} "${source.lineName}"`;
    }
    default:
      return undefined;
  }
}

function chipKey(
  { chip, identity }: {
    chip: string;
    identity?: Parameters<typeof identityText>[0];
  },
): string {
  if (identity !== undefined) return identityText(identity);
  return /^\d+$/.test(chip)
    ? `gpiochip${Number(chip)}`
    : chip.replace(/^\/dev\/(?=gpiochip\d+$)/, "");
}

function checkPair(first: User, second: User, problems: Problems): void {
  const a = first.written;
  const b = second.written;
  if (!a.isSound || !b.isSound) return;
  const other = `the line is taken by ${first.aggregator} already, ` +
    where(a.place);
  if (first.aggregator === second.aggregator) {
    problems.add(b.place, other, "An aggregator has each line once");
    return;
  }
  const conflict = sharingConflict(a.line, b.line);
  if (conflict === undefined) return;
  problems.add(
    conflict.key === undefined ? b.place : keyPlace(b, conflict.key),
    `${other}${conflict.problem}`,
    conflict.hint,
  );
}

/** Why two lines cannot be one host line; undefined if they can. */
export function sharingConflict(
  a: LineSpecification,
  b: LineSpecification,
): { key?: string; problem: string; hint: string } | undefined {
  const isShared = a.shared === true && b.shared === true;
  const isCombined = a.combine !== undefined && a.combine === b.combine;
  if (!isShared && !isCombined) {
    return a.combine !== undefined && b.combine !== undefined
      ? {
        key: "combine",
        problem: `, with combine=${a.combine}`,
        hint: "All users of an output combine it in the same way",
      }
      : {
        problem: "",
        hint: "An output has one master: inputs can be shared " +
          "(shared: true at both), outputs combined (combine: or | and)",
      };
  }
  const keys = isShared
    ? SHARED_SETTINGS
    : [...SHARED_SETTINGS, ...COMBINED_SETTINGS];
  for (const { key, of } of keys) {
    if (of(a) === of(b)) continue;
    return {
      key,
      problem: `, with another "${key}"`,
      hint: "There is one line behind both: give both the same settings",
    };
  }
  return undefined;
}

const SHARED_SETTINGS: readonly {
  key: string;
  of: (line: LineSpecification) => unknown;
}[] = [
  { key: "bias", of: ({ bias }) => bias },
  { key: "debounce", of: ({ debounceUs }) => debounceUs },
];

const COMBINED_SETTINGS: typeof SHARED_SETTINGS = [
  { key: "drive", of: ({ drive }) => drive },
  { key: "active-low", of: ({ activeLow }) => activeLow },
];
