/**
 * Changes the program in small ways, one at a time, and reports the changes
 * that no unit test notices.
 *
 *   deno task mutate [--seed N] [--count N] [--only TEXT] [--jobs N] [--list]
 *
 * Each mutation is applied to a copy of the tree, and the unit tests of its
 * file are run there, then those of its folder, then those of its area. One
 * that makes them fail or hang is caught. The others are printed with file,
 * line and difference; more than one in ten of them is a failure. The same seed
 * gives the same mutations of the same sources.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import type { CheckResult, SourceTree } from "./check/source_tree.ts";
import { AREAS, EQUIVALENT, KNOWN } from "./mutate/areas.ts";
import { findMutations, type Mutation } from "./mutate/mutations.ts";

const USAGE =
  `Usage: deno task mutate [--seed N] [--count N] [--only TEXT] [--jobs N]
                        [--list]

  --seed N     which mutations are chosen (default: 1)
  --count N    how many, at most (default: 50)
  --only TEXT  of files whose path has TEXT, or of the area TEXT
  --jobs N     how many are tried at a time (default: one a CPU, at most 4)
  --list       list them and try none`;

/** Mutations of a usual run. */
const COUNT = 50;
/** Most of them that may survive: one in so many. */
const ONE_IN = 10;
/** A test run that takes longer is one that hangs. **Units**: ms. */
const LIMIT_MS = 120_000;
/** Mutations tried at a time. */
const AT_ONCE = Math.max(1, Math.min(4, navigator.hardwareConcurrency));

const ROOT = new URL("..", import.meta.url).pathname;

/** A small generator of numbers: mulberry32. */
function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % limit;
  };
}

/** Chooses mutations, of each area in turn. */
function choose(seed: number, count: number, only: string): Mutation[] {
  const next = numbers(seed);
  const isWanted = ({ area, path }: { area: string; path: string }) =>
    path.includes(only) || area === only;
  const all = AREAS.map(({ files, tests }) =>
    files.filter((path) => isWanted({ area: tests.area, path })).flatMap((
      path,
    ) => findMutations(path, Deno.readTextFileSync(`${ROOT}${path}`), tests))
      .filter((mutation) => !isEquivalent(mutation))
  );
  const chosen: Mutation[] = KNOWN.filter(isWanted).map((known) => {
    const source = Deno.readTextFileSync(`${ROOT}${known.path}`);
    const at = source.indexOf(known.before);
    if (at < 0) throw new Error(missing(known));
    return { ...known, line: source.slice(0, at).split("\n").length, at };
  });
  for (let area = 0; chosen.length < count; area++) {
    const left = all[area % all.length]!;
    if (all.every(({ length }) => length === 0)) break;
    if (left.length > 0) {
      chosen.push(left.splice(next(left.length), 1)[0]!);
    }
  }
  return chosen.slice(0, count);
}

/**
 * Checks that the sources still have what the known mutations change, and what
 * is listed as equivalent.
 */
export function checkMutations(tree: SourceTree): CheckResult {
  const problems = [...KNOWN, ...EQUIVALENT]
    .filter(({ path, before }) => !tree.text(path).includes(before))
    .map(missing);
  const summary = `${KNOWN.length} known mutations and ${EQUIVALENT.length} ` +
    `without effect, ${problems.length} of them of code that is gone`;
  return { summary, problems };
}

function missing({ path, before }: { path: string; before: string }): string {
  return `${path} no longer has: ${before}`;
}

/** Returns true for a change that no test can notice. */
function isEquivalent({ path, before, after }: Mutation): boolean {
  return EQUIVALENT.some((known) =>
    known.path === path && known.before === before.trim() &&
    known.after === after.trim()
  );
}

/** Makes a copy of what git knows of the tree. */
async function copyTree(): Promise<string> {
  const directory = await Deno.makeTempDir({ prefix: "mutate-" });
  const { success } = await new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'git ls-files -z --cached --others --exclude-standard | tar --null -T - -cf - | tar -xf - -C "$0"',
      directory,
    ],
    cwd: ROOT,
  }).output();
  if (!success) throw new Error("Cannot copy the tree");
  return directory;
}

/**
 * Runs the tests of one mutation, the nearest to the file first: true if they
 * noticed it.
 */
async function isCaught(tree: string, mutation: Mutation): Promise<boolean> {
  const path = `${tree}/${mutation.path}`;
  const source = await Deno.readTextFile(`${ROOT}${mutation.path}`);
  const { at, before, after } = mutation;
  await Deno.writeTextFile(
    path,
    source.slice(0, at) + after + source.slice(at + before.length),
  );
  try {
    for (const tests of listStages(mutation)) {
      if (!await testsPass(tree, tests)) return true;
    }
    return false;
  } finally {
    await Deno.writeTextFile(path, source);
  }
}

/** Lists the tests of a mutation: the file's own, its folder's, its area's. */
function listStages({ path, tests }: Mutation): (readonly string[])[] {
  const own = path.replace(/\.ts$/, "_test.ts");
  const folder = path.slice(0, path.lastIndexOf("/"));
  const hasOwn = isFile(`${ROOT}${own}`);
  const rest = tests.filter((each) => each !== folder);
  return [
    ...(hasOwn ? [[own]] : []),
    [folder],
    ...(rest.length > 0 ? [rest] : []),
  ];
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Runs the unit tests below these paths. */
async function testsPass(
  tree: string,
  tests: readonly string[],
): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-q",
      "-P=unit",
      "scripts/unit_tests.ts",
      ...tests,
      "--",
      "--no-check",
      "--fail-fast",
    ],
    cwd: tree,
    stdin: "null",
    stdout: "null",
    stderr: "null",
    // A group of its own, which is ended as a whole.
    detached: true,
  }).spawn();
  const timer = setTimeout(() => Deno.kill(-child.pid, "SIGKILL"), LIMIT_MS);
  const { success } = await child.status;
  clearTimeout(timer);
  return success;
}

function formatMutation({ path, line, before, after }: Mutation): string {
  const marked = (sign: string, text: string) =>
    text.split("\n").map((row) => `  ${sign} ${row.trim()}`).join("\n");
  return `${path}:${line}\n${marked("-", before)}\n${marked("+", after)}`;
}

async function main(): Promise<boolean> {
  const given = parseArgs(Deno.args, {
    boolean: ["list", "help"],
    string: ["only", "seed", "count", "jobs"],
    alias: { help: "h" },
    unknown: (argument: string) => {
      throw new Error(`Unknown argument ${argument}\n${USAGE}`);
    },
  });
  if (given.help) {
    console.log(USAGE);
    return true;
  }
  const seed = Number(given.seed ?? 1);
  const only = given.only ?? "";
  const mutations = choose(seed, Number(given.count ?? COUNT), only);
  const jobs = Number(given.jobs ?? AT_ONCE);
  console.log(`${mutations.length} mutations with seed ${seed}`);
  if (given.list) {
    for (const mutation of mutations) console.log(formatMutation(mutation));
    return true;
  }
  const queue = [...mutations];
  const survivors: Mutation[] = [];
  const work = async () => {
    const tree = await copyTree();
    try {
      for (let next = queue.shift(); next; next = queue.shift()) {
        if (await isCaught(tree, next)) continue;
        survivors.push(next);
        console.log(`SURVIVED ${formatMutation(next)}`);
      }
    } finally {
      await Deno.remove(tree, { recursive: true });
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  const most = Math.floor(mutations.length / ONE_IN);
  console.log(
    `${mutations.length - survivors.length} caught, ${survivors.length} ` +
      `survived; at most ${most} may`,
  );
  return survivors.length <= most;
}

if (import.meta.main) Deno.exit(await main() ? 0 : 1);
