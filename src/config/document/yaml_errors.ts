/**
 * Errors of the YAML parser in this program's own words.
 *
 * @module
 */

/** Fault of a YAML text. */
interface YamlFault {
  readonly problem: string;
  /** Advice; empty where the problem says it all. */
  readonly hint: string;
}

/** Fault of a text that has a bracket or quote without its counterpart. */
export function unclosedFault(open: string): YamlFault {
  const close = { "[": "]", "{": "}" }[open];
  return close === undefined
    ? {
      problem: `a quote (${open}) is opened here and not closed`,
      hint: open === "'" ? "Inside of '…', a quote is written twice ('')" : "",
    }
    : {
      problem: `a bracket (${open}) is opened here and not closed (${close})`,
      hint: "",
    };
}

/** Fault of a text with a control character. */
export const CONTROL_CHARACTER: YamlFault = {
  problem: "there is a control character",
  hint: 'Remove it, or write it as "\\xNN" in double quotes',
};

/** Quoted texts and comments, in which any character may be. */
const FREE_TEXT = /"[^"\n]*"|'[^'\n]*'|(?<=^|\s)#.*/gm;
/** Blanks that YAML takes for letters; a byte order mark that is not the first. */
const OTHER_BLANK = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u2060\u3000\ufeff]/;
/** Quotes of other programs, where a value begins. */
const OTHER_QUOTE = /(?<=(?:^|[-:,[{]) *)[\u2018-\u201f\u00ab]/m;

/**
 * Finds a character that is not what it looks like, as in text that was copied
 * out of a page or a document; undefined if there is none.
 */
export function copiedCharacter(
  text: string,
): { offset: number; fault: YamlFault } | undefined {
  if (!OTHER_BLANK.test(text) && !OTHER_QUOTE.test(text)) return undefined;
  const bare = text.replace(FREE_TEXT, (part) => "x".repeat(part.length));
  const blank = bare.search(OTHER_BLANK);
  if (blank >= 0) {
    return {
      offset: blank,
      fault: {
        problem: `a blank that YAML does not know (${
          formatCodePoint(text, blank)
        })`,
        hint: "It comes with copied text: replace it by a plain blank",
      },
    };
  }
  const quote = bare.search(OTHER_QUOTE);
  return quote < 0 ? undefined : {
    offset: quote,
    fault: {
      problem: `a quote that YAML does not know (${
        formatCodePoint(text, quote)
      })`,
      hint: `It comes with copied text: replace it and its end by " or '`,
    },
  };
}

function formatCodePoint(text: string, at: number): string {
  const code = text.charCodeAt(at).toString(16).toUpperCase();
  return `U+${code.padStart(4, "0")}`;
}

/** A key and its value without a blank between them, alone in a line. */
const KEY_WITHOUT_BLANK = /^ *([a-z][a-z-]*):[^\s:][^:]*$/;

/**
 * Returns the fault of a key without a blank behind its colon, which the parser
 * takes for a text and finds out in the line after it; undefined if neither
 * `line` nor the one before has such a key.
 */
export function missingBlank(
  text: string,
  line: number | undefined,
): [YamlFault, { line: number; column: number }] | undefined {
  if (line === undefined) return undefined;
  const lines = text.split(/\r\n|\r|\n/, line);
  for (let at = lines.length; at > 0; at--) {
    const shown = lines[at - 1]!;
    if (/^\s*(#|$)/.test(shown)) continue;
    const key = KEY_WITHOUT_BLANK.exec(shown)?.[1];
    if (key !== undefined) {
      return [
        {
          problem: `a blank is missing behind the colon of ${key}`,
          hint: "A key is followed by a colon and a blank",
        },
        { line: at, column: shown.indexOf(":") + 1 },
      ];
    }
    if (at < line) return undefined;
  }
  return undefined;
}

const QUOTE_HINT =
  'Quote a value that begins with a character of YAML or contains ": "';
const COLUMN_HINT =
  `Keys of one mapping begin in one column, and so do the elements of a ` +
  `list. ${QUOTE_HINT}`;

/** Messages of the parser and their replacements; the first that fits is used. */
const FAULTS: readonly (readonly [RegExp, string, string?])[] = [
  [/missing comma/, "a comma is missing between two elements of [ ] or { }"],
  [/within a flow collection/, "a bracket is not closed"],
  [/within a (single|double) quoted scalar/, "a quote is not closed"],
  [
    /bad indentation of a mapping entry/,
    "this is not at the column of a key of the mapping",
    COLUMN_HINT,
  ],
  [
    /bad indentation of a sequence entry/,
    "this is not at the column of an element of the list",
    COLUMN_HINT,
  ],
  [
    /multiline key|missing colon/,
    "a key without a colon",
    "A key is followed by a colon and a blank",
  ],
  [
    /end of the stream or a document separator/,
    "this belongs to no key and no list",
    COLUMN_HINT,
  ],
  [
    /whitespace character is expected after/,
    "a blank is missing behind a colon",
  ],
  [/explicit mapping pair is incomplete/, "a key is missing behind ?"],
  [
    /escape sequence|hexadecimal/,
    "an unknown escape in double quotes",
    "Write a backslash as \\\\, or use single quotes",
  ],
  [
    /unidentified alias/,
    "an alias (*NAME) without an anchor (&NAME)",
    "Quote a value that begins with *",
  ],
  [
    /alias name must|anchor node must/,
    "a name is missing behind * or &",
    "Quote a value that begins with * or &",
  ],
  [/duplicate anchor/, "a value has two anchors (&NAME)"],
  [/alias node should not/, "an alias (*NAME) has an anchor or a tag"],
  [
    /\btag\b/i,
    "a tag (!NAME) that a configuration does not have",
    "Quote a value that begins with !",
  ],
  [
    /directive/i,
    "a directive (%NAME) that a configuration does not have",
    "Quote a value that begins with %",
  ],
  [
    /chomping mode|indentation width/,
    "invalid characters behind | or >",
    "Quote a value that begins with | or >",
  ],
  [/merge mappings/, "<< takes a mapping, or a list of mappings"],
  [/nested arrays/, "a list cannot be a key"],
  [/duplicated key/, "a key is given twice"],
  [/more than 1 document/, "a configuration is one document"],
  [/non-printable|JSON character/, ...toWords(CONTROL_CHARACTER)],
];

/** Returns what a message of the parser means. */
export function yamlFault(message: string): YamlFault {
  const [, problem = "the text is not valid YAML from here on", hint = ""] =
    FAULTS.find(([pattern]) => pattern.test(message)) ?? [];
  return { problem, hint };
}

function toWords({ problem, hint }: YamlFault): [string, string] {
  return [problem, hint];
}
