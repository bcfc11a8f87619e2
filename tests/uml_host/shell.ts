/**
 * Machine set-up for tests of services and containers.
 *
 * @module
 */

import { REPOSITORY } from "../environment/environment.ts";
import { EXECUTABLE } from "../environment/program.ts";

/**
 * Runs a shell script; what it writes to standard output.
 *
 * @throws {Error} when it fails, with what it said.
 */
export async function shell(script: string): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command("/bin/sh", {
    args: ["-euc", script],
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  if (!success) {
    const said = decoder.decode(stdout) + decoder.decode(stderr);
    throw new Error(`Failed: ${script.trim()}\n${said.trim()}`);
  }
  return decoder.decode(stdout).trimEnd();
}

/** Place in the machine of what is in home directories elsewhere. */
export const TOP = "/opt/gpioagg";

/** Files that are installed as `gpioagg`, by its place in the machine. */
export const INSTALLED: string = EXECUTABLE === undefined
  ? `${TOP}/checkout/scripts/gpioagg`
  : `${TOP}/bin/gpioagg-executable`;

/**
 * Makes the checkout, Deno and what it has cached visible at
 * {@linkcode TOP}, to those too who may not look into anybody's home.
 */
export async function showProgram(): Promise<void> {
  await shell(`
    mkdir -p ${TOP}/checkout ${TOP}/deno-cache ${TOP}/bin
    mount --bind '${REPOSITORY}' ${TOP}/checkout
    mount --bind "\${DENO_DIR:-\${XDG_CACHE_HOME:-$HOME/.cache}/deno}" \\
      ${TOP}/deno-cache
    touch ${TOP}/bin/deno
    # Not what PATH has, which may be a script that starts one in a home.
    mount --bind '${Deno.execPath()}' ${TOP}/bin/deno
  `);
  if (EXECUTABLE === undefined) return;
  await shell(`
    touch ${INSTALLED}
    mount --bind '${EXECUTABLE}' ${INSTALLED}
  `);
}
