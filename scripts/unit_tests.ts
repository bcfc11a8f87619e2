/**
 * Runs the unit tests in a few isolates, the files of a folder in the same.
 *
 * The start of an isolate and the modules that a test imports cost more than
 * the tests of most files. Files whose tests must not see what others have
 * loaded or left are run in isolates of their own; tests that count what the
 * process has, in a second process without other threads (`testAlone`).
 *
 *   deno task test [--no-large] [--quick] [PATH...] [-- OPTION_OF_DENO_TEST...]
 *
 * `--no-large` leaves out the tests whose subject is a size (`testLarge`);
 * `--quick` these, the tests that measure allocation, and hostile input.
 *
 * @module
 */

import { ALONE_FILTER, ALONE_VARIABLE } from "../tests/doubles/test_alone.ts";
import { LARGE_VARIABLE } from "../tests/doubles/test_large.ts";

/** Directories with unit tests. */
export const PATHS: readonly string[] = [
  "ffi",
  "src",
  "tests/fuzz",
  "tests/doubles",
  "tests/bench",
  "tests/soak",
  "scripts",
];

/** Modules, and directories of them, whose documentation may have examples. */
const DOCUMENTED: readonly string[] = ["ffi", "src", "mod.ts"];
const EXAMPLE = /^ *\* ```ts\n([^]*?)^ *\* ```$/gm;
const PACKAGE = '"@gpioagg/gpioagg"';
/**
 * Files with an isolate of their own: those that measure allocation, listen for
 * what nothing has caught, or run whole programs.
 */
const OWN_ISOLATE = /(?:allocation|unexpected)_test\.ts$|^tests\/inside\//;
/** A definition of a test for a process without other threads. */
const ALONE = /\btest(?:Alone|Serially)\(/;
/** Isolates for all other files, and files that are worth one. */
const MAX_ISOLATES = 2;
const FILES_OF_ISOLATE = 40;

/** Files that take long, and rarely notice anything alone. */
const SLOW = /allocation_test\.ts$|\/hostile\w*_test\.ts$/;
const QUICK = "--quick";
const NO_LARGE = "--no-large";

/** Tests that take longer hang. **Units**: milliseconds. */
const LIMIT_MS = 2_700_000;

const ROOT = new URL("..", import.meta.url).pathname;
/** Imported before the tests. */
const NO_CHILDREN = "tests/doubles/no_children.ts";

/** Modules for `deno test`. Disposing removes those that were made. */
export interface TestModules extends Disposable {
  /** Modules whose tests may run on several threads. */
  readonly parallel: readonly string[];
  /** Modules with tests for a process without other threads. */
  readonly alone: readonly string[];
}

/** Choice of {@linkcode testModules}. */
export interface TestChoice {
  /** False for files to leave out. */
  readonly isWanted?: (file: string) => boolean;
  /** Adds the examples of the documentation. */
  readonly examples?: boolean;
}

/**
 * Makes modules that import the tests below `paths`.
 *
 * @param paths Files and directories, relative to the checkout.
 */
export function testModules(
  paths: readonly string[],
  { isWanted = () => true, examples = false }: TestChoice = {},
): TestModules {
  const directory = Deno.makeTempDirSync({ prefix: "unit-tests-" });
  const writeModule = (name: string, files: readonly string[]) => {
    const path = `${directory}/${name}_test.ts`;
    const imports = [NO_CHILDREN, ...files].map((file) =>
      `import ${JSON.stringify(new URL(file, `file://${ROOT}`))};\n`
    );
    Deno.writeTextFileSync(path, imports.join(""));
    return path;
  };
  const files = paths.flatMap((path) => [...findFiles(path)]).filter(isWanted);
  const own = files.filter((file) => OWN_ISOLATE.test(file));
  const together = files.filter((file) => !OWN_ISOLATE.test(file));
  const alone = files.filter((file) =>
    ALONE.test(Deno.readTextFileSync(`${ROOT}${file}`))
  );
  const shared = groups(together);
  // An isolate of their own would load the program once more.
  if (examples) shared.at(-1)?.push(exampleModule(directory));
  return {
    parallel: [
      ...shared.map((group, i) => writeModule(`unit_${i + 1}`, group)),
      ...own.map((file) => `${ROOT}${file}`),
    ],
    alone: alone.length === 0 ? [] : [writeModule("alone", alone)],
    [Symbol.dispose]: () => Deno.removeSync(directory, { recursive: true }),
  };
}

/** Divides files among isolates, those of a folder together. */
function groups(files: readonly string[]): string[][] {
  const folders = Map.groupBy(files, (file) => {
    const [top, folder = ""] = file.split("/");
    return folder.endsWith(".ts") ? top : `${top}/${folder}`;
  });
  const count = Math.min(
    MAX_ISOLATES,
    Math.ceil(files.length / FILES_OF_ISOLATE),
  );
  const made = Array.from({ length: count }, (): string[] => []);
  const largest = [...folders.values()].sort((a, b) => b.length - a.length);
  for (const folder of largest) {
    made.sort((a, b) => a.length - b.length)[0]!.push(...folder);
  }
  return made.filter((group) => group.length > 0)
    .sort((a, b) => b.length - a.length);
}

/** Makes a module with a test for each example of the documentation. */
function exampleModule(directory: string): string {
  const tests: string[] = [];
  const files = DOCUMENTED.flatMap((path) => [...findFiles(path, /\.ts$/)]);
  for (const file of files) {
    const source = Deno.readTextFileSync(`${ROOT}${file}`);
    for (const { 1: code, index } of source.matchAll(EXAMPLE)) {
      const module = `example_${tests.length + 1}.ts`;
      Deno.writeTextFileSync(
        `${directory}/${module}`,
        code!.replaceAll(/^ *\* ?/gm, "")
          .replaceAll(PACKAGE, JSON.stringify(`file://${ROOT}mod.ts`))
          .replaceAll(/(?<=from ")\.\//g, `file://${ROOT}${file}/../`),
      );
      const line = source.slice(0, index).split("\n").length;
      tests.push(
        `Deno.test("example of ${file}:${line}", async () => {\n` +
          `  await import("./${module}");\n});\n`,
      );
    }
  }
  const path = `${directory}/examples_test.ts`;
  Deno.writeTextFileSync(path, tests.join(""));
  return path;
}

/** Lists the files of this kind below a path; a file is itself. */
function* findFiles(path: string, kind = /_test\.ts$/): Generator<string> {
  if (Deno.statSync(`${ROOT}${path}`).isFile) {
    yield path;
    return;
  }
  for (const entry of Deno.readDirSync(`${ROOT}${path}`)) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory) yield* findFiles(below, kind);
    else if (kind.test(below)) yield below;
  }
}

/**
 * Runs `deno test` with these modules.
 *
 * @param hasLarge False to leave out the tests whose subject is a size.
 * @returns True if all tests pass.
 */
export async function runTests(
  { parallel, alone }: TestModules,
  options: readonly string[],
  hasLarge = true,
): Promise<boolean> {
  const large = hasLarge ? {} : { [LARGE_VARIABLE]: "none" };
  const passed = await denoTest(
    ["--parallel", ...options],
    parallel,
    { [ALONE_VARIABLE]: "none", ...large },
  );
  if (alone.length === 0) return passed;
  const only = ["--filter", ALONE_FILTER, ...options];
  return await denoTest(only, alone, {
    [ALONE_VARIABLE]: "only",
    ...large,
  }) && passed;
}

async function denoTest(
  options: readonly string[],
  modules: readonly string[],
  env: Record<string, string>,
): Promise<boolean> {
  const tests = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "--quiet",
      "--permission-set=unit",
      // Several isolates share few CPUs: helpers of V8's collector cost a fifth.
      "--v8-flags=--single-threaded-gc",
      `--config=${ROOT}deno.json`,
      ...options,
      ...modules,
    ],
    cwd: ROOT,
    env,
  }).spawn();
  const timer = setTimeout(() => {
    console.error(
      `The unit tests have not ended within ${LIMIT_MS / 1000} s. Tests that ` +
        "are named above as running for over a minute may wait for ever",
    );
    tests.kill("SIGKILL");
  }, LIMIT_MS);
  const { success } = await tests.status;
  clearTimeout(timer);
  return success;
}

async function main(): Promise<boolean> {
  const end = Deno.args.indexOf("--");
  const given = end < 0 ? Deno.args : Deno.args.slice(0, end);
  const isQuick = given.includes(QUICK);
  const hasLarge = !isQuick && !given.includes(NO_LARGE);
  const paths = given.filter((path) => path !== QUICK && path !== NO_LARGE);
  const isAll = paths.length === 0;
  using modules = testModules(isAll ? PATHS : paths, {
    isWanted: (file) => !isQuick || !SLOW.test(file),
    examples: isAll,
  });
  if (!hasLarge) {
    console.log("Left out: tests whose subject is a size (deno task test)");
  }
  const options = end < 0 ? [] : Deno.args.slice(end + 1);
  return await runTests(modules, options, hasLarge);
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
