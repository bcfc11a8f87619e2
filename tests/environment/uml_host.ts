/**
 * User-Mode Linux as the host: simulated chips behind the real GPIO uAPI, and
 * Deno.
 *
 * @module
 */
import { artefact, REPOSITORY } from "./environment.ts";
import { sessionFiles, SimChip, type SimChipOptions } from "./gpio_sim.ts";
import type { ExecOptions, ExecResult } from "./guest_session.ts";
import { bootUml, type UmlOptions, type UmlSession } from "./uml.ts";

/** Deno's heap and the compiled modules need more than a guest does. */
const HOST_MEMORY_MIB = 1024;

/** For a process of each kind at the same time. */
export const SOAK_MEMORY_MIB = 2048;

/** Programs that tests start: compiled here too. */
const PROGRAM_FILES = [
  "src/cli/main.ts",
  "src/service/reactor/reactor_worker.ts",
  "src/service/lanes/lane_worker.ts",
];

/** A running host with simulated chips. */
export interface UmlHost extends UmlSession {
  /** Makes a simulated chip in the host. It goes with the host. */
  makeChip(options: SimChipOptions): Promise<SimChip>;
}

/**
 * Boots a host for simulated chips.
 *
 * @throws {Error} as {@linkcode bootUml} does.
 */
export async function bootUmlHost(options: UmlOptions = {}): Promise<UmlHost> {
  const session = await bootUml({ memoryMiB: HOST_MEMORY_MIB, ...options });
  return Object.assign(session, {
    makeChip: (chip: SimChipOptions) =>
      SimChip.create(sessionFiles(session), chip),
  });
}

/**
 * Boots a host, runs a shell script in it from the top of the checkout, and
 * ends the host.
 *
 * @throws {Error} when the host does not come up or a limit passes.
 */
export async function runInUml(
  script: string,
  options: UmlOptions & ExecOptions = {},
): Promise<ExecResult> {
  await using host = await bootUmlHost(options);
  return await host.exec(`cd '${REPOSITORY}' && ${script}`, options);
}

/**
 * Compiles the program, and `files`, on this machine: what they import must not
 * be looked for on a network that a host has not got, and compiling is slow
 * there.
 *
 * @throws {Error} If they do not compile.
 */
export async function cacheProgram(
  files: readonly string[] = [],
): Promise<void> {
  const cached = await new Deno.Command(await artefact("deno"), {
    args: ["cache", "--quiet", ...files, ...PROGRAM_FILES],
    cwd: REPOSITORY,
    stdin: "null",
  }).output();
  if (!cached.success) {
    const text = new TextDecoder().decode(cached.stderr);
    throw new Error(`Cannot compile ${files.join(" ")}: ${text.trim()}`);
  }
}

/** Options of a run of test files in a host. */
export interface DenoTestOptions extends ExecOptions {
  /** Arguments of `deno test` before the files: permissions, a filter. */
  readonly arguments?: readonly string[];
  /** The host. */
  readonly uml?: UmlOptions;
}

/**
 * Runs test files with `deno test` inside a host of their own: several as one
 * module, since `deno test` fills 80 MB for each module before it begins, which
 * takes seconds where page faults are slow.
 *
 * The files are compiled on this machine first: what they import must not be
 * looked for on a network that the host has not got, and compiling is slow
 * there.
 *
 * @throws {Error} when they do not compile, the host does not come up, or a
 * limit passes.
 */
export async function denoTestInUml(
  files: readonly string[],
  options: DenoTestOptions = {},
): Promise<ExecResult> {
  await cacheProgram(files);
  await using host = await bootUmlHost(options.uml);
  let module = files[0]!;
  if (files.length > 1) {
    await Deno.writeTextFile(
      `${host.share}/together_test.js`,
      files.map((file) => `await import("file://${REPOSITORY}/${file}");\n`)
        .join(""),
    );
    module = "/mnt/together_test.js";
  }
  const words = [...options.arguments ?? [], module].map((word) =>
    `'${word.replaceAll("'", "'\\''")}'`
  );
  return await host.exec(
    `cd '${REPOSITORY}' && ` +
      `deno test --quiet --no-check --cached-only ${words.join(" ")}`,
    { timeoutMs: 600_000, ...options },
  );
}
