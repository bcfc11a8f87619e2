/**
 * Coverage of all product code by the unit tier: a table, and a failure below
 * the floor.
 *
 * Files that no test loads count with all of their code lines, as covered by
 * none. Deno records what Workers run as well, so that the reactor and lanes
 * that tests start are counted; other processes are not.
 *
 *   deno task coverage [--all] [--keep DIRECTORY] [PATH...]
 *
 * `--all` prints every file, not only the worst. `PATH...` are tests or
 * directories of tests in place of all; then there is no floor.
 *
 * @module
 */
import { stripTypeScriptTypes } from "node:module";
import { parseArgs } from "@std/cli/parse-args";
import { PATHS, runTests, testModules } from "./unit_tests.ts";

/** Lowest share of covered lines of all files together. **Units**: percent. */
const FLOOR = 85;
/** Lowest share of covered lines of each file. **Units**: percent. */
const FILE_FLOOR = 50;
/** Files that are printed without `--all`. */
const WORST = 25;

const ROOT = new URL("..", import.meta.url).pathname;
const PRODUCT = ["ffi", "src"];
/** Tests of whole programs, in this process. */
const INSIDE = "tests/inside";

/** Lines of one file. */
interface Row {
  readonly path: string;
  readonly lines: number;
  readonly covered: number;
  readonly isLoaded: boolean;
}

function* productFiles(directory: string): Generator<string> {
  for (const entry of Deno.readDirSync(`${ROOT}${directory}`)) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory) yield* productFiles(path);
    else if (/(?<!_test|_bench)\.ts$/.test(path)) yield path;
  }
}

/** Counts the lines of a file that are neither types, comments nor blank. */
function codeLines(source: string): number {
  return stripTypeScriptTypes(source, { mode: "transform" })
    .replaceAll(/\/\*[^]*?\*\//g, (comment) => comment.replaceAll(/./g, " "))
    .split("\n")
    .filter((line) => !/^\s*(\/\/.*)?$/.test(line))
    .length;
}

/** Reads, for each file of an LCOV report, its lines and how often they ran. */
function readLcov(text: string): Map<string, Map<number, number>> {
  const files = new Map<string, Map<number, number>>();
  let lines = new Map<number, number>();
  for (const record of text.split("\n")) {
    const [kind, value = ""] = record.split(/:(.*)/s);
    if (kind === "SF") {
      const path = value.replace(ROOT, "");
      lines = files.get(path) ?? new Map();
      files.set(path, lines);
    } else if (kind === "DA") {
      const [line = 0, count = 0] = value.split(",").map(Number);
      lines.set(line, (lines.get(line) ?? 0) + count);
    }
  }
  return files;
}

function makeRow(
  path: string,
  lines: ReadonlyMap<number, number> | undefined,
): Row {
  if (lines === undefined) {
    const source = Deno.readTextFileSync(`${ROOT}${path}`);
    return { path, lines: codeLines(source), covered: 0, isLoaded: false };
  }
  const covered = [...lines.values()].filter((count) => count > 0).length;
  return { path, lines: lines.size, covered, isLoaded: true };
}

function percent({ lines, covered }: Omit<Row, "path" | "isLoaded">): number {
  return lines === 0 ? 100 : 100 * covered / lines;
}

async function deno(...args: readonly string[]): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: ROOT,
  }).spawn().status;
  return success;
}

function print(rows: readonly Row[]): void {
  for (const row of rows) {
    const share = percent(row).toFixed(1).padStart(5);
    const lines = `${row.covered}/${row.lines}`.padStart(10);
    console.log(
      `${share} %${lines}  ${row.path}${row.isLoaded ? "" : " (never loaded)"}`,
    );
  }
}

async function main(): Promise<boolean> {
  const given = parseArgs(Deno.args, {
    boolean: ["all"],
    string: ["keep", "_"],
  });
  const paths = given._.map(String);
  const directory = given.keep ?? await Deno.makeTempDir();
  try {
    const isAll = paths.length === 0;
    using modules = testModules(isAll ? [...PATHS, INSIDE] : paths, {
      examples: isAll,
    });
    const passed = await runTests(modules, [
      // The gate has checked the types by then.
      "--no-check",
      `--coverage=${directory}/profiles`,
      "--coverage-raw-data-only",
    ]);
    const hasReport = await deno(
      "coverage",
      "-q",
      "--lcov",
      `--output=${directory}/lcov`,
      `--exclude=_test\\.ts|_bench\\.ts|/tests/|/scripts/`,
      `${directory}/profiles`,
    );
    if (!hasReport) return false;
    const report = readLcov(await Deno.readTextFile(`${directory}/lcov`));
    const rows = PRODUCT.flatMap((folder) => [...productFiles(folder)])
      .map((path) => makeRow(path, report.get(path)))
      .sort((a, b) => percent(a) - percent(b) || b.lines - a.lines);
    const sum = (count: (row: Row) => number) =>
      rows.reduce((total, row) => total + count(row), 0);
    const total = {
      lines: sum(({ lines }) => lines),
      covered: sum(({ covered }) => covered),
    };
    const low = rows.filter((row) => percent(row) < FILE_FLOOR);
    console.log("\nCoverage of lines, the least covered files first:");
    print(given.all ? rows : rows.slice(0, Math.max(WORST, low.length)));
    const share = percent(total);
    console.log(
      `${
        share.toFixed(1)
      } % of ${total.lines} lines in ${rows.length} files; ` +
        `at least ${FLOOR} % are wanted, and ${FILE_FLOOR} % of each file`,
    );
    if (paths.length > 0) return passed;
    if (share < FLOOR) console.log(`FAILED: below ${FLOOR} %`);
    if (low.length > 0) {
      console.log(`FAILED: ${low.length} files are below ${FILE_FLOOR} %`);
    }
    return passed && share >= FLOOR && low.length === 0;
  } finally {
    if (given.keep === undefined) {
      await Deno.remove(directory, { recursive: true });
    }
  }
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
