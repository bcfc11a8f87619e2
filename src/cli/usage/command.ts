/**
 * Commands, as the table of all of them has them.
 *
 * @module
 */
import type { Usage } from "../../tools/program/usage.ts";
import type { CommandUsage } from "./usage.ts";

/**
 * Runs one command with its arguments, the name by which it was called, and all
 * commands; returns the exit status.
 */
type Main = (
  args: readonly string[],
  programName: string,
  commands: Commands,
) => number | Promise<number>;

/** Module of a command. */
export interface CommandModule {
  readonly main: Main;
  /** Its command line; absent for internal commands. */
  readonly USAGE?: CommandUsage | Usage;
}

/** A command in the table. */
interface Command {
  readonly summary: string;
  /** True for internal commands, which `--help` does not list. */
  readonly isHidden?: true;
  /** Name of the same command among libgpiod's tools. */
  readonly toolName?: string;
  readonly load: () => Promise<CommandModule>;
}

/** All commands by name, in the order of `--help`. */
export type Commands = Readonly<Record<string, Command>>;
