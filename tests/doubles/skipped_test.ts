import { assertEquals } from "@std/assert";

/** Functions that print why tests are ignored. */
const REASONS =
  /\b(?:mustIgnore|lacksRoot|lacksTool|lacksExecutable|lacksApi|lacksMounts|mustSkip)\(/;
/** The options of a test, or a variable for them. */
const IGNORES =
  /^ *(?:ignore: (?!ignore,$)|ignore,$|(?:const|let) ignore = (?!\())/m;
/** Messages of tests that go on as if they had passed. */
const PASSES = /console\.\w+\(\s*["`]skipped/;

const FOLDERS = ["ffi", "src", "tests"];
const ROOT = new URL("../..", import.meta.url).pathname;

function* testFiles(path: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(`${ROOT}${path}`)) {
    if (isDirectory) yield* testFiles(`${path}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${path}/${name}`;
  }
}

Deno.test("every test that may be ignored prints why, and counts as ignored", () => {
  const unexplained: string[] = [];
  let ignoring = 0;
  for (const file of FOLDERS.flatMap((path) => [...testFiles(path)])) {
    const source = Deno.readTextFileSync(`${ROOT}${file}`);
    const isIgnored = IGNORES.test(source);
    if (isIgnored) ignoring++;
    if (isIgnored && !REASONS.test(source) || PASSES.test(source)) {
      unexplained.push(file);
    }
  }
  assertEquals(unexplained, []);
  assertEquals(ignoring > 20, true);
});
