/**
 * `gpioagg completions`: prints the completion script of a shell.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { nearest } from "../../text/nearest.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import type { Commands } from "../usage/command.ts";
import { bashCompletion } from "../completion/bash.ts";
import { fishCompletion } from "../completion/fish.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { writeOutput } from "../output/output.ts";
import { buildCatalog } from "../usage/catalog.ts";
import { type CommandUsage, HELP_OPTION } from "../usage/usage.ts";

const SHELLS = {
  bash: bashCompletion,
  zsh: zshCompletion,
  fish: fishCompletion,
} as const;

const NAMES = Object.keys(SHELLS);
const HOW = `gpioagg completions ${NAMES.join("|")}`;

/** The command line. */
export const USAGE = {
  name: "completions",
  synopsis: [NAMES.join("|")],
  about:
    `Prints the completion of a shell, for gpioagg and the GPIO tools: commands,
options, their values, and the aggregators, chips, lines and services of this
host.

  source <(gpioagg completions bash)           # in ~/.bashrc
  gpioagg completions bash > /usr/share/bash-completion/completions/gpioagg
  gpioagg completions zsh > /usr/share/zsh/vendor-completions/_gpioagg
  gpioagg completions fish > ~/.config/fish/completions/gpioagg.fish

The links gpioget, gpioset, … (gpioagg install-tools) have it too once the script
is loaded. Live words come from the gpioagg in PATH.`,
  operands: [NAMES],
  options: { help: HELP_OPTION },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(
  args: readonly string[],
  _programName: string,
  commands: Commands,
): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  const [shell, ...others] = given.rest;
  if (shell === undefined) {
    throw new ConfigError("missing SHELL argument", { hint: HOW });
  }
  noRest({ rest: others }, HOW);
  if (!Object.hasOwn(SHELLS, shell)) {
    const near = nearest(shell, NAMES);
    throw new ConfigError(`unknown shell "${shell}"`, {
      hint: near === undefined ? HOW : `Did you mean ${near}?`,
    });
  }
  const script = SHELLS[shell as keyof typeof SHELLS];
  writeOutput(script(await buildCatalog(commands)).trimEnd());
  return 0;
}
