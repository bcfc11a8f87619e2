/**
 * Counts doc comments that begin as a question does (What, Who, Whose, Whether,
 * How, Where), which say less than a verb or a noun, and lines with the words
 * whoever, nobody and somebody, which stand for a process, a guest or a client.
 * Finds paragraphs of doc comments in `src` that end in the middle of a sentence,
 * and functions that are named by a noun and "of" (`pathOf`), which do not say
 * what they do.
 *
 * Usage: `deno run --allow-read scripts/check_english.ts [--list]`; exits 1 if
 * more than 3 % of the doc comments begin so, one of the words or names is used,
 * or a sentence has no end. With `--list`, and if the check fails, it prints each
 * place.
 *
 * @module
 */
import {
  type CheckResult,
  runChecks,
  type SourceTree,
} from "./check/source_tree.ts";

const PLACES = ["ffi", "src", "tests", "scripts", "docs", "mod.ts"];
const PAGES = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"];
/** Names this check's own words. */
const OWN_FILE = "scripts/check_english.ts";
/** Share of doc comments that may begin as a question. */
const LIMIT = 0.03;
const QUESTION = /^(What|Who|Whose|Whether|How|Where)\b/;
const PEOPLE = /\b(whoever|nobody|somebody)\b/i;
/** A word that is quoted (the user `nobody`), and escapes before a word. */
const IGNORED = /"\w+"|`\w+`|\\[nrt]/g;
/** First line of a doc comment: `/** Text` or ` * Text` below `/**`. */
const DOC =
  /^[ \t]*\/\*\*(?:[ \t]+([^\s*].*)|[ \t]*\r?\n[ \t]*\*[ \t]+(\S.*))/gm;

/** Declaration of a function or method such as `pathOf`. */
const NOUN_NAME =
  /(?:\bfunction\*? |^ {2}(?:async |static |\*)*#?)((?!assert)[a-z]\w*Of)[(<]/gm;

const DOC_COMMENT = /\/\*\*([^]*?)\*\//g;
/** End of a sentence, perhaps in brackets or as code. */
const SENTENCE_END = /[.:!?…]["')`*]*$/;

/** Findings of the check so far. */
interface Findings {
  docs: number;
  readonly questions: string[];
  readonly people: string[];
  readonly cut: string[];
  readonly names: string[];
}

/** Checks the English of all files. */
export function checkEnglish(tree: SourceTree): CheckResult {
  const found: Findings = {
    docs: 0,
    questions: [],
    people: [],
    cut: [],
    names: [],
  };
  for (const place of [...PLACES, ...PAGES]) {
    for (const file of tree.files(place, /\.(?:ts|js|md)$/)) {
      checkFile(file, tree.text(file), found);
    }
  }
  const { docs, questions, people, cut, names } = found;
  const share = questions.length / docs;
  const isGood = share <= LIMIT &&
    people.length + cut.length + names.length === 0;
  const places = [...questions, ...people, ...cut, ...names];
  if (isGood && Deno.args.includes("--list")) {
    for (const place of places) console.log(place);
  }
  const summary =
    `${docs} doc comments, ${questions.length} (${
      (100 * share).toFixed(1)
    } %) begin as a question; ${people.length} lines with ${PEOPLE.source}; ` +
    `${cut.length} sentences without an end; ${names.length} functions ` +
    'called "...Of"';
  return { summary, problems: isGood ? [] : places };
}

function checkFile(file: string, text: string, found: Findings): void {
  if (file.endsWith(".ts")) {
    for (const match of text.matchAll(DOC)) {
      found.docs++;
      const first = match[1] ?? match[2] ?? "";
      if (!QUESTION.test(first)) continue;
      found.questions.push(`${file}:${lineAt(text, match.index)}: ${first}`);
    }
  }
  if (!file.endsWith(".md")) {
    for (const { index, 1: name } of text.matchAll(NOUN_NAME)) {
      found.names.push(`${file}:${lineAt(text, index)}: ${name}()`);
    }
  }
  if (file.startsWith("src/") && file.endsWith(".ts")) {
    found.cut.push(...cutSentences(file, text));
  }
  if (file === OWN_FILE) return;
  for (const [i, line] of text.split("\n").entries()) {
    if (!PEOPLE.test(line.replaceAll(IGNORED, " "))) continue;
    found.people.push(`${file}:${i + 1}: ${line.trim()}`);
  }
}

/** Lists paragraphs of prose whose last sentence has no end. */
function cutSentences(file: string, text: string): string[] {
  const cut: string[] = [];
  for (const match of text.matchAll(DOC_COMMENT)) {
    const prose = match[1]!.replaceAll(/\n[ \t]*\*(?= |\n|$)/g, "\n")
      .replaceAll(/```[^]*?```/g, "");
    for (const paragraph of prose.split(/\n\s*\n/)) {
      const shown = paragraph.trim();
      // Tags are no sentences; what is indented is code.
      const isProse = shown !== "" && !shown.startsWith("@") &&
        !/^\n? {4}/.test(paragraph);
      if (!isProse || SENTENCE_END.test(shown)) continue;
      const last = shown.split("\n").at(-1)!.trim();
      cut.push(`${file}:${lineAt(text, match.index)}: … ${last}`);
    }
  }
  return cut;
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}

if (import.meta.main) runChecks(checkEnglish);
