/** Exports that serve nothing, found in small trees. */
import { assertEquals } from "@std/assert";
import { SourceTree } from "./check/source_tree.ts";
import { checkExports } from "./check_exports.ts";

/** Checks files by path and text. */
function problems(files: Record<string, string>): readonly string[] {
  const tree = new SourceTree(
    (path) => files[path]!,
    (folder) =>
      Object.keys(files).filter((path) =>
        path === folder || path.startsWith(`${folder}/`)
      ),
  );
  return checkExports(tree).problems;
}

Deno.test("an export that no other file imports is found, of any kind", () => {
  const declarations = {
    one: "export function one() {}",
    two: "export async function two() {}",
    Three: "export abstract class Three {}",
    four: "export const four = 4;",
    Five: "export interface Five {}",
    Six: "export type Six = 6;",
    seven: "const seven = 7;\nexport { seven };",
    nine: 'export { eight as nine } from "./b.ts";',
  };
  for (const [name, text] of Object.entries(declarations)) {
    assertEquals(
      problems({ "src/a.ts": text, "src/b.ts": `import "./a.ts";` }),
      [`src/a.ts: ${name} is imported by no other file: do not export it`],
    );
  }
});

Deno.test("an export that product code imports is used, however it is imported", () => {
  const imports = [
    'import { a } from "./a.ts";',
    'import { b, a as c } from "./a.ts";',
    'import {\n  type a,\n  b,\n} from "./a.ts";',
    'import type { a } from "./a.ts";',
    'import * as all from "./a.ts";',
    'export { a } from "./a.ts";',
    'export * from "./a.ts";',
    'f(() => {\n  const { a } = await import("./a.ts");\n});',
    'const { a: x } = await import(\n  "./a.ts"\n);',
    'let x: import("./a.ts").a;',
    'load(() => import("./a.ts"));',
  ];
  for (const text of imports) {
    const files = { "src/a.ts": "export const a = 1;", "mod.ts": "" };
    const importer = text.replace("./a.ts", "./src/a.ts");
    assertEquals(problems({ ...files, "mod.ts": importer }), [], text);
  }
});

Deno.test("an import of another name, of another file or in an example is no use", () => {
  const imports = [
    'import { b } from "./src/a.ts";',
    'import { a } from "./src/c.ts";',
    '/**\n * import { a } from "./src/a.ts";\n */',
    'new Worker(new URL("./src/a.ts", import.meta.url));',
  ];
  for (const text of imports) {
    const found = problems({ "src/a.ts": "export let a = 1;", "mod.ts": text });
    assertEquals(found.length, 1, text);
  }
});

Deno.test("an export that only tests import serves its file too, or says that it is for tests", () => {
  const test = 'import { a } from "./a.ts";';
  const found = [
    "export const a = 1;\nf(a);",
    "/** Counts what is open, for tests. */\nexport const a = 1;",
    "/** A number. */\nexport const a = 1;",
    "/** Uses a. */\nexport const a = 1;\nexport const ab = 2;",
  ].map((text) =>
    problems({
      "ffi/a.ts": text,
      "ffi/a_test.ts": test,
      "mod.ts": 'import { ab } from "./ffi/a.ts";',
    })
  );
  const problem =
    "ffi/a.ts: a is used by tests only: remove it, or move it to them";
  assertEquals(found, [[], [], [problem], [problem]]);
});
