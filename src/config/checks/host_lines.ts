/**
 * Every host line has one user, unless all of its users say that they share
 * it: no output has two masters.
 *
 * @module
 */
import { identityText } from "../chip_identity.ts";
import type { Problems } from "../document/problems.ts";
import type {
  LineSpecification,
  SourceSpecification,
} from "../specification.ts";
import {
  type DraftConfig,
  type DraftLine,
  keyPosition,
  where,
} from "./draft.ts";

/** A line with the aggregator that uses it. */
interface User {
  aggregator: string;
  written: DraftLine;
}

/**
 * Refuses host lines that are used twice, as far as their words show it. A line
 * that is shared has the settings that any of its users gives it, in all.
 */
export function checkHostLines(
  { aggregators }: DraftConfig,
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
        others.some((other) => isConflict(other, user, problems));
        others.push(user);
      }
    }
  }
  for (const sharers of users.values()) {
    if (sharers.length > 1) unify(sharers);
  }
}

/** Gives all users of a line the settings that some of them leave open. */
function unify(users: readonly User[]): void {
  const lines = users.map(({ written }) => written.line);
  const debounceUs = Math.max(...lines.map((line) => line.debounceUs));
  const bias = lines.find((line) => line.bias !== undefined)?.bias;
  const drive = lines.find((line) => line.drive !== undefined)?.drive;
  for (const { written } of users) {
    written.line = {
      ...written.line,
      debounceUs,
      ...(bias === undefined ? {} : { bias }),
      ...(drive === undefined ? {} : { drive }),
    };
  }
}

/**
 * The same text for the same host line; undefined for lines without a chip.
 * Two texts may still mean one line: that shows when the chips are looked at.
 */
function hostLineKey(source: SourceSpecification): string | undefined {
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
    identity?: Parameters<typeof identityText>[0] | undefined;
  },
): string {
  if (identity !== undefined) return identityText(identity);
  return /^\d+$/.test(chip)
    ? `gpiochip${Number(chip)}`
    : chip.replace(/^\/dev\/(?=gpiochip\d+$)/, "");
}

/**
 * Returns true if two users of a line exclude each other; then that is
 * reported.
 */
function isConflict(first: User, second: User, problems: Problems): boolean {
  const a = first.written;
  const b = second.written;
  if (!a.isSound || !b.isSound) return false;
  const other = `the line is taken by ${first.aggregator} already, ` +
    where(a.position);
  if (first.aggregator === second.aggregator) {
    problems.add(b.position, other, "An aggregator has each line once");
    return true;
  }
  const conflict = sharingConflict(a.line, b.line, { isTaken: false });
  if (conflict === undefined) return false;
  problems.add(
    conflict.key === undefined ? b.position : keyPosition(b, conflict.key),
    `${other}${conflict.problem}`,
    conflict.hint,
  );
  return true;
}

/**
 * Why two lines cannot be one host line; undefined if they can.
 *
 * @param options `isTaken`: the line is in use with the settings of `a`, and
 * cannot get others from `b`.
 */
export function sharingConflict(
  a: LineSpecification,
  b: LineSpecification,
  { isTaken }: { isTaken: boolean } = { isTaken: true },
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
    const isOpen = of(b) === undefined || !isTaken && of(a) === undefined;
    if (isOpen || of(a) === of(b)) continue;
    return {
      key,
      problem: `, with another "${key}"`,
      hint: "There is one line behind both: give both the same settings",
    };
  }
  return undefined;
}

/** Settings of which there is one; undefined: left open. */
const SHARED_SETTINGS: readonly {
  key: string;
  of: (line: LineSpecification) => unknown;
}[] = [
  { key: "bias", of: ({ bias }) => bias },
  { key: "debounce", of: ({ debounceUs }) => debounceUs || undefined },
];

const COMBINED_SETTINGS: typeof SHARED_SETTINGS = [
  { key: "drive", of: ({ drive }) => drive },
  { key: "active-low", of: ({ activeLow }) => activeLow },
];
