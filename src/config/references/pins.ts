/**
 * Lines at the pins of a controller that QEMU emulates.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import type { Located, Problems } from "../document/problems.ts";
import type { LineSpecification, QemuPin } from "../specification.ts";
import type { PinReading } from "../values/pin.ts";
import { knownNames } from "./known_names.ts";

/** Position in a file, or the path of a command line or request. */
type Position = Partial<ConfigPosition>;

/** A pin with the name of the line that is at it. */
export interface NamedPin {
  readonly key: PinReading;
  readonly keyPosition: Position;
  readonly value: Pick<Located<string>, "value"> & {
    readonly position: Position;
  };
}

/**
 * Returns the lines at pins. Reports unknown names, and pins and lines that are
 * given twice.
 *
 * @param isComplete False if some lines were not understood: then an unknown
 * name is not reported.
 */
export function tiePins(
  pins: readonly NamedPin[],
  lines: readonly LineSpecification[],
  problems: Problems,
  isComplete = true,
): QemuPin[] {
  const byLine = new Map<number, PinReading>();
  const byPin = new Map<number, PinReading>();
  const known = knownNames(lines);
  for (const { key, keyPosition, value: name } of pins) {
    const samePin = byPin.get(key.pin);
    if (samePin !== undefined) {
      problems.add(
        keyPosition,
        `this is pin ${describePin(samePin)}, which has a line already`,
        "Each pin has one line",
      );
      continue;
    }
    byPin.set(key.pin, key);
    const lineNumber = known.get(name.value);
    if (lineNumber === undefined) {
      if (!isComplete) continue;
      problems.add(
        name.position,
        `no line here has the name "${name.value}"`,
        "The names are those that as gives, or the host's own",
      );
      continue;
    }
    const other = byLine.get(lineNumber);
    if (other !== undefined) {
      problems.add(
        keyPosition,
        `line "${name.value}" is at pin ${describePin(other)} already`,
        "Each line is at one pin",
      );
      continue;
    }
    byLine.set(lineNumber, key);
  }
  return [...byLine].map(([lineNumber, pin]) => ({ ...pin, lineNumber }));
}

function describePin({ pin, name }: PinReading): string {
  return name ?? String(pin);
}
