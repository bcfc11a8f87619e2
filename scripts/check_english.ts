/**
 * Counts doc comments that begin as a question does (What, Who, Whose, Whether,
 * How, Where), which say less than a verb or a noun, and lines with the words
 * whoever, nobody and somebody, which stand for a process, a guest or a client.
 * Finds paragraphs of doc comments in `src` that end in the middle of a sentence.
 *
 * Usage: `deno run --allow-read scripts/check_english.ts [--list]`; exits 1 if
 * more than 3 % of the doc comments begin so, one of the words is used, or a
 * sentence has no end. With `--list`, and if the check fails, it prints each
 * place.
 *
 * @module
 */
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

const DOC_COMMENT = /\/\*\*([^]*?)\*\//g;
/** End of a sentence, perhaps in brackets or as code. */
const SENTENCE_END = /[.:!?…]["')`*]*$/;

const root = new URL("../", import.meta.url);
let docs = 0;
const questions: string[] = [];
const people: string[] = [];
const cut: string[] = [];

for (const place of [...PLACES, ...PAGES]) {
  for (const file of filesOf(place)) check(file);
}

const share = questions.length / docs;
const isGood = share <= LIMIT && people.length + cut.length === 0;
if (!isGood || Deno.args.includes("--list")) {
  for (const line of [...questions, ...people, ...cut]) console.log(line);
}
console.log(
  `${docs} doc comments, ${questions.length} (${
    (100 * share).toFixed(1)
  } %) begin as a question; ${people.length} lines with ${PEOPLE.source}; ` +
    `${cut.length} sentences without an end`,
);
Deno.exit(isGood ? 0 : 1);

function* filesOf(path: string): Generator<string> {
  if (/\.(ts|md)$/.test(path)) {
    yield path;
    return;
  }
  for (const entry of Deno.readDirSync(new URL(path, root))) {
    const below = `${path}/${entry.name}`;
    if (entry.isDirectory || /\.(ts|md)$/.test(entry.name)) {
      yield* filesOf(below);
    }
  }
}

function check(file: string): void {
  const text = Deno.readTextFileSync(new URL(file, root));
  if (file.endsWith(".ts")) {
    for (const match of text.matchAll(DOC)) {
      docs++;
      const first = match[1] ?? match[2] ?? "";
      if (!QUESTION.test(first)) continue;
      questions.push(`${file}:${lineAt(text, match.index)}: ${first}`);
    }
  }
  if (file.startsWith("src/") && file.endsWith(".ts")) checkEnds(file, text);
  if (file === OWN_FILE) return;
  for (const [i, line] of text.split("\n").entries()) {
    if (!PEOPLE.test(line.replaceAll(IGNORED, " "))) continue;
    people.push(`${file}:${i + 1}: ${line.trim()}`);
  }
}

/** Notes paragraphs of prose whose last sentence has no end. */
function checkEnds(file: string, text: string): void {
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
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
