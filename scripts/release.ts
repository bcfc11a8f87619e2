/**
 * Makes a release: everything that is published of a version, from one commit,
 * after all tests.
 *
 * It works in a copy of the checkout. Nothing in the checkout changes, and
 * nothing is written to the output, before every step has succeeded.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { readElf } from "./executable/elf.ts";
import { makeBeside } from "./releasing/outputs.ts";
import { formatBill, hex } from "./releasing/sbom.ts";
import {
  closeChangelog,
  extractChanges,
  testProblem,
  versionProblem,
} from "./releasing/texts.ts";

const HELP = `Usage: scripts/release VERSION [--output DIR] [--check]

Makes the release VERSION of the last commit: the version in deno.json and
CHANGELOG.md, executables for x86_64 and aarch64, all tests with them, a soak,
Debian packages, container images, bills of materials (CycloneDX) and checksums.
Then the checkout gets a commit and the tag vVERSION. Nothing is pushed or
published.

A test that fails or is skipped, or passes only at a second try, ends it; the
checkout is then as it was. Takes hours.

  --output DIR  default: dist/VERSION in the checkout; must not exist
  --check       only says what is missing for a release
  -h, --help    this text
`;

const ROOT = new URL("..", import.meta.url).pathname.replace(/\/$/, "");
/** Architectures of a release: Debian's and the containers' names of them. */
const TARGETS = [
  { arch: "x86_64", debian: "amd64" },
  { arch: "aarch64", debian: "arm64" },
] as const;
/** Everything that scripts/test has. */
const TIERS = [
  "unit",
  "libgpiod",
  "guest",
  "uml-host",
  "process",
  "long",
  "executable:all",
  "environment",
  "arm64",
  "uml-guest",
];
const SOAK_MINUTES = 30;
/** Programs that the steps need. */
const PROGRAMS = ["git", "dpkg-deb", "gzip", "podman"];

/** A step that ends the release; the message says why. */
class Refusal extends Error {}

if (import.meta.main) Deno.exit(await main(Deno.args));

async function main(args: readonly string[]): Promise<number> {
  const unknown: string[] = [];
  const given = parseArgs([...args], {
    string: ["output", "_"],
    boolean: ["help", "check"],
    alias: { h: "help" },
    unknown: (word: string) => {
      if (!word.startsWith("-")) return true;
      unknown.push(word);
      return false;
    },
  });
  if (given.help) {
    console.log(HELP.trimEnd());
    return 0;
  }
  const [version, ...more] = given._.map(String);
  if (unknown.length > 0) return fail(2, `unknown option ${unknown[0]}`);
  if (version === undefined || more.length > 0) {
    return fail(2, "needs one version; see --help");
  }
  const output = given.output ?? `${ROOT}/dist/${version}`;
  const problems = await findProblems(version, output);
  for (const problem of problems) console.error(`release: ${problem}`);
  if (problems.length > 0) return 1;
  if (given.check) return 0;
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-release-" });
  try {
    await release(version, output, directory);
    return 0;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return fail(1, error.message);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Returns all that stands against a release before anything is built. */
async function findProblems(
  version: string,
  output: string,
): Promise<string[]> {
  const problems: string[] = [];
  const add = (problem: string | undefined) => {
    if (problem !== undefined) problems.push(problem);
  };
  add(versionProblem(version, await presentVersion(ROOT)));
  try {
    closeChangelog(await readText(ROOT, "CHANGELOG.md"), version, "");
  } catch (error) {
    add((error as Error).message);
  }
  if (Deno.build.arch !== "x86_64") add("the tests need a machine with x86_64");
  const pinned = (await readText(ROOT, ".deno-version")).trim();
  if (Deno.version.deno !== pinned) {
    add(
      `this is Deno ${Deno.version.deno}, not ${pinned} as .deno-version says`,
    );
  }
  for (const program of PROGRAMS) {
    if (!await exists(program)) add(`${program} is not installed`);
  }
  if (await isThere(output)) add(`${output} exists already`);
  if (!await exists("git")) return problems;
  const status = await read(ROOT, "git", "status", "--porcelain");
  if (status !== "") add(`the checkout has changes:\n${status}`);
  const tag = await read(ROOT, "git", "tag", "--list", `v${version}`);
  if (tag !== "") add(`the tag v${version} exists already`);
  return problems;
}

async function release(
  version: string,
  output: string,
  directory: string,
): Promise<void> {
  const copy = `${directory}/gpioagg`;
  const made = `${directory}/made`;
  await Deno.mkdir(made);
  await run(ROOT, "git", "clone", "-q", "--no-hardlinks", ROOT, copy);
  const now = new Date();
  await setVersion(copy, version, now.toISOString().slice(0, 10));

  for (const { arch } of TARGETS) {
    const said = await run(copy, "deno", "task", "compile", "--target", arch);
    if (said.includes("for tests only")) {
      throw new Refusal(`the executable for ${arch} is for tests only`);
    }
  }
  const executable = (arch: string) => `${copy}/dist/gpioagg-${arch}`;
  const result = await tell(copy, {
    GPIOAGG_ALL_ROUNDS: "1",
    GPIOAGG_EXECUTABLE: executable("x86_64"),
    GPIOAGG_ARM64_EXECUTABLE: executable("aarch64"),
  }, ["scripts/test", ...TIERS]);
  const problem = testProblem(result.output);
  if (problem !== undefined || !result.success) {
    throw new Refusal(problem ?? "the tests failed");
  }
  await run(copy, "deno", "task", "soak", "--minutes", String(SOAK_MINUTES));
  await run(copy, "deno", "publish", "--dry-run");

  const time = now.toISOString().replace(/\.\d+Z$/, "Z");
  const lock = await readText(copy, "deno.lock");
  for (const { arch, debian } of TARGETS) {
    const file = executable(arch);
    await run(
      copy,
      ...["deno", "task", "package", "--executable", file, "--output", made],
    );
    await image(copy, version, arch, debian, made);
    const name = `gpioagg-${version}-${arch}`;
    await Deno.copyFile(file, `${made}/${name}`);
    await Deno.chmod(`${made}/${name}`, 0o755);
    await Deno.writeTextFile(
      `${made}/${name}.cdx.json`,
      formatBill({
        version,
        architecture: arch,
        sha256: await hashFile(file),
        deno: Deno.version.deno,
        lock,
        ...readElf(file),
        time,
      }),
    );
  }
  await Deno.writeTextFile(
    `${made}/CHANGES.md`,
    `${extractChanges(await readText(copy, "CHANGELOG.md"), version)}\n`,
  );
  await writeChecksums(made);
  await publish(copy, version, made, output);
}

/** Commits the version to the copy. */
async function setVersion(
  copy: string,
  version: string,
  date: string,
): Promise<void> {
  const change = async (path: string, edit: (text: string) => string) =>
    await Deno.writeTextFile(
      `${copy}/${path}`,
      edit(await readText(copy, path)),
    );
  await change(
    "deno.json",
    (text) => text.replace(/("version": )"[^"]*"/, `$1"${version}"`),
  );
  await change("CHANGELOG.md", (text) => closeChangelog(text, version, date));
  await change(
    "src/cli/man/roff.ts",
    (text) => text.replace(/(export const DATE = )"[^"]*"/, `$1"${date}"`),
  );
  await run(copy, "git", "commit", "-q", "-a", "-m", `release: ${version}`);
}

/** Builds the image of an architecture, and saves it as an OCI archive. */
async function image(
  copy: string,
  version: string,
  arch: string,
  platform: string,
  made: string,
): Promise<void> {
  const tag = `localhost/gpioagg:${version}-${arch}`;
  await run(
    copy,
    ...["podman", "build", "-q", "-f", "scripts/Containerfile"],
    ...["--platform", `linux/${platform}`, "--build-arg", "EXECUTABLE=given"],
    ...["--build-arg", `TARGET=${arch}`, "-t", tag, "."],
  );
  await run(
    copy,
    ...["podman", "save", "-q", "--format", "oci-archive", "-o"],
    ...[`${made}/gpioagg-${version}-${arch}.oci.tar`, tag],
  );
}

/** Writes SHA256SUMS, as `sha256sum --check` reads it. */
async function writeChecksums(directory: string): Promise<void> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(directory)) names.push(name);
  let text = "";
  for (const name of names.sort()) {
    text += `${await hashFile(`${directory}/${name}`)}  ${name}\n`;
  }
  await Deno.writeTextFile(`${directory}/SHA256SUMS`, text);
}

/** Gives the checkout its files, its commit and its tag: the last step. */
async function publish(
  copy: string,
  version: string,
  made: string,
  output: string,
): Promise<void> {
  const beside = await makeBeside(output);
  await run(ROOT, "cp", "-r", `${made}/.`, beside);
  await Deno.chmod(beside, 0o755);
  await run(ROOT, "git", "fetch", "-q", copy, "HEAD");
  await run(ROOT, "git", "merge", "-q", "--ff-only", "FETCH_HEAD");
  await run(
    ROOT,
    ...["git", "tag", "-a", `v${version}`, "-m", `gpioagg ${version}`],
  );
  await Deno.rename(beside, output);
  console.log(`${output}
Look at it, then publish it:
  git push --follow-tags
  deno publish`);
}

/** Runs a program, and shows what it says. @throws {Refusal} If it fails. */
async function run(cwd: string, ...words: string[]): Promise<string> {
  const { success, output } = await tell(cwd, {}, words);
  if (!success) throw new Refusal(`"${words.join(" ")}" failed`);
  return output;
}

async function tell(
  cwd: string,
  env: Record<string, string>,
  [program, ...args]: readonly string[],
): Promise<{ success: boolean; output: string }> {
  console.log(`release: ${[program, ...args].join(" ")}`);
  const child = new Deno.Command(
    program === "deno" ? Deno.execPath() : program!,
    {
      args,
      cwd,
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    },
  ).spawn();
  let output = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    await writeAll(text);
    output += text;
  }
  return { success: (await child.status).success, output };
}

async function writeAll(text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) {
    bytes = bytes.subarray(await Deno.stdout.write(bytes));
  }
}

/** Returns the output of a program that changes nothing. */
async function read(cwd: string, ...words: string[]): Promise<string> {
  const [program, ...args] = words;
  const { stdout } = await new Deno.Command(program!, { args, cwd }).output();
  return new TextDecoder().decode(stdout).trimEnd();
}

async function readText(directory: string, path: string): Promise<string> {
  return await Deno.readTextFile(`${directory}/${path}`);
}

async function presentVersion(directory: string): Promise<string> {
  const { version } = JSON.parse(await readText(directory, "deno.json"));
  return version;
}

async function exists(program: string): Promise<boolean> {
  return (await new Deno.Command("sh", {
    args: ["-c", 'command -v "$1"', "sh", program],
    stdout: "null",
  }).output()).success;
}

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function hashFile(path: string): Promise<string> {
  const bytes = await Deno.readFile(path);
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function fail(status: number, message: string): number {
  console.error(`release: ${message}`);
  return status;
}
