/**
 * Small changes of a source text that change what it does.
 *
 * @module
 */

/** One change. */
export interface Mutation {
  /** Part of the program. */
  readonly area: string;
  /** Path in the repository. */
  readonly path: string;
  readonly line: number;
  /** Position of `before` in the file. */
  readonly at: number;
  readonly before: string;
  readonly after: string;
  /** Tests that should notice. */
  readonly tests: readonly string[];
}

/** A change of code by a pattern; `$1` and so on in `after` are its groups. */
type Change = readonly [pattern: RegExp, after: string];

const CHANGES: readonly Change[] = [
  [/(?<=[\w)\]] )<=(?= )/g, "<"],
  [/(?<=[\w)\]] )>=(?= )/g, ">"],
  [/(?<=[\w)\]] )<(?= [\w(-])/g, "<="],
  [/(?<=[\w)\]] )>(?= [\w(-])/g, ">="],
  [/===/g, "!=="],
  [/!==/g, "==="],
  [/&&/g, "||"],
  [/\|\|/g, "&&"],
  [/(?<=[\w)\]]) \+ 1\b/g, " + 2"],
  [/(?<=[\w)\]]) - 1\b/g, " - 0"],
  [/\breturn true;/g, "return false;"],
  [/\breturn false;/g, "return true;"],
  [/(?<= = )true;/g, "false;"],
  [/(?<= = )false;/g, "true;"],
  // A statement, or what a condition guards, is left out.
  [/(?<=^ {4,})this\.#?\w+ = [^\n]*;$/gm, ";"],
  [
    /(?<=^ {4,})(?!return|throw|if\b|for\b|while\b)[\w#][\w.#!?]*\([^\n]*\);$/gm,
    ";",
  ],
  [/(?<=^ {4,}if \([^\n]*\) )return(?: [^\n]*)?;$/gm, ";"],
  [/(?<=^ {4,}if \([^\n]*\) )continue;$/gm, ";"],
  [/(?<=^ {4,}if \()(?!\!)([^\n]*)(?=\) (?:\{$|[^\n]*;$))/gm, "!($1)"],
];

/** Returns true if a line is code that does something. */
function isCode(line: string): boolean {
  return !/^\s*(?:\*|\/\*|\/\/|import\b|export (?:type|interface)|type\b|interface\b)/
    .test(line) && !/=>\s*(?:void|\w+)?;\s*$/.test(line);
}

/** Lists the mutations of a file that are possible. */
export function findMutations(
  path: string,
  source: string,
  { area, tests }: { area: string; tests: readonly string[] },
): Mutation[] {
  const found: Mutation[] = [];
  for (const [pattern, after] of CHANGES) {
    for (const match of source.matchAll(pattern)) {
      const start = source.lastIndexOf("\n", match.index) + 1;
      const end = source.indexOf("\n", match.index);
      const line = source.slice(start, end);
      const isText = /["'`][^"'`]*$/.test(source.slice(start, match.index));
      if (!isCode(line) || isText) continue;
      const changed = match[0].replace(
        new RegExp("^" + "([^]*)$"),
        () => after.replaceAll("$1", match[1] ?? ""),
      );
      found.push({
        area,
        path,
        line: source.slice(0, start).split("\n").length,
        at: start,
        before: line,
        after: source.slice(start, match.index) + changed +
          source.slice(match.index + match[0].length, end),
        tests,
      });
    }
  }
  return found.filter(({ before, after: changed }) => before !== changed);
}
