/**
 * Places in a YAML text.
 *
 * `@std/yaml` reads the values but does not say where they were. This scanner
 * reads the same text for its structure alone: it does not judge (a text that
 * is no YAML has been refused before), it only remembers where each key and
 * each value begins.
 *
 * @module
 */

/** A value in the text, with where it begins (behind its anchor and tag). */
export type YamlNode =
  | { kind: "map"; offset: number; entries: YamlEntry[] }
  | { kind: "list"; offset: number; items: YamlNode[] }
  | { kind: "scalar"; offset: number; end: number }
  /** `*name`: stands here, but its inside stands at `target`. */
  | { kind: "alias"; offset: number; target: YamlNode | undefined }
  /** Nothing is written where a value could be. */
  | { kind: "empty"; offset: number };

/** A key with its value. */
export interface YamlEntry {
  /** The key as it is written, with its quotes. */
  keySource: string;
  keyOffset: number;
  value: YamlNode;
}

/** Result of a scan. */
interface YamlStructure {
  root: YamlNode;
  /** Beginning of a second document, if there is one. */
  secondDocument: number | undefined;
  /** Position of a tab in the indentation of block style, if there is one. */
  tab: number | undefined;
}

/** Result of a scan that came to no structure: nothing can be placed. */
interface YamlLoss {
  /** Values are nested deeper than {@linkcode MAX_YAML_DEPTH}. */
  isTooDeep: boolean;
  /** Position of the bracket or quote that is not closed, if that is why. */
  unclosed: number | undefined;
}

/**
 * Scans a YAML text (without byte order mark) for the positions of its nodes, or
 * for the reason why they cannot be found.
 */
export function scanYaml(
  text: string,
): { structure?: YamlStructure; loss?: YamlLoss } {
  try {
    return { structure: new Scanner(text).stream() };
  } catch (error) {
    if (error instanceof DepthError) {
      return { loss: { isTooDeep: true, unclosed: undefined } };
    }
    if (error instanceof LostError) {
      return { loss: { isTooDeep: false, unclosed: error.unclosed } };
    }
    throw error;
  }
}

/** The scanner does not understand what it sees. */
class LostError extends Error {
  /** Position of what the text's end leaves open, if that is why. */
  readonly unclosed: number | undefined;

  constructor(unclosed?: number) {
    super();
    this.unclosed = unclosed;
  }
}

/** Values are nested deeper than {@linkcode MAX_YAML_DEPTH}. */
class DepthError extends Error {}

/**
 * Deepest nesting of values that is read: the scanner and the parser recurse.
 */
export const MAX_YAML_DEPTH = 200;
const FLOW_INDICATORS = ",[]{}";

class Scanner {
  readonly #text: string;
  readonly #anchors = new Map<string, YamlNode>();
  #at = 0;
  #lineStart = 0;
  #depth = 0;
  #flowDepth = 0;
  #tab: number | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  stream(): YamlStructure {
    this.#skip();
    while (this.#peek() === "%" && this.#column === 0) {
      this.#toLineEnd();
      this.#skip();
    }
    if (this.#atMarker("---")) this.#at += 3;
    const root = this.#blockNode(-1, false);
    this.#skip();
    let isEnded = this.#atMarker("---");
    while (this.#atMarker("...")) {
      this.#at += 3;
      this.#skip();
      isEnded = true;
    }
    const isOver = this.#at >= this.#text.length;
    return {
      root,
      secondDocument: isEnded && !isOver ? this.#at : undefined,
      tab: this.#tab,
    };
  }

  get #column(): number {
    return this.#at - this.#lineStart;
  }

  #peek(ahead = 0): string {
    return this.#text[this.#at + ahead] ?? "";
  }

  /** Returns true if white space, a line's end, or the text's end is ahead. */
  #isBlank(ahead = 0): boolean {
    const char = this.#peek(ahead);
    return char === "" || char === " " || char === "\t" || isLineEnd(char);
  }

  #atMarker(marker: "---" | "..."): boolean {
    return this.#column === 0 && this.#text.startsWith(marker, this.#at) &&
      this.#isBlank(3);
  }

  #atEnd(): boolean {
    return this.#at >= this.#text.length || this.#atMarker("---") ||
      this.#atMarker("...");
  }

  #lineBreak(): void {
    this.#at += this.#peek() === "\r" && this.#peek(1) === "\n" ? 2 : 1;
    this.#lineStart = this.#at;
  }

  #toLineEnd(): void {
    while (this.#peek() !== "" && !isLineEnd(this.#peek())) this.#at++;
  }

  #skipSpaces(): void {
    while (this.#peek() === " " || this.#peek() === "\t") this.#at++;
  }

  /** Goes to the next token, over white space, comments and line ends. */
  #skip(): void {
    for (;;) {
      this.#skipSpaces();
      const char = this.#peek();
      if (char === "#") this.#toLineEnd();
      else if (char !== "" && isLineEnd(char)) this.#lineBreak();
      else break;
    }
    if (this.#flowDepth === 0 && this.#tab === undefined) this.#checkTab();
  }

  /** YAML counts no tabs, so the depth of such a line is undefined. */
  #checkTab(): void {
    const indentation = this.#text.slice(this.#lineStart, this.#at);
    if (this.#peek() === "" || indentation.trim() !== "") return;
    const tab = indentation.indexOf("\t");
    if (tab >= 0) this.#tab = this.#lineStart + tab;
  }

  /** Reads anchors and tags before a node; returns the anchor's name. */
  #properties(inFlow: boolean): string | undefined {
    let anchor: string | undefined;
    while (this.#peek() === "&" || this.#peek() === "!") {
      const start = this.#at;
      while (!this.#isBlank() && !(inFlow && this.#isFlowIndicator())) {
        this.#at++;
      }
      if (this.#text[start] === "&") {
        anchor = this.#text.slice(start + 1, this.#at);
      }
      this.#skip();
    }
    return anchor;
  }

  #isFlowIndicator(ahead = 0): boolean {
    const char = this.#peek(ahead);
    return char !== "" && FLOW_INDICATORS.includes(char);
  }

  #enter(): void {
    if (++this.#depth > MAX_YAML_DEPTH) throw new DepthError();
  }

  /**
   * A value in block style: it is indented deeper than `parent`, but for a
   * list that is the value of a key and may stand right below it.
   */
  #blockNode(parent: number, isValue: boolean): YamlNode {
    this.#enter();
    const begin = this.#at;
    this.#skip();
    const anchor = this.#properties(false);
    const isBelow = this.#column <= parent &&
      !(isValue && this.#column === parent && this.#atDash());
    const node: YamlNode = this.#atEnd() || isBelow
      ? { kind: "empty", offset: begin }
      : this.#blockContent(parent);
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    this.#depth--;
    return node;
  }

  #atDash(): boolean {
    return this.#peek() === "-" && this.#isBlank(1);
  }

  #blockContent(parent: number): YamlNode {
    const offset = this.#at;
    const column = this.#column;
    if (this.#atDash()) return this.#blockList(column);
    const char = this.#peek();
    if (char === "?" && this.#isBlank(1)) return this.#blockMap(column);
    if (char === "|" || char === ">") return this.#blockScalar(parent);
    const lineStart = this.#lineStart;
    const node = this.#inlineNode();
    this.#skipSpaces();
    const isKey = this.#peek() === ":" && this.#isBlank(1) &&
      this.#lineStart === lineStart;
    if (!isKey && (node.kind !== "scalar" || isQuote(char))) return node;
    this.#at = offset;
    this.#lineStart = lineStart;
    return isKey ? this.#blockMap(column) : this.#blockPlain(parent);
  }

  #blockList(column: number): YamlNode {
    const offset = this.#at;
    const items: YamlNode[] = [];
    while (!this.#atEnd() && this.#column === column && this.#atDash()) {
      this.#at++;
      items.push(this.#blockNode(column, false));
      this.#skip();
    }
    return { kind: "list", offset, items };
  }

  #blockMap(column: number): YamlNode {
    const offset = this.#at;
    const entries: YamlEntry[] = [];
    while (!this.#atEnd() && this.#column === column) {
      const start = this.#at;
      entries.push(this.#blockEntry(column));
      this.#skip();
      if (this.#at === start) throw new LostError();
    }
    return { kind: "map", offset, entries };
  }

  #blockEntry(column: number): YamlEntry {
    if (this.#peek() === "?" && this.#isBlank(1)) {
      this.#at++;
      this.#skip();
      const keyOffset = this.#at;
      this.#blockNode(column, true);
      const keySource = this.#text.slice(keyOffset, this.#at).trimEnd();
      this.#skip();
      const hasValue = this.#column === column && this.#peek() === ":";
      if (hasValue) this.#at++;
      const value: YamlNode = hasValue
        ? this.#blockNode(column, true)
        : { kind: "empty", offset: keyOffset };
      return { keySource, keyOffset, value };
    }
    this.#properties(false);
    const keyOffset = this.#at;
    this.#inlineNode();
    const keySource = this.#text.slice(keyOffset, this.#at).trimEnd();
    this.#skipSpaces();
    if (this.#peek() !== ":") throw new LostError();
    this.#at++;
    return { keySource, keyOffset, value: this.#blockNode(column, true) };
  }

  /** `|` and `>`: all lines that are deeper than the parent, or blank. */
  #blockScalar(parent: number): YamlNode {
    const offset = this.#at;
    this.#toLineEnd();
    while (this.#peek() !== "") {
      const { at, lineStart } = { at: this.#at, lineStart: this.#lineStart };
      this.#lineBreak();
      while (this.#peek() === " ") this.#at++;
      const isBlank = this.#peek() === "" || isLineEnd(this.#peek());
      const isInside = this.#column > Math.max(parent, 0) ||
        (parent < 0 && !this.#atEnd());
      if (!isBlank && !isInside) {
        this.#at = at;
        this.#lineStart = lineStart;
        break;
      }
      this.#toLineEnd();
    }
    return { kind: "scalar", offset, end: this.#at };
  }

  /** A plain scalar that may go on in deeper lines. */
  #blockPlain(parent: number): YamlNode {
    const offset = this.#at;
    let end = this.#plainLine(false);
    for (;;) {
      this.#skipSpaces();
      if (!isLineEnd(this.#peek())) break;
      const { at, lineStart } = { at: this.#at, lineStart: this.#lineStart };
      while (isLineEnd(this.#peek())) {
        this.#lineBreak();
        this.#skipSpaces();
      }
      if (
        this.#atEnd() || this.#column <= parent || this.#peek() === "#"
      ) {
        this.#at = at;
        this.#lineStart = lineStart;
        break;
      }
      end = this.#plainLine(false);
    }
    return { kind: "scalar", offset, end };
  }

  /** One line of a plain scalar; returns where its text ends. */
  #plainLine(inFlow: boolean): number {
    let end = this.#at;
    for (let char = this.#peek(); char !== ""; char = this.#peek()) {
      if (isLineEnd(char)) break;
      if (char === ":" && this.#isBlank(1)) break;
      if (inFlow && char === ":" && this.#isFlowIndicator(1)) break;
      if (inFlow && this.#isFlowIndicator()) break;
      if (char === "#" && end < this.#at) break;
      this.#at++;
      if (char !== " " && char !== "\t") end = this.#at;
    }
    return end;
  }

  /**
   * Reads a possible key: a flow collection, a quoted, an alias, a plain line.
   */
  #inlineNode(): YamlNode {
    const char = this.#peek();
    if (char === "[" || char === "{" || char === "*" || isQuote(char)) {
      return this.#flowContent();
    }
    const offset = this.#at;
    const end = this.#plainLine(false);
    this.#at = end;
    return { kind: "scalar", offset, end };
  }

  #flowNode(): YamlNode {
    this.#enter();
    this.#skip();
    const anchor = this.#properties(true);
    const node = this.#flowContent();
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    this.#depth--;
    return node;
  }

  #flowContent(): YamlNode {
    const offset = this.#at;
    const char = this.#peek();
    if (char === "{" || char === "[") return this.#flowCollection(char);
    if (char === "*") {
      this.#at++;
      while (!this.#isBlank() && !this.#isFlowIndicator()) this.#at++;
      const target = this.#anchors.get(this.#text.slice(offset + 1, this.#at));
      return { kind: "alias", offset, target };
    }
    if (isQuote(char)) return this.#quoted(char);
    let end = this.#plainLine(true);
    while (isLineEnd(this.#peek())) {
      this.#skip();
      if (this.#isFlowIndicator() || this.#peek() === ":") break;
      const start = this.#at;
      end = this.#plainLine(true);
      if (this.#at === start) break;
    }
    return end === offset
      ? { kind: "empty", offset }
      : { kind: "scalar", offset, end };
  }

  #quoted(quote: string): YamlNode {
    const offset = this.#at++;
    for (;;) {
      const char = this.#peek();
      if (char === "") throw new LostError(offset);
      if (isLineEnd(char)) this.#lineBreak();
      else if (char === "\\" && quote === '"') {
        this.#at++;
        if (!isLineEnd(this.#peek())) this.#at++;
      } else if (char === quote) {
        this.#at++;
        if (quote !== "'" || this.#peek() !== "'") break;
        this.#at++;
      } else this.#at++;
    }
    return { kind: "scalar", offset, end: this.#at };
  }

  #flowCollection(open: "{" | "["): YamlNode {
    const offset = this.#at++;
    this.#flowDepth++;
    const close = open === "{" ? "}" : "]";
    const entries: YamlEntry[] = [];
    const items: YamlNode[] = [];
    for (;;) {
      this.#skip();
      const start = this.#at;
      if (this.#peek() === "") throw new LostError(offset);
      if (this.#peek() === close) {
        this.#at++;
        break;
      }
      if (this.#peek() === ",") {
        this.#at++;
        continue;
      }
      const { key, entry } = this.#flowEntry();
      if (open === "{") {
        entries.push(entry ?? this.#withoutValue(key));
      } else {
        items.push(
          entry === undefined
            ? key
            : { kind: "map", offset: entry.keyOffset, entries: [entry] },
        );
      }
      if (this.#at === start) throw new LostError();
    }
    this.#flowDepth--;
    return open === "{"
      ? { kind: "map", offset, entries }
      : { kind: "list", offset, items };
  }

  /** A member of a flow collection, which may be a pair. */
  #flowEntry(): { key: YamlNode; entry: YamlEntry | undefined } {
    if (this.#peek() === "?" && this.#isBlank(1)) this.#at++;
    const key = this.#flowNode();
    const keySource = this.#text.slice(key.offset, this.#at).trimEnd();
    this.#skip();
    if (this.#peek() !== ":") return { key, entry: undefined };
    this.#at++;
    return {
      key,
      entry: { keySource, keyOffset: key.offset, value: this.#flowNode() },
    };
  }

  #withoutValue(key: YamlNode): YamlEntry {
    return {
      keySource: this.#text.slice(key.offset, this.#at).trimEnd(),
      keyOffset: key.offset,
      value: { kind: "empty", offset: key.offset },
    };
  }
}

function isLineEnd(char: string): boolean {
  return char === "\n" || char === "\r";
}

function isQuote(char: string): boolean {
  return char === '"' || char === "'";
}
