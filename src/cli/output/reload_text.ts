/**
 * Text of a reload's result.
 *
 * @module
 */
import type { ReloadState } from "../../client/protocol.ts";

/** Returns one line for each change, done or refused. */
export function reloadLines(
  { added, removed, replaced, changed, refused }: ReloadState,
): string[] {
  const lines = [
    ...removed.map((name) => `${name}: removed`),
    ...added.map((name) => `${name}: added`),
    ...replaced.map((name) => `${name}: replaced, it has no guest`),
    ...changed.map((name) => `${name}: rules changed`),
    ...refused.flatMap(({ aggregator, reasons }) =>
      reasons.map((reason) =>
        `${aggregator || "the service"}: not changed: ${reason}`
      )
    ),
  ];
  return lines.length === 0 ? ["nothing has changed"] : lines;
}
