/**
 * Text of the commands about an aggregator of a running service.
 *
 * @module
 */
import type { AggregatorState } from "../../client/protocol.ts";

/** Returns the path by which a program uses it: a socket, or a device node. */
export function accessPath(
  { socketPath, kernelChip, qemuPins, vfioUser, usbredir }: AggregatorState,
): string | undefined {
  return socketPath ?? vfioUser?.socketPath ?? usbredir?.sockets[0] ??
    kernelChip?.path ??
    qemuPins?.qtest;
}

/** Returns its use, as text. */
export function describeUse(
  { connected, ending, kernelChip }: AggregatorState,
): string {
  if (ending === true) return "being removed";
  if (kernelChip === undefined) {
    return connected ? "VMM connected" : "VMM not connected";
  }
  return !kernelChip.present
    ? "chip removed"
    : kernelChip.lostChips !== undefined
    ? "source chip gone"
    : connected
    ? "chip in use"
    : "chip not in use";
}
