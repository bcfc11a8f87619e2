/**
 * Text in the language of man(7).
 *
 * @module
 */
import { wrapped } from "../../text/wrap.ts";

/** Longest line of the source. */
const WIDTH = 78;

/** Heading of a page. */
interface PageHeading {
  readonly name: string;
  readonly section: number;
  /** Subject of the page, in one line. */
  readonly summary: string;
  /** Other names by which it is found. */
  readonly aliases?: readonly string[];
}

/** Returns a page of these parts. */
export function page(
  { name, section, summary, aliases = [] }: PageHeading,
  version: string,
  parts: readonly string[],
): string {
  return [
    `.TH ${name.toUpperCase()} ${section} ${DATE} "gpioagg ${version}" "gpioagg manual"`,
    ".SH NAME",
    `${[name, ...aliases].map(escaped).join(", ")} \\- ${escaped(summary)}`,
    ...parts,
  ].join("\n") + "\n";
}

/** Date of the texts, which pages and packages must have. */
export const DATE = "2026-11-29";

/** Returns a section with a title. */
export function section(title: string, body: string): string {
  return `.SH ${escaped(title.toUpperCase())}\n${body}`;
}

/** Returns a word with the explanation that belongs to it. */
export function tagged(tag: string, text: string): string {
  return `.TP\n${tag}\n${filled(text)}`;
}

/** Returns paragraphs; indented lines, and those of a table, stay lines. */
export function paragraphs(text: string): string {
  return text.split(/\n{2,}/).map(paragraph).join("\n.PP\n");
}

/** Returns lines that are not filled. */
export function verbatim(text: string): string {
  return `.RS 4\n.nf\n${
    text.split("\n").map((line) => guarded(escaped(line))).join("\n")
  }\n.fi\n.RE`;
}

/** Returns bold text. */
export function bold(text: string): string {
  return `\\fB${escaped(text)}\\fR`;
}

/** Returns text for something that the user puts there. */
export function italic(text: string): string {
  return `\\fI${escaped(text)}\\fR`;
}

/** Returns text without meaning for roff. */
export function escaped(text: string): string {
  return text.replaceAll("\\", "\\e").replaceAll("-", "\\-")
    .replaceAll("…", "...");
}

/** Returns text in lines of limited length. */
export function filled(text: string): string {
  return wrapped(escaped(text.replaceAll(/\s+/g, " ").trim()), WIDTH, "", "")
    .split("\n").map(guarded).join("\n");
}

function paragraph(text: string): string {
  const parts: string[] = [];
  let lines: string[] = [];
  let isIndented = false;
  const end = () => {
    if (lines.length > 0) {
      parts.push(
        isIndented
          ? verbatim(lines.map((line) => line.replace(/^ {2}/, "")).join("\n"))
          : filled(lines.join(" ")),
      );
    }
    lines = [];
  };
  for (const line of text.split("\n")) {
    if (line.startsWith("  ") !== isIndented) end();
    isIndented = line.startsWith("  ");
    lines.push(line);
  }
  end();
  return parts.join("\n");
}

/** A line must not begin as a request does. */
function guarded(line: string): string {
  return /^[.']/.test(line) ? `\\&${line}` : line;
}
