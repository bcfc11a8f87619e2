/**
 * Keys of a request to create an aggregator, as the options of `gpioagg create`.
 *
 * @module
 */
import type { CreateRequest } from "../../client/protocol.ts";

/** Options by the keys of the request that they set. */
const SWITCHES: Readonly<Record<keyof CreateRequest, string>> = {
  name: "NAME",
  lines: "--line",
  lease: "--detach",
  socket: "--mode, --owner, --group",
  pausedFor: "--paused-for",
  isolate: "--isolate",
  kernelChip: "--kernel-chip",
  qemuPins: "--qemu-pins",
  vfioUser: "--vfio-user",
  usbredir: "--usbredir",
};

/** Keys of an exposure that have options of their own. */
const ACCESS_KEYS = ["mode", "owner", "group"];

/**
 * Returns the option that sets a value of the request: `--mode` for
 * `socket.mode`, `--qemu-pins qtest` for `qemuPins.qtest`. Other paths stay as
 * they are.
 */
export function findSwitch(path: string): string {
  const [first = "", ...keys] = path.replace(/\[\d+\]$/, "").split(".");
  if (!Object.hasOwn(SWITCHES, first)) return path;
  const last = keys.at(-1);
  if (last === undefined) return SWITCHES[first as keyof CreateRequest];
  return ACCESS_KEYS.includes(last)
    ? `--${last}`
    : `${SWITCHES[first as keyof CreateRequest]} ${last}`;
}
