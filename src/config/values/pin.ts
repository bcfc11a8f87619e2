/**
 * Pins of a controller that QEMU emulates, by number, or by name where the
 * controller's pins have names.
 *
 * @module
 */
import { PIN_NUMBER, type TextKind } from "./values.ts";

/** A pin as the user wrote it. */
export interface PinReading {
  /** Its number on the controller. */
  readonly pin: number;
  /** Its name, if the user wrote one. */
  readonly name?: string;
}

const PIN_PROPERTY = /^gpio([A-Z]{1,2})([0-7])$/;
const PINS_PER_LETTER = 8;

/** Pattern of a pin, for editors. */
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
      problem: "is not a valid pin",
      hint: "A pin is a number, or a name such as gpioB0 where the " +
        "controller's pins have such names",
    };
  },
  schema: { type: ["string", "integer"], pattern: PIN_PATTERN },
};
