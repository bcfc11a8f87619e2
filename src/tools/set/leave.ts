/**
 * State in which `set` leaves each line at its end.
 *
 * The kernel promises nothing about a line that is not requested; in practice
 * most drivers leave its last state. That last state can be chosen.
 *
 * @module
 */
import type { LineSettings } from "../../gpio/line_settings.ts";
import type { Value } from "../../line/value.ts";
import { parseValue } from "../lines/line_values.ts";
import { ToolError } from "../program/tool_error.ts";

/**
 * A state to leave: a value; an input; the line's state before; or its last
 * state.
 */
export type LeaveState = Value | "input" | "previous" | "as-is";

/** Words for states that are not values. */
export const LEAVE_WORDS = ["input", "previous", "as-is"] as const;

/** State of a line before it was requested. */
export interface Before {
  readonly direction: "input" | "output";
  readonly value: Value;
}

/** The states given with `--leave`: for all lines, and for some by name. */
export class LeaveStates {
  #forAll: LeaveState = "as-is";
  readonly #byId = new Map<string, LeaveState>();

  /**
   * Parses `STATE` or `LINE=STATE`, several separated by commas.
   *
   * @throws {ToolError} If a state is invalid.
   */
  add(text: string): void {
    for (const part of text.split(",")) {
      const equals = part.lastIndexOf("=");
      const state = parseState(part.slice(equals + 1));
      if (equals < 0) this.#forAll = state;
      else this.#byId.set(part.slice(0, equals), state);
    }
  }

  /**
   * Returns the state of each line, in their order.
   *
   * @throws {ToolError} If a state is for a line that is not set.
   */
  of(ids: readonly string[]): LeaveState[] {
    const unknown = [...this.#byId.keys()].filter((id) => !ids.includes(id));
    if (unknown.length > 0) {
      throw new ToolError(
        unknown.map((id) => `line '${id}' of --leave is not set`),
      );
    }
    return ids.map((id) => this.#byId.get(id) ?? this.#forAll);
  }
}

function parseState(text: string): LeaveState {
  const state = parseValue(text) ?? LEAVE_WORDS.find((word) => word === text);
  if (state === undefined) {
    throw new ToolError(`invalid state to leave: '${text}'`, {
      advice: "use 0, 1, input, previous or as-is; LINE=STATE for one line",
    });
  }
  return state;
}

/** States that lines get at the end. */
interface LeavePlan {
  readonly values: ReadonlyMap<number, Value>;
  readonly settings: ReadonlyMap<number, LineSettings>;
}

/** Plans the steps to the states; `before` is needed for `previous`. */
export function planLeave(
  states: readonly LeaveState[],
  before: readonly Before[],
  input: LineSettings,
): LeavePlan {
  const values = new Map<number, Value>();
  const settings = new Map<number, LineSettings>();
  for (const [index, state] of states.entries()) {
    const was = before[index];
    if (state === "input") settings.set(index, input);
    else if (state === "previous") {
      if (was?.direction === "output") values.set(index, was.value);
      else settings.set(index, input);
    } else if (state !== "as-is") values.set(index, state);
  }
  return { values, settings };
}
