/**
 * Text that was broken into lines by hand, for lines of limited width.
 *
 * @module
 */
import { wrapped } from "./wrap.ts";

/** A row of a table: blanks, a key, two blanks or more, and its explanation. */
const ROW = /^( +\S+(?: \S+)* {2,})\S/;

/**
 * Breaks lines that are too long, with those that continue them: prose up to the
 * next blank or indented line, a row of a table up to the next row. All others
 * stay as they are.
 *
 * @param width Most characters of a line.
 */
export function fitLines(text: string, width: number): string {
  const fitted: string[] = [];
  const lines = text.split("\n");
  for (let i = 0; i < lines.length;) {
    const first = lines[i]!;
    const indent = " ".repeat(ROW.exec(first)?.[1]?.length ?? 0);
    const isTable = first.startsWith(" ");
    let end = i + 1;
    while (
      end < lines.length && first !== "" &&
      (isTable
        ? indent !== "" && lines[end]!.startsWith(indent)
        : /^\S/.test(lines[end]!))
    ) end++;
    const part = lines.slice(i, end);
    i = end;
    // An indented line without columns is an example, which is copied whole.
    const isExample = isTable && indent === "";
    if (isExample || part.every((line) => line.length <= width)) {
      fitted.push(...part);
    } else {
      const start = first.slice(0, indent.length);
      const words = part.flatMap((line) =>
        line.slice(indent.length).trim().split(/ +/)
      );
      fitted.push(wrapped(words, width, start, indent));
    }
  }
  return fitted.join("\n");
}
