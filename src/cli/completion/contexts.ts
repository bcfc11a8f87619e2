/**
 * Places of a command line that have options of their own: commands, their
 * actions, and libgpiod's tools.
 *
 * @module
 */
import type { Completes } from "../../text/completes.ts";
import type { CatalogCommand, CatalogOption } from "../usage/catalog.ts";

/** Manual pages beside those of commands. */
export const FORMAT_PAGES = ["gpioagg.yaml", "spec"] as const;

/** A command, or an action of one. */
export interface Context {
  /** Words after `gpioagg`: `show`, `kernel create`. */
  readonly words: string;
  readonly summary: string;
  readonly options: readonly CatalogOption[];
  readonly operands: readonly Completes[];
}

/** Returns commands and actions; those with actions have no operands. */
export function listContexts(commands: readonly CatalogCommand[]): Context[] {
  return commands.flatMap(({ name, summary, options, operands, actions }) => [
    { words: name, summary, options, operands },
    ...actions.map((action) => ({
      words: `${name} ${action.name}`,
      summary: action.about,
      options: [...action.options, ...options],
      operands: action.operands,
    })),
  ]);
}

/** Returns true if operands of this kind can follow each other. */
export function isRepeated(completes: Completes): boolean {
  return [
    "pull",
    "served-line",
    "line-condition",
    "forced-value",
    "rule-change",
    "chip",
    "line",
    "line-value",
    "spec",
    "kernel-chip",
  ].some((
    kind,
  ) => kind === completes);
}

/** Returns a string that a POSIX shell takes as one word. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text)
    ? text
    : `'${text.replaceAll("'", `'\\''`)}'`;
}
