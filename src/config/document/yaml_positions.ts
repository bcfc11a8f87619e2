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
import { isLineEnd, YamlCursor } from "./yaml_cursor.ts";

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

class Scanner {
  readonly #cursor: YamlCursor;
  readonly #anchors = new Map<string, YamlNode>();
  #depth = 0;
  #flowDepth = 0;

  constructor(text: string) {
    this.#cursor = new YamlCursor(text);
  }

  stream(): YamlStructure {
    this.#skip();
    while (this.#cursor.peek() === "%" && this.#cursor.column === 0) {
      this.#cursor.toLineEnd();
      this.#skip();
    }
    if (this.#cursor.atMarker("---")) this.#cursor.at += 3;
    const root = this.#blockNode(-1, false);
    this.#skip();
    let isEnded = this.#cursor.atMarker("---");
    while (this.#cursor.atMarker("...")) {
      this.#cursor.at += 3;
      this.#skip();
      isEnded = true;
    }
    const isOver = this.#cursor.at >= this.#cursor.text.length;
    return {
      root,
      secondDocument: isEnded && !isOver ? this.#cursor.at : undefined,
      tab: this.#cursor.tab,
    };
  }

  /** Goes to the next token. */
  #skip(): void {
    this.#cursor.skip();
    if (this.#flowDepth === 0) this.#cursor.noteTab();
  }

  /** Reads anchors and tags before a node; returns the anchor's name. */
  #properties(inFlow: boolean): string | undefined {
    let anchor: string | undefined;
    while (this.#cursor.peek() === "&" || this.#cursor.peek() === "!") {
      const start = this.#cursor.at;
      while (
        !this.#cursor.isBlank() && !(inFlow && this.#cursor.isFlowIndicator())
      ) {
        this.#cursor.at++;
      }
      if (this.#cursor.text[start] === "&") {
        anchor = this.#cursor.text.slice(start + 1, this.#cursor.at);
      }
      this.#skip();
    }
    return anchor;
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
    const begin = this.#cursor.at;
    this.#skip();
    const anchor = this.#properties(false);
    const isBelow = this.#cursor.column <= parent &&
      !(isValue && this.#cursor.column === parent && this.#atDash());
    const node: YamlNode = this.#cursor.atEnd() || isBelow
      ? { kind: "empty", offset: begin }
      : this.#blockContent(parent);
    if (anchor !== undefined) this.#anchors.set(anchor, node);
    this.#depth--;
    return node;
  }

  #atDash(): boolean {
    return this.#cursor.peek() === "-" && this.#cursor.isBlank(1);
  }

  #blockContent(parent: number): YamlNode {
    const { position, column } = this.#cursor;
    if (this.#atDash()) return this.#blockList(column);
    const char = this.#cursor.peek();
    if (char === "?" && this.#cursor.isBlank(1)) return this.#blockMap(column);
    if (char === "|" || char === ">") return this.#blockScalar(parent);
    const node = this.#inlineNode();
    this.#cursor.skipSpaces();
    const isKey = this.#cursor.peek() === ":" && this.#cursor.isBlank(1) &&
      this.#cursor.position.lineStart === position.lineStart;
    if (!isKey && (node.kind !== "scalar" || isQuote(char))) return node;
    this.#cursor.position = position;
    return isKey ? this.#blockMap(column) : this.#blockPlain(parent);
  }

  #blockList(column: number): YamlNode {
    const offset = this.#cursor.at;
    const items: YamlNode[] = [];
    while (
      !this.#cursor.atEnd() && this.#cursor.column === column && this.#atDash()
    ) {
      this.#cursor.at++;
      items.push(this.#blockNode(column, false));
      this.#skip();
    }
    return { kind: "list", offset, items };
  }

  #blockMap(column: number): YamlNode {
    const offset = this.#cursor.at;
    const entries: YamlEntry[] = [];
    while (!this.#cursor.atEnd() && this.#cursor.column === column) {
      const start = this.#cursor.at;
      entries.push(this.#blockEntry(column));
      this.#skip();
      if (this.#cursor.at === start) throw new LostError();
    }
    return { kind: "map", offset, entries };
  }

  #blockEntry(column: number): YamlEntry {
    if (this.#cursor.peek() === "?" && this.#cursor.isBlank(1)) {
      this.#cursor.at++;
      this.#skip();
      const keyOffset = this.#cursor.at;
      this.#blockNode(column, true);
      const keySource = this.#cursor.text.slice(keyOffset, this.#cursor.at)
        .trimEnd();
      this.#skip();
      const hasValue = this.#cursor.column === column &&
        this.#cursor.peek() === ":";
      if (hasValue) this.#cursor.at++;
      const value: YamlNode = hasValue
        ? this.#blockNode(column, true)
        : { kind: "empty", offset: keyOffset };
      return { keySource, keyOffset, value };
    }
    this.#properties(false);
    const keyOffset = this.#cursor.at;
    this.#inlineNode();
    const keySource = this.#cursor.text.slice(keyOffset, this.#cursor.at)
      .trimEnd();
    this.#cursor.skipSpaces();
    if (this.#cursor.peek() !== ":") throw new LostError();
    this.#cursor.at++;
    return { keySource, keyOffset, value: this.#blockNode(column, true) };
  }

  /** `|` and `>`: all lines that are deeper than the parent, or blank. */
  #blockScalar(parent: number): YamlNode {
    const offset = this.#cursor.at;
    this.#cursor.toLineEnd();
    while (this.#cursor.peek() !== "") {
      const position = this.#cursor.position;
      this.#cursor.lineBreak();
      while (this.#cursor.peek() === " ") this.#cursor.at++;
      const isBlank = this.#cursor.peek() === "" ||
        isLineEnd(this.#cursor.peek());
      const isInside = this.#cursor.column > Math.max(parent, 0) ||
        (parent < 0 && !this.#cursor.atEnd());
      if (!isBlank && !isInside) {
        this.#cursor.position = position;
        break;
      }
      this.#cursor.toLineEnd();
    }
    return { kind: "scalar", offset, end: this.#cursor.at };
  }

  /** A plain scalar that may go on in deeper lines. */
  #blockPlain(parent: number): YamlNode {
    const offset = this.#cursor.at;
    let end = this.#plainLine(false);
    for (;;) {
      this.#cursor.skipSpaces();
      if (!isLineEnd(this.#cursor.peek())) break;
      const position = this.#cursor.position;
      while (isLineEnd(this.#cursor.peek())) {
        this.#cursor.lineBreak();
        this.#cursor.skipSpaces();
      }
      if (
        this.#cursor.atEnd() || this.#cursor.column <= parent ||
        this.#cursor.peek() === "#"
      ) {
        this.#cursor.position = position;
        break;
      }
      end = this.#plainLine(false);
    }
    return { kind: "scalar", offset, end };
  }

  /** One line of a plain scalar; returns where its text ends. */
  #plainLine(inFlow: boolean): number {
    let end = this.#cursor.at;
    for (
      let char = this.#cursor.peek();
      char !== "";
      char = this.#cursor.peek()
    ) {
      if (isLineEnd(char)) break;
      if (char === ":" && this.#cursor.isBlank(1)) break;
      if (inFlow && char === ":" && this.#cursor.isFlowIndicator(1)) break;
      if (inFlow && this.#cursor.isFlowIndicator()) break;
      if (char === "#" && end < this.#cursor.at) break;
      this.#cursor.at++;
      if (char !== " " && char !== "\t") end = this.#cursor.at;
    }
    return end;
  }

  /**
   * Reads a possible key: a flow collection, a quoted, an alias, a plain line.
   */
  #inlineNode(): YamlNode {
    const char = this.#cursor.peek();
    if (char === "[" || char === "{" || char === "*" || isQuote(char)) {
      return this.#flowContent();
    }
    const offset = this.#cursor.at;
    const end = this.#plainLine(false);
    this.#cursor.at = end;
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
    const offset = this.#cursor.at;
    const char = this.#cursor.peek();
    if (char === "{" || char === "[") return this.#flowCollection(char);
    if (char === "*") {
      this.#cursor.at++;
      while (!this.#cursor.isBlank() && !this.#cursor.isFlowIndicator()) {
        this.#cursor.at++;
      }
      const target = this.#anchors.get(
        this.#cursor.text.slice(offset + 1, this.#cursor.at),
      );
      return { kind: "alias", offset, target };
    }
    if (isQuote(char)) return this.#quoted(char);
    let end = this.#plainLine(true);
    while (isLineEnd(this.#cursor.peek())) {
      this.#skip();
      if (this.#cursor.isFlowIndicator() || this.#cursor.peek() === ":") break;
      const start = this.#cursor.at;
      end = this.#plainLine(true);
      if (this.#cursor.at === start) break;
    }
    return end === offset
      ? { kind: "empty", offset }
      : { kind: "scalar", offset, end };
  }

  #quoted(quote: string): YamlNode {
    const offset = this.#cursor.at++;
    for (;;) {
      const char = this.#cursor.peek();
      if (char === "") throw new LostError(offset);
      if (isLineEnd(char)) this.#cursor.lineBreak();
      else if (char === "\\" && quote === '"') {
        this.#cursor.at++;
        if (!isLineEnd(this.#cursor.peek())) this.#cursor.at++;
      } else if (char === quote) {
        this.#cursor.at++;
        if (quote !== "'" || this.#cursor.peek() !== "'") break;
        this.#cursor.at++;
      } else this.#cursor.at++;
    }
    return { kind: "scalar", offset, end: this.#cursor.at };
  }

  #flowCollection(open: "{" | "["): YamlNode {
    const offset = this.#cursor.at++;
    this.#flowDepth++;
    const close = open === "{" ? "}" : "]";
    const entries: YamlEntry[] = [];
    const items: YamlNode[] = [];
    for (;;) {
      this.#skip();
      const start = this.#cursor.at;
      if (this.#cursor.peek() === "") throw new LostError(offset);
      if (this.#cursor.peek() === close) {
        this.#cursor.at++;
        break;
      }
      if (this.#cursor.peek() === ",") {
        this.#cursor.at++;
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
      if (this.#cursor.at === start) throw new LostError();
    }
    this.#flowDepth--;
    return open === "{"
      ? { kind: "map", offset, entries }
      : { kind: "list", offset, items };
  }

  /** A member of a flow collection, which may be a pair. */
  #flowEntry(): { key: YamlNode; entry: YamlEntry | undefined } {
    if (this.#cursor.peek() === "?" && this.#cursor.isBlank(1)) {
      this.#cursor.at++;
    }
    const key = this.#flowNode();
    const keySource = this.#cursor.text.slice(key.offset, this.#cursor.at)
      .trimEnd();
    this.#skip();
    if (this.#cursor.peek() !== ":") return { key, entry: undefined };
    this.#cursor.at++;
    return {
      key,
      entry: { keySource, keyOffset: key.offset, value: this.#flowNode() },
    };
  }

  #withoutValue(key: YamlNode): YamlEntry {
    return {
      keySource: this.#cursor.text.slice(key.offset, this.#cursor.at).trimEnd(),
      keyOffset: key.offset,
      value: { kind: "empty", offset: key.offset },
    };
  }
}

function isQuote(char: string): boolean {
  return char === '"' || char === "'";
}
