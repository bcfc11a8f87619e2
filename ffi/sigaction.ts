/**
 * The C library's `struct sigaction`, the same on both targets.
 *
 * @module
 */
import { bytes, I32, type Layout, layout, PADDING, U64 } from "./layout.ts";

/**
 * Layout of the struct; zeroes mean the default action.
 *
 * **Safety**: plain data.
 */
export const SIGACTION: Layout<
  "sa_handler" | "sa_mask" | "sa_flags" | "_hole" | "sa_restorer"
> = layout("sigaction", 152, [
  ["sa_handler", U64],
  ["sa_mask", bytes(128)],
  ["sa_flags", I32],
  ["_hole", PADDING],
  ["sa_restorer", U64],
]);
