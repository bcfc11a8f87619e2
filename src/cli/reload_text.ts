/**
 * What a reload did, in words.
 *
 * @module
 */
import type { ReloadState } from "../client/protocol.ts";

/** One line for each thing that was done, or was not. */
export function reloadLines(
  { added, removed, replaced, changed, refused }: ReloadState,
): string[] {
  const lines = [
    ...removed.map((name) => `${name}: removed`),
    ...added.map((name) => `${name}: added`),
    ...replaced.map((name) => `${name}: made anew, it has no guest`),
    ...changed.map((name) => `${name}: has other rules now`),
    ...refused.flatMap(({ aggregator, reasons }) =>
      reasons.map((reason) =>
        `${aggregator || "the service"}: not changed: ${reason}`
      )
    ),
  ];
  return lines.length === 0 ? ["nothing has changed"] : lines;
}
