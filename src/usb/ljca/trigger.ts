/**
 * Interrupt modes of an LJCA's lines.
 *
 * @module
 */
import { Edges } from "../../line/port.ts";
import { Config } from "./protocol.ts";

/** Interrupt modes; those from `High` on are levels. */
export const Trigger = {
  None: 0,
  Rising: 1,
  Falling: 2,
  Both: 3,
  High: 4,
  Low: 5,
};

/** Returns the trigger that a configuration asks for. */
export function decodeTrigger(value: number): number {
  const direction = value & (Config.Up | Config.Down);
  if ((value & Config.Edge) === 0) {
    return direction === 0
      ? Trigger.Both
      : direction === Config.Up
      ? Trigger.High
      : direction === Config.Down
      ? Trigger.Low
      : Trigger.None;
  }
  return direction === Config.Up
    ? Trigger.Rising
    : direction === Config.Down
    ? Trigger.Falling
    : Trigger.None;
}

/** Returns the edges that a line must report for a trigger. */
export function toEdges(trigger: number): Edges {
  return trigger < Trigger.High ? trigger as Edges : Edges.Both;
}
