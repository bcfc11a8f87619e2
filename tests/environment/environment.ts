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
  "initramfs",
  "qemuOld",
  "qemuNew",
  "qemuNewest",
  "stockBookworm",
  "stockTrixie",
  "gpiod",
  "busybox",
  "udevd",
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

let known: Promise<ReadonlyMap<Artefact, string>> | undefined;

async function askScript(): Promise<ReadonlyMap<Artefact, string>> {
  const script = `${REPOSITORY}/scripts/environment`;
  const result = await new Deno.Command(script, {
    args: ["paths", "--json"],
    stdin: "null",
  }).output();
  if (!result.success) {
    const text = new TextDecoder().decode(result.stderr);
    throw new Error(`${script} paths --json failed: ${text.trim()}`);
  }
  const paths: unknown = JSON.parse(new TextDecoder().decode(result.stdout));
  const found = new Map<Artefact, string>();
  for (const name of [...ARTEFACTS, ...OPTIONAL_ARTEFACTS]) {
    const path = (paths as Record<string, unknown>)[name];
    if (typeof path === "string") found.set(name, path);
  }
  return found;
}

function artefactPaths(): Promise<ReadonlyMap<Artefact, string>> {
  // One question for all tests of a process: the answer costs a tenth of a
  // second, several inside User-Mode Linux.
  return known ??= askScript();
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
