/**
 * Texts of the checkout, and what its files import: read once for all checks.
 *
 * @module
 */

/** An import or re-export of a file of this tree. */
export interface SourceImport {
  /** Path of the imported file, from the root. */
  readonly target: string;
  /** Names that it takes; undefined for all of them. */
  readonly names: readonly string[] | undefined;
}

/** Outcome of a check. */
export interface CheckResult {
  /** Counts, in one line. */
  readonly summary: string;
  /** Problems that fail the check, with their files. */
  readonly problems: readonly string[];
}

/** A check of the tree. */
export type Check = (tree: SourceTree) => CheckResult;

/** `import … from "./x.ts"`, `export … from "./x.ts"`, `import "./x.ts"`. */
const STATIC =
  /\b(?:import|export)\s+(?:(?:type\s+)?([\w$]+|\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*)?"(\.{1,2}\/[^"]+)"/g;
/** `const { a } = await import("./x.ts")`, `import("./x.ts").A`. */
const DYNAMIC =
  /(?:(\{[^{}]*\})\s*=\s*await\s+)?\bimport\(\s*"(\.{1,2}\/[^"]+)",?\s*\)(?:\.(?!then\b)(\w+))?/g;
/** The program of a Worker. */
const WORKER = /\bnew URL\(\s*"(\.{1,2}\/[^"]+\.ts)"/g;

/** Files below some folders, each read at most once. */
export class SourceTree {
  readonly #read: (path: string) => string;
  readonly #list: (folder: string) => Iterable<string>;
  readonly #texts = new Map<string, string>();
  readonly #imports = new Map<string, readonly SourceImport[]>();
  readonly #folders = new Map<string, readonly string[]>();

  /**
   * Makes a tree of files that are read by `read`.
   *
   * @param list Lists the paths of all files below a folder, or the file itself.
   */
  constructor(
    read: (path: string) => string,
    list: (folder: string) => Iterable<string>,
  ) {
    this.#read = read;
    this.#list = list;
  }

  /** Returns the tree of the checkout. */
  static ofCheckout(): SourceTree {
    const root = new URL("../../", import.meta.url);
    return new SourceTree(
      (path) => Deno.readTextFileSync(new URL(path, root)),
      (folder) => filesBelow(root, folder),
    );
  }

  /** Lists the paths below a folder that match; a file is itself. */
  files(folder: string, pattern: RegExp): string[] {
    const all = this.#folders.get(folder) ?? [...this.#list(folder)].sort();
    this.#folders.set(folder, all);
    return all.filter((path) => pattern.test(path));
  }

  /** Returns the text of a file. */
  text(path: string): string {
    const text = this.#texts.get(path) ?? this.#read(path);
    this.#texts.set(path, text);
    return text;
  }

  /** Returns the imports of a file; those in examples of comments are none. */
  imports(path: string): readonly SourceImport[] {
    const imports = this.#imports.get(path) ??
      parseImports(path, withoutDocs(this.text(path)));
    this.#imports.set(path, imports);
    return imports;
  }
}

/** Returns a text without its doc comments. */
export function withoutDocs(text: string): string {
  return text.replace(/\/\*\*[^]*?\*\//g, "");
}

/** Returns true for tests and benchmarks beside the sources. */
export function isCase(path: string): boolean {
  return /_(?:test|bench)\.ts$/.test(path);
}

/**
 * Runs checks on the checkout, prints what they find, and ends the process.
 */
export function runChecks(...checks: readonly Check[]): never {
  const tree = SourceTree.ofCheckout();
  let isGood = true;
  for (const check of checks) {
    const { summary, problems } = check(tree);
    for (const problem of problems) console.error(problem);
    console.log(summary);
    isGood &&= problems.length === 0;
  }
  Deno.exit(isGood ? 0 : 1);
}

function* filesBelow(root: URL, path: string): Generator<string> {
  if (Deno.statSync(new URL(path, root)).isFile) {
    yield path;
    return;
  }
  for (const entry of Deno.readDirSync(new URL(path, root))) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory) yield* filesBelow(root, below);
    else if (entry.isFile) yield below;
  }
}

function parseImports(path: string, text: string): SourceImport[] {
  const base = new URL(path, "file:///");
  const resolveTarget = (specifier: string) =>
    new URL(specifier, base).pathname.slice(1);
  const found: SourceImport[] = [];
  for (const [, names, specifier] of text.matchAll(STATIC)) {
    found.push({
      target: resolveTarget(specifier!),
      names: parseNames(names ?? "{}"),
    });
  }
  for (const [, names, specifier, name] of text.matchAll(DYNAMIC)) {
    const target = resolveTarget(specifier!);
    found.push({ target, names: parseNames(names ?? name ?? "*") });
  }
  for (const [, specifier] of text.matchAll(WORKER)) {
    found.push({ target: resolveTarget(specifier!), names: [] });
  }
  return found;
}

/** Returns the names of `{ a, type B, c as d, e: f }`, undefined for `*`. */
function parseNames(names: string): string[] | undefined {
  if (names.startsWith("*")) return undefined;
  if (!names.startsWith("{")) return [names];
  return names.slice(1, -1).split(",")
    .map((name) => name.trim().replace(/^type\s+/, "").split(/\s+as\s|:/)[0]!)
    .map((name) => name.trim())
    .filter((name) => name !== "");
}
