/**
 * What the commands say of an aggregator of a running service.
 *
 * @module
 */
import type { AggregatorState } from "../client/protocol.ts";

/** What a program is given to use it: a socket, or a device node. */
export function placeOf(
  { socketPath, kernelChip, qemuPins }: AggregatorState,
): string | undefined {
  return socketPath ?? kernelChip?.path ?? qemuPins?.qtest;
}

/** Whether anybody uses it, in words. */
export function useOf({ connected, kernelChip }: AggregatorState): string {
  if (kernelChip === undefined) {
    return connected ? "VMM connected" : "VMM not connected";
  }
  return !kernelChip.present
    ? "chip gone"
    : connected
    ? "chip in use"
    : "chip not in use";
}
