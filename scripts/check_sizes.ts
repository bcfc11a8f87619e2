/**
 * Finds product files of more than 500 lines: such a file has more than one
 * purpose, and is cut where they meet.
 *
 * Usage: `deno run --allow-read scripts/check_sizes.ts`; exits 1 if there are
 * any.
 *
 * @module
 */

import {
  type CheckResult,
  isCase,
  runChecks,
  type SourceTree,
} from "./check/source_tree.ts";

/** Most lines of a file. */
const LIMIT = 500;
const FOLDERS = ["ffi", "src"];

/**
 * Checks the sizes of all product files. Tests and benchmarks are lists of
 * cases, and may be longer.
 */
export function checkSizes(tree: SourceTree): CheckResult {
  const files = FOLDERS
    .flatMap((folder) => tree.files(folder, /\.(?:ts|js|css|html)$/))
    .filter((file) => !isCase(file));
  const problems: string[] = [];
  for (const file of files) {
    const lines = tree.text(file).split("\n").length - 1;
    if (lines > LIMIT) {
      problems.push(`${file}: ${lines} lines, at most ${LIMIT}`);
    }
  }
  const summary =
    `${files.length} product files, ${problems.length} of more than ${LIMIT} lines`;
  return { summary, problems };
}

if (import.meta.main) runChecks(checkSizes);
