/**
 * The slots of a lane that has died under the reactor, until another lane takes
 * its place: they look as if the chip were away.
 *
 * The memory and the event descriptors are neither side's, so the reactor hears
 * of the loss, and of the end of it, by what it looks at anyway.
 *
 * @module
 */
import { EIO } from "../../../ffi/errno.ts";
import { Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import { type LineSource, SourceOperation } from "../line_source.ts";
import { LaneClosing, LaneSlot, SlotState, SlotUse } from "./lane_memory.ts";

/**
 * Marks slots as served by no lane: operations under way have failed, later ones
 * fail at once. The reactor is to be signalled then.
 */
export function loseSlots(memory: ArrayBuffer, count: number): void {
  for (let index = 0; index < count; index++) {
    const slot = new LaneSlot(memory, index);
    slot.set("value", FAILED);
    slot.set("errno", EIO);
    slot.set("absent", 1);
    // The asking side looks at it after it has asked: one of both sees the other.
    slot.set("unserved", 1);
    if (slot.get("state") !== SlotState.Asked) continue;
    slot.set("result", FAILED);
    slot.exchange("state", SlotState.Asked, SlotState.Answered);
  }
}

/** Returns true if the reactor has closed the line, and nothing serves that. */
export function isSlotClosing(memory: ArrayBuffer, index: number): boolean {
  return new LaneSlot(memory, index).get("closing") !== LaneClosing.No;
}

/** Keeps in its slot how an operation left a line. */
export function noteUse(
  slot: LaneSlot,
  operation: SourceOperation,
  argument: number,
): void {
  switch (operation) {
    case SourceOperation.GetValue:
      return;
    case SourceOperation.SetValue:
    case SourceOperation.Output:
      slot.set("use", SlotUse.Output);
      slot.set("edges", Edges.None);
      // An output that stays as it is keeps the value that it was given.
      if (argument !== UNSPECIFIED || operation === SourceOperation.Output) {
        slot.set("driven", argument);
      }
      return;
    case SourceOperation.Input:
    case SourceOperation.SetEdges:
      slot.set("use", SlotUse.Input);
      slot.set(
        "edges",
        operation === SourceOperation.SetEdges ? argument : Edges.None,
      );
      return;
    case SourceOperation.Deactivate:
      slot.set("edges", Edges.None);
      return;
    case SourceOperation.Release:
      slot.set("use", SlotUse.Released);
      slot.set("edges", Edges.None);
  }
}

/**
 * Makes the line of a lane that took another's place what it was, as one does
 * whose chip came back. What the reactor wanted meanwhile, such as the rule of a
 * guest that has gone, comes before that.
 *
 * @returns False if nothing is known, or the kernel refuses it.
 */
export function takeUp(slot: LaneSlot, source: LineSource): boolean {
  if (slot.get("remember") === 1) {
    slot.set("remember", 0);
    noteUse(
      slot,
      slot.get("rememberOperation") as SourceOperation,
      slot.get("rememberArgument"),
    );
  }
  const step = safeStep(slot);
  if (step === undefined) return false;
  const [operation, argument] = step;
  if (source.isAbsent === true) {
    source.remember?.(operation, argument);
    return true;
  }
  return source.submit(operation, argument) !== FAILED;
}

function safeStep(
  slot: LaneSlot,
): [operation: SourceOperation, argument: number] | undefined {
  switch (slot.get("use")) {
    case SlotUse.Output:
      return [SourceOperation.Output, slot.get("driven")];
    case SlotUse.Input: {
      const edges = slot.get("edges");
      return edges === Edges.None
        ? [SourceOperation.Input, 0]
        : [SourceOperation.SetEdges, edges];
    }
    case SlotUse.Released:
      return [SourceOperation.Release, 0];
    default:
      return undefined;
  }
}
