/**
 * Finds product files of more than 500 lines: such a file has more than one
 * purpose, and is cut where they meet.
 *
 * Usage: `deno run --allow-read scripts/check_sizes.ts`; exits 1 if there are
 * any.
 *
 * @module
 */

/** Most lines of a file. */
const LIMIT = 500;
const FOLDERS = ["ffi", "src"];
/** Tests and benchmarks are lists of cases, and may be longer. */
const CASES = /_(?:test|bench)\.ts$/;

const root = new URL("../", import.meta.url);
let count = 0;
const large: string[] = [];

for (const folder of FOLDERS) {
  for (const file of filesOf(folder)) check(file);
}

for (const line of large) console.error(line);
console.log(
  `${count} product files, ${large.length} of more than ${LIMIT} lines`,
);
Deno.exit(large.length === 0 ? 0 : 1);

function* filesOf(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(new URL(folder, root))) {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory) yield* filesOf(path);
    else if (/\.(?:ts|js|css|html)$/.test(path) && !CASES.test(path)) {
      yield path;
    }
  }
}

function check(file: string): void {
  count++;
  const text = Deno.readTextFileSync(new URL(file, root));
  const lines = text.split("\n").length - 1;
  if (lines > LIMIT) large.push(`${file}: ${lines} lines, at most ${LIMIT}`);
}
