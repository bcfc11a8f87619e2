/**
 * Runs the unit tests, with the files of a folder in one isolate.
 *
 * The start of an isolate and the modules that a test imports cost more than
 * the tests of most files. Files whose tests must not see what others have
 * loaded or left are run in isolates of their own.
 *
 *   deno task test [--quick] [PATH...] [-- OPTION_OF_DENO_TEST...]
 *
 * `--quick` leaves out the tests that measure allocation, and hostile input.
 *
 * @module
 */

/** Directories with unit tests. */
export const PATHS: readonly string[] = [
  "ffi",
  "src",
  "tests/fuzz",
  "tests/doubles",
  "tests/bench",
  "tests/soak",
];

/** Modules, and directories of them, whose documentation may have examples. */
const DOCUMENTED: readonly string[] = ["ffi", "src", "mod.ts"];
const EXAMPLE = /^\s*\* ```ts$/m;
/**
 * Files that are run alone: those that measure allocation, listen for what
 * nothing has caught, or run whole programs.
 */
const ALONE =
  /(?:allocation|unexpected)_test\.ts$|^tests\/(?:bench|inside|soak)\//;

/** Files that take long, and rarely notice anything alone. */
const SLOW = /allocation_test\.ts$|\/hostile\w*_test\.ts$/;
const QUICK = "--quick";

const ROOT = new URL("..", import.meta.url).pathname;

/** Modules for `deno test`. Disposing removes those that were made. */
export interface TestModules extends Disposable {
  readonly paths: readonly string[];
}

/**
 * Makes a module for the tests of each folder below `paths`.
 *
 * @param paths Files and directories, relative to the checkout.
 * @param isWanted False for files to leave out.
 */
export function testModules(
  paths: readonly string[],
  isWanted: (file: string) => boolean = () => true,
): TestModules {
  const directory = Deno.makeTempDirSync({ prefix: "unit-tests-" });
  const groups = new Map<string, string[]>();
  const others: string[] = [];
  const files = paths.flatMap((path) => [...filesOf(path)]).filter(isWanted);
  for (const file of files) {
    if (ALONE.test(file)) {
      others.push(`${ROOT}${file}`);
      continue;
    }
    const [top, folder = ""] = file.split("/");
    const group = folder.endsWith(".ts") ? top! : `${top}_${folder}`;
    groups.set(group, [...groups.get(group) ?? [], file]);
  }
  // The largest first: they take longest.
  const sorted = [...groups].sort(([, a], [, b]) => b.length - a.length);
  const made = sorted.map(([group, files]) => {
    const path = `${directory}/${group}_test.ts`;
    const imports = files.map((file) =>
      `import ${JSON.stringify(`file://${ROOT}${file}`)};\n`
    );
    Deno.writeTextFileSync(path, imports.join(""));
    return path;
  });
  return {
    paths: [...made, ...others],
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

/** Returns the modules whose examples are tests too. */
export function documentedModules(): string[] {
  return DOCUMENTED.flatMap((path) => [...filesOf(path, /\.ts$/)])
    .map((file) => `${ROOT}${file}`)
    .filter((path) => EXAMPLE.test(Deno.readTextFileSync(path)));
}

/** Lists the files of this kind below a path; a file is itself. */
function* filesOf(path: string, kind = /_test\.ts$/): Generator<string> {
  if (Deno.statSync(`${ROOT}${path}`).isFile) {
    yield path;
    return;
  }
  for (const entry of Deno.readDirSync(`${ROOT}${path}`)) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory) yield* filesOf(below, kind);
    else if (kind.test(below)) yield below;
  }
}

/** Runs `deno test` with these modules; returns true if all tests pass. */
export async function runTests(
  modules: readonly string[],
  options: readonly string[],
): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--quiet",
      "--permission-set=unit",
      `--config=${ROOT}deno.json`,
      "--parallel",
      ...options,
      ...modules,
    ],
    cwd: ROOT,
  }).spawn().status;
  return success;
}

async function main(): Promise<boolean> {
  const end = Deno.args.indexOf("--");
  const given = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const isQuick = given.includes(QUICK);
  const paths = given.filter((path) => path !== QUICK);
  const options = end < 0 ? [] : Deno.args.slice(end + 1);
  using modules = testModules(
    paths.length === 0 ? PATHS : paths,
    (file) => !isQuick || !SLOW.test(file),
  );
  return paths.length > 0
    ? await runTests(modules.paths, options)
    : await runTests([...modules.paths, ...documentedModules()], [
      "--doc",
      ...options,
    ]);
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
