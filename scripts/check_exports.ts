/**
 * Finds exports of product files that serve nothing:
 *
 * - an export that no other file imports is not exported;
 * - one that only tests import is used by its own file too, or its doc comment
 *   says that it is "for tests".
 *
 * Usage: `deno run --allow-read scripts/check_exports.ts`; exits 1 if there are
 * any.
 *
 * @module
 */
import {
  type CheckResult,
  isCase,
  runChecks,
  type SourceTree,
  withoutDocs,
} from "./check/source_tree.ts";

const PRODUCT: readonly string[] = ["ffi", "src"];
const IMPORTERS: readonly string[] = [...PRODUCT, "mod.ts", "scripts", "tests"];
/** Programs that are run, and imported by nothing. */
const PROGRAMS: readonly string[] = ["src/cli/main.ts"];

const CODE = /\.(?:ts|js)$/;
/** A declaration, with the doc comment before it. */
const DECLARATION =
  /(?:\/\*\*((?:(?!\*\/)[^])*)\*\/\n)?^export (?:declare |abstract |async )*(?:function\*?|class|const|let|interface|type|enum) ([\w$]+|\{[^}]*\})/gm;
/** `export { a, b as c }`, with `from` or without. */
const LIST = /^export (?:type )?(\{[^}]*\})/gm;

/** Imports of one exported name. */
interface Uses {
  byProduct: number;
  byTests: number;
}

/** Checks the exports of all product files. */
export function checkExports(tree: SourceTree): CheckResult {
  const uses = countUses(tree);
  const problems: string[] = [];
  let count = 0;
  for (const file of PRODUCT.flatMap((folder) => tree.files(folder, CODE))) {
    if (isCase(file) || PROGRAMS.includes(file)) continue;
    for (const { name, doc } of listExports(tree.text(file))) {
      count++;
      const problem = findProblem(tree, file, name, doc, [
        uses.get(`${file} ${name}`),
        uses.get(`${file} *`),
      ]);
      if (problem !== undefined) problems.push(`${file}: ${name} ${problem}`);
    }
  }
  const summary = `${count} exports, ${problems.length} that serve nothing`;
  return { summary, problems };
}

/** Counts imports by `file name`; `file *` has those of all names. */
function countUses(tree: SourceTree): Map<string, Uses> {
  const uses = new Map<string, Uses>();
  for (const file of IMPORTERS.flatMap((path) => tree.files(path, CODE))) {
    const isTest = isCase(file) || file.startsWith("tests/");
    for (const { target, names = ["*"] } of tree.imports(file)) {
      for (const name of names) {
        const key = `${target} ${name}`;
        const known = uses.get(key) ?? { byProduct: 0, byTests: 0 };
        known[isTest ? "byTests" : "byProduct"]++;
        uses.set(key, known);
      }
    }
  }
  return uses;
}

function findProblem(
  tree: SourceTree,
  file: string,
  name: string,
  doc: string,
  uses: readonly (Uses | undefined)[],
): string | undefined {
  if (uses.some((one) => one !== undefined && one.byProduct > 0)) {
    return undefined;
  }
  if (uses.every((one) => one === undefined)) {
    return "is imported by no other file: do not export it";
  }
  if (/\bfor\s+(?:\*\s+)?tests\b/.test(doc)) return undefined;
  const text = withoutDocs(tree.text(file));
  return countOccurrences(text, name) > 1
    ? undefined
    : "is used by tests only: remove it, or move it to them";
}

function listExports(text: string): { name: string; doc: string }[] {
  const found: { name: string; doc: string }[] = [];
  for (const [, doc = "", declared] of text.matchAll(DECLARATION)) {
    for (const name of declared!.match(/[\w$]+/g)!) found.push({ name, doc });
  }
  for (const [, list] of text.matchAll(LIST)) {
    for (const part of list!.slice(1, -1).split(",")) {
      const name = part.trim().split(/\s+/).at(-1)!;
      if (name !== "") found.push({ name, doc: "" });
    }
  }
  return found;
}

/** Returns how often a name stands in a text as a word. */
function countOccurrences(text: string, name: string): number {
  return text.match(
    new RegExp(`(?<![\\w$])${RegExp.escape(name)}(?![\\w$])`, "g"),
  )
    ?.length ?? 0;
}

if (import.meta.main) runChecks(checkExports);
