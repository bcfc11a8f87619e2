/**
 * Checks which line may be at which pin of a controller inside QEMU.
 *
 * @module
 */
import type { QemuPin } from "../config/specification.ts";
import {
  type ControllerModel,
  findModel,
  PINS_PER_BANK,
  type RegisterBank,
} from "./controllers.ts";
import type { Controller } from "./find_controller.ts";
import type { LinkedPin, PinRule } from "./session_pin.ts";

/**
 * Returns why a line cannot be at a pin, and the remedy; undefined if it can.
 */
export function pinProblem(
  controller: Controller,
  { pin, name, lineNumber }: QemuPin,
  rule: PinRule,
): { problem: string; hint: string } | undefined {
  const { inputs, outputs, properties } = controller;
  const isThere = name === undefined
    ? properties.has(pin) || pin < Math.max(inputs, outputs)
    : properties.get(pin) === name;
  if (!isThere) {
    return {
      problem: `has no pin ${name ?? pin}; it has ${describePins(controller)}`,
      hint: "Tie fewer lines, or choose them with pins",
    };
  }
  const isDirected = findBank(controller, pin) !== undefined;
  if (rule === "any") {
    const problem = anyProblem(controller, isDirected);
    if (problem !== undefined) {
      return {
        problem,
        hint: `Give line ${lineNumber} direction=input or direction=output`,
      };
    }
  }
  if (rule === "input" && pin >= inputs && !properties.has(pin)) {
    return {
      problem: `does not accept a level for its pin ${pin} from outside`,
      hint: `Line ${lineNumber} cannot be an input there`,
    };
  }
  // Reports of a controller are compared with its registers.
  const isSeen = isDirected ||
    pin < outputs && readableModel(controller) === undefined;
  if (rule === "output" && !isSeen) {
    return {
      problem: `does not report its pin ${pin}`,
      hint: `Line ${lineNumber} cannot be an output there`,
    };
  }
  return undefined;
}

/** Returns why a line cannot be bidirectional; undefined if it can. */
function anyProblem(
  { type, isSecure }: Controller,
  isDirected: boolean,
): string | undefined {
  if (isSecure) {
    return "is in the secure world: QEMU does not show its pins' directions";
  }
  if (!isDirected) {
    return "has no known registers for its pins' directions";
  }
  return findModel(type)?.hasOneDriver === true
    ? "mixes up what a pin is driven to from the two sides"
    : undefined;
}

/** Returns the known model of a controller's registers, if they can be read. */
export function readableModel(
  { address, type, isSecure }: Controller,
): ControllerModel | undefined {
  return address < 0 || isSecure ? undefined : findModel(type);
}

function findBank(
  controller: Controller,
  pin: number,
): RegisterBank | undefined {
  return readableModel(controller)?.banks[Math.floor(pin / PINS_PER_BANK)];
}

function describePins({ inputs, outputs, properties }: Controller): string {
  const [first] = properties.values();
  return first === undefined
    ? `pins 0 to ${Math.max(inputs, outputs) - 1}`
    : `${properties.size} pins, of which 0 is "${first}"`;
}

/**
 * Assigns a pin to each of `count` lines.
 *
 * @throws {RangeError} If a line is not there, or it or a pin is taken.
 */
export function checkPins(count: number, pins: readonly QemuPin[]): void {
  const takenLines = new Set<number>();
  const takenPins = new Set<number>();
  for (const { pin, lineNumber } of pins) {
    const problem = lineNumber >= count
      ? `there are ${count} lines`
      : takenLines.has(lineNumber)
      ? "another pin has it"
      : takenPins.has(pin)
      ? "the pin has another line"
      : undefined;
    if (problem !== undefined) {
      throw new RangeError(
        `Cannot tie pin ${pin} to line ${lineNumber}: ${problem}`,
      );
    }
    takenLines.add(lineNumber);
    takenPins.add(pin);
  }
}

/**
 * Returns a notice about pins that QEMU drives itself; empty if there is none.
 */
export function keyNotice(
  { type, path, keyPins }: Controller,
  pins: readonly LinkedPin[],
): string {
  const tied = pins.find(({ pin, rule }) =>
    keyPins.includes(pin) && rule !== "output"
  );
  return tied === undefined ? "" : `${type} (${path}): pin ${tied.pin}, ` +
    `which line ${tied.line.lineNumber} is tied to, is the machine's power ` +
    `button as well: a guest may shut down when the line rises. With pins, ` +
    `leave it out`;
}
