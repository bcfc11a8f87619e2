/**
 * Requirements of interrupt types on a line.
 *
 * @module
 */
import { IrqType } from "./protocol.ts";
import { Edges } from "../../line/port.ts";

/** The edges a port must report for an interrupt type; undefined for no type. */
export function edgesFor(type: number): Edges | undefined {
  switch (type) {
    case IrqType.None:
      return Edges.None;
    case IrqType.EdgeRising:
      return Edges.Rising;
    case IrqType.EdgeFalling:
      return Edges.Falling;
    case IrqType.EdgeBoth:
    case IrqType.LevelHigh:
    case IrqType.LevelLow:
      return Edges.Both;
    default:
      return undefined;
  }
}

/** Returns true if a valid type is one of levels, not of edges. */
export function isLevelType(type: number): boolean {
  return type >= IrqType.LevelHigh;
}
