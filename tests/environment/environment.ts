/**
 * Places of what `scripts/environment` gets and builds: kernels, QEMU,
 * reference tools.
 *
 * @module
 */

/** The things that `scripts/environment paths` knows. */
export const ARTEFACTS = [
  "deno",
  "uml",
  "dtc",
  "guestKernel",
  "guestDriver",
  "initramfs",
  "qemuOld",
  "qemuNew",
  "qemuNewest",
  "stockBookworm",
  "stockTrixie",
  "stockBackports",
  "stockTrixieArm64",
  "gpiod",
  "busybox",
  "udevd",
  "udevdTrixie",
  "podman",
  "qemuArmOld",
  "qemuArmNew",
  "arm64Kernel",
  "armhfKernel",
  "arm64Initramfs",
  "armhfInitramfs",
  "bullseyeRoot",
  "bookwormRoot",
  "trixieRoot",
  "bookwormSystem",
  "trixieSystem",
] as const;

/** Those that are not part of `scripts/environment all`. */
export const OPTIONAL_ARTEFACTS = ["arm64Deno", "arm64Libraries"] as const;

/** The name of one thing that `scripts/environment` provides. */
export type Artefact =
  | typeof ARTEFACTS[number]
  | typeof OPTIONAL_ARTEFACTS[number];

/** The top of the checkout, without a slash at its end. */
export const REPOSITORY: string = new URL("../..", import.meta.url).pathname
  .replace(/\/$/, "");

/**
 * Variable with the answer of `scripts/environment paths --json`: the script is a
 * hundred small processes, which take seconds on a busy machine or inside
 * User-Mode Linux. `scripts/test` sets it, and so does `uml.ts`
 * for the machines that it boots.
 */
export const PATHS_VARIABLE = "GPIOAGG_PATHS";

let text: Promise<string> | undefined;
let known: Promise<ReadonlyMap<Artefact, string>> | undefined;

/** Returns the places of all artefacts, as the script prints them. */
export function artefactText(): Promise<string> {
  return text ??= givenText();
}

async function givenText(): Promise<string> {
  return Deno.env.get(PATHS_VARIABLE) || await askScript();
}

async function askScript(): Promise<string> {
  const script = `${REPOSITORY}/scripts/environment`;
  const result = await new Deno.Command(script, {
    args: ["paths", "--json"],
    stdin: "null",
  }).output();
  if (!result.success) {
    const message = new TextDecoder().decode(result.stderr);
    throw new Error(`${script} paths --json failed: ${message.trim()}`);
  }
  return new TextDecoder().decode(result.stdout);
}

async function readPaths(): Promise<ReadonlyMap<Artefact, string>> {
  const paths: unknown = JSON.parse(await artefactText());
  const found = new Map<Artefact, string>();
  for (const name of [...ARTEFACTS, ...OPTIONAL_ARTEFACTS]) {
    const path = (paths as Record<string, unknown>)[name];
    if (typeof path === "string") found.set(name, path);
  }
  return found;
}

function artefactPaths(): Promise<ReadonlyMap<Artefact, string>> {
  // One question for all tests of a process.
  return known ??= readPaths();
}

/**
 * Tells which of the named things are missing, as a sentence with what to do.
 *
 * Undefined when all are there.
 */
export async function missingReason(
  ...names: readonly Artefact[]
): Promise<string | undefined> {
  const paths = await artefactPaths();
  const missing = names.filter((name) => !paths.has(name));
  if (missing.length === 0) return undefined;
  return `not on this machine: ${missing.join(", ")}; ` +
    "run scripts/environment all";
}

/**
 * Tells whether tests that need the named things must be skipped, and prints
 * the reason when they must: made for the `ignore` option of `Deno.test`.
 */
export async function mustSkip(
  ...names: readonly Artefact[]
): Promise<boolean> {
  const reason = await missingReason(...names);
  if (reason !== undefined) console.warn(`skipped: ${reason}`);
  return reason !== undefined;
}

/**
 * Gives the path of a thing that `scripts/environment` provides.
 *
 * @throws {Error} when it is missing, with what to do.
 */
export async function artefact(name: Artefact): Promise<string> {
  const path = (await artefactPaths()).get(name);
  if (path === undefined) {
    throw new Error(await missingReason(name) ?? name);
  }
  return path;
}
