/**
 * The program under test: the checkout, run by Deno, or a compiled executable.
 *
 * `GPIOAGG_EXECUTABLE` names an executable; `scripts/test executable` sets it.
 *
 * @module
 */
import { API_SINCE, hasApi } from "../../src/http/runtime.ts";
import { REPOSITORY } from "./environment.ts";

/** Variable that names an executable. */
export const EXECUTABLE_VARIABLE = "GPIOAGG_EXECUTABLE";

/** The executable under test; undefined if the checkout is tested. */
export const EXECUTABLE: string | undefined =
  Deno.env.get(EXECUTABLE_VARIABLE) || undefined;

/** The file to execute: Deno, or the executable. */
export const PROGRAM_FILE: string = EXECUTABLE ?? Deno.execPath();

/** Arguments of {@linkcode PROGRAM_FILE} before gpioagg's own. */
export const PROGRAM: readonly string[] = programArguments();

/**
 * The same with flags of V8, as `--v8-flags` takes them, or a module that is run
 * first; an executable takes neither.
 */
export function programArguments(
  { v8Flags, preload }: {
    readonly v8Flags?: string | undefined;
    readonly preload?: string;
  } = {},
): string[] {
  if (EXECUTABLE !== undefined) return [];
  return [
    "run",
    "-q",
    "--no-prompt",
    ...(v8Flags === undefined ? [] : [`--v8-flags=${v8Flags}`]),
    ...(preload === undefined ? [] : ["--preload", preload]),
    "--config",
    `${REPOSITORY}/deno.json`,
    "-P=gpioagg",
    `${REPOSITORY}/src/cli/main.ts`,
  ];
}

/** A file that takes gpioagg's arguments: the launcher, or the executable. */
export const LAUNCHER: string = EXECUTABLE ?? `${REPOSITORY}/scripts/gpioagg`;

/** Returns true, after saying so, if a test of the checkout has no place here. */
export function isExecutableTested(reason: string): boolean {
  if (EXECUTABLE === undefined) return false;
  console.warn(`skipped: the executable is tested; ${reason}`);
  return true;
}

/**
 * Returns true if a test of the executable cannot run; prints why.
 */
export function lacksExecutable(): boolean {
  if (EXECUTABLE !== undefined) return false;
  console.warn(
    `skipped: no executable; run scripts/test executable, or set ` +
      `${EXECUTABLE_VARIABLE}`,
  );
  return true;
}

let apiAnswer: boolean | undefined;

/**
 * Returns true, after saying so, if the executable's runtime is too old for the
 * control API. Files that ask this run with such an executable too.
 */
export function lacksApi(): boolean {
  if (EXECUTABLE === undefined) return false;
  if (apiAnswer === undefined) {
    const { stdout } = new Deno.Command(EXECUTABLE, {
      args: ["version", "--json"],
    }).outputSync();
    const { deno } = JSON.parse(new TextDecoder().decode(stdout));
    apiAnswer = !hasApi(deno);
    if (apiAnswer) {
      console.warn(
        `skipped: the control API needs Deno ${API_SINCE}, and the ` +
          `executable's runtime is ${deno}`,
      );
    }
  }
  return apiAnswer;
}
