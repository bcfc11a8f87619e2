/**
 * Pins of a controller that QEMU emulates, as people write them: by number, or
 * by name where the controller's pins have names.
 *
 * @module
 */
import { PIN_NUMBER, type TextKind } from "./readings.ts";
import type { LineSpecification, QemuPin } from "./specification.ts";

/** A pin as it is written. */
export interface PinReading {
  /** Its number on the controller. */
  readonly pin: number;
  /** Its name, if that is how it was written. */
  readonly name?: string;
}

const PIN_PROPERTY = /^gpio([A-Z]{1,2})([0-7])$/;
const PINS_PER_LETTER = 8;

/** What a pin looks like, for editors. */
export const PIN_PATTERN = "^(\\d+|gpio[A-Z]{1,2}[0-7])$";

/**
 * The number of a pin that is a property of its controller, as on Aspeed:
 * `gpioA0` is 0, `gpioB0` is 8, `gpioAA0`, behind `gpioZ7`, is 208. Undefined
 * for other properties.
 */
export function pinOfProperty(name: string): number | undefined {
  const [, letters, digit] = PIN_PROPERTY.exec(name) ?? [];
  if (letters === undefined) return undefined;
  let letter = 0;
  for (const char of letters) {
    letter = 26 * letter + char.charCodeAt(0) - 64;
  }
  return (letter - 1) * PINS_PER_LETTER + Number(digit);
}

/** A pin: a number, or a name such as `gpioB0`. */
export const PIN: TextKind<PinReading> = {
  expected: "a pin: a number, or a name such as gpioB0",
  read: (text) => {
    const named = pinOfProperty(text);
    if (named !== undefined) return { value: { pin: named, name: text } };
    const reading = PIN_NUMBER.read(text);
    return "value" in reading ? { value: { pin: reading.value } } : {
      problem: "is no pin",
      hint: "A pin is a number, or a name such as gpioB0 where the " +
        "controller's pins have such names",
    };
  },
  schema: { type: ["string", "integer"], pattern: PIN_PATTERN },
};

/**
 * The lines behind pins that are written as pin to line name.
 *
 * @param refuse Makes the error of what is wrong with one of them.
 * @throws {Error} If one is no pin, there is no such line, or a pin or a line
 * has two.
 */
export function tiePins(
  pins: Readonly<Record<string, string>>,
  lines: readonly LineSpecification[],
  refuse: (key: string, problem: string) => Error,
): QemuPin[] {
  const tied: QemuPin[] = [];
  for (const [key, lineName] of Object.entries(pins)) {
    const reading = PIN.read(key);
    if ("problem" in reading) {
      throw refuse(key, `"${key}" ${reading.problem}`);
    }
    const { value } = reading;
    const lineNumber = lines.findIndex(({ name }) => name === lineName);
    const other = tied.find((one) =>
      one.pin === value.pin || one.lineNumber === lineNumber
    );
    const problem = lineNumber < 0
      ? `no line here has the name "${lineName}"`
      : other === undefined
      ? undefined
      : other.pin === value.pin
      ? "the pin has a line already"
      : `the line is at pin ${other.name ?? other.pin} already`;
    if (problem !== undefined) throw refuse(key, problem);
    tied.push({ ...value, lineNumber });
  }
  return tied;
}
