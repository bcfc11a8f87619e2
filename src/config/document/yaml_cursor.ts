/**
 * Place in a YAML text, and what is ahead of it.
 *
 * @module
 */

const FLOW_INDICATORS = ",[]{}";

/** Place to return to. */
interface CursorPosition {
  readonly at: number;
  readonly lineStart: number;
}

/** A place that moves over a text, and knows its column. */
export class YamlCursor {
  /** Offset in the text. */
  at = 0;
  readonly text: string;
  #lineStart = 0;
  #tab: number | undefined;

  constructor(text: string) {
    this.text = text;
  }

  /** Position of the first tab that {@linkcode noteTab} found. */
  get tab(): number | undefined {
    return this.#tab;
  }

  /** Characters between the line's beginning and here. */
  get column(): number {
    return this.at - this.#lineStart;
  }

  /** Place to return to later. */
  get position(): CursorPosition {
    return { at: this.at, lineStart: this.#lineStart };
  }

  set position({ at, lineStart }: CursorPosition) {
    this.at = at;
    this.#lineStart = lineStart;
  }

  /** Returns a character ahead; an empty string behind the text's end. */
  peek(ahead = 0): string {
    return this.text[this.at + ahead] ?? "";
  }

  /** Returns true if white space, a line's end, or the text's end is ahead. */
  isBlank(ahead = 0): boolean {
    const char = this.peek(ahead);
    return char === "" || char === " " || char === "\t" || isLineEnd(char);
  }

  /** Returns true for a character that has a meaning in flow style. */
  isFlowIndicator(ahead = 0): boolean {
    const char = this.peek(ahead);
    return char !== "" && FLOW_INDICATORS.includes(char);
  }

  /** Returns true at a document's marker. */
  atMarker(marker: "---" | "..."): boolean {
    return this.column === 0 && this.text.startsWith(marker, this.at) &&
      this.isBlank(3);
  }

  /** Returns true at the end of the document. */
  atEnd(): boolean {
    return this.at >= this.text.length || this.atMarker("---") ||
      this.atMarker("...");
  }

  /** Goes over a line's end. */
  lineBreak(): void {
    this.at += this.peek() === "\r" && this.peek(1) === "\n" ? 2 : 1;
    this.#lineStart = this.at;
  }

  /** Goes to the line's end. */
  toLineEnd(): void {
    while (this.peek() !== "" && !isLineEnd(this.peek())) this.at++;
  }

  /** Goes over spaces and tabs. */
  skipSpaces(): void {
    while (this.peek() === " " || this.peek() === "\t") this.at++;
  }

  /** Goes to the next token, over white space, comments and line ends. */
  skip(): void {
    for (;;) {
      this.skipSpaces();
      const char = this.peek();
      if (char === "#") this.toLineEnd();
      else if (char !== "" && isLineEnd(char)) this.lineBreak();
      else break;
    }
  }

  /**
   * Notes a tab in the indentation of this line: YAML counts no tabs, so that
   * the depth of such a line is undefined.
   */
  noteTab(): void {
    if (this.#tab !== undefined) return;
    const indentation = this.text.slice(this.#lineStart, this.at);
    if (this.peek() === "" || indentation.trim() !== "") return;
    const tab = indentation.indexOf("\t");
    if (tab >= 0) this.#tab = this.#lineStart + tab;
  }
}

/** Returns true for a character that ends a line. */
export function isLineEnd(char: string): boolean {
  return char === "\n" || char === "\r";
}
