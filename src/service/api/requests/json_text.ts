/**
 * Facts that `JSON.parse` does not tell of a JSON text: how deep it is nested,
 * keys that an object has twice, of which it would keep the last one only, and
 * the position of what is not JSON.
 *
 * @module
 */

/** Findings about a text. */
interface JsonText {
  /** True if more brackets are open at once than may be. */
  isDeep: boolean;
  /** Number of keys of all its objects. */
  keys: number;
}

/** Looks at a text, which may be invalid. */
export function examineJson(text: string, maxDepth: number): JsonText {
  let depth = 0;
  let keys = 0;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') i = endOfString(text, i);
    else if (char === ":") keys++;
    else if (char === "[" || char === "{") {
      if (++depth > maxDepth) return { isDeep: true, keys };
    } else if (char === "]" || char === "}") depth--;
  }
  return { isDeep: false, keys };
}

/** Returns the number of keys of all objects in a value. */
export function countKeys(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  let count = Array.isArray(value) ? 0 : Object.keys(value).length;
  for (const part of Object.values(value)) {
    if (typeof part === "object") count += countKeys(part);
  }
  return count;
}

/** Returns a key that an object of a valid text has twice, if there is one. */
export function keyGivenTwice(text: string): string | undefined {
  const open: Set<string>[] = [];
  let last = "";
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '"') {
      const end = endOfString(text, i);
      last = text.slice(i, end + 1);
      i = end;
    } else if (char === ":") {
      const key: string = JSON.parse(last);
      if (open.at(-1)!.has(key)) return key;
      open.at(-1)!.add(key);
    } else if (char === "[" || char === "{") open.push(new Set());
    else if (char === "]" || char === "}") open.pop();
  }
  return undefined;
}

/** Returns the position of the quote that ends the string at `start`. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}

/** Position in a text, counted from 1. **Units**: column in UTF-16 units. */
interface TextPosition {
  readonly line: number;
  readonly column: number;
}

/** Returns the line and column of an index. */
export function positionAt(text: string, index: number): TextPosition {
  const before = text.slice(0, index);
  const lineStart = before.lastIndexOf("\n") + 1;
  return {
    line: before.split("\n").length,
    column: index - lineStart + 1,
  };
}

/** A string but for its end, as far as it is valid. */
const STRING =
  /"(?:[^"\\\p{Cc}]|[\x7f-\x9f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/uy;
/** A number or a word. */
const TOKEN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const SPACE = /[ \t\r\n]*/y;

/** First fault of a text that is not JSON. */
interface JsonFault {
  readonly index: number;
  /** Expected there: `a comma or ]`. */
  readonly expected: string;
}

/**
 * Returns where a text ceases to be JSON; undefined if all of it is. Its depth
 * must have been examined.
 */
export function jsonFault(text: string): JsonFault | undefined {
  const reader = new JsonReader(text);
  return reader.readValue() && reader.readEnd() ? undefined : reader.fault;
}

/** Reads JSON for its form only. */
class JsonReader {
  readonly #text: string;
  #at = 0;
  #expected = "a value";

  constructor(text: string) {
    this.#text = text;
  }

  get fault(): JsonFault {
    return { index: this.#at, expected: this.#expected };
  }

  /** Returns false at a fault. */
  readValue(): boolean {
    this.#skip(SPACE);
    switch (this.#text[this.#at]) {
      case "{":
        return this.#readList("}", () =>
          this.#readString("a key in quotes") &&
          this.#readMark(":", "a colon") && this.readValue());
      case "[":
        return this.#readList("]", () => this.readValue());
      case '"':
        return this.#readString("a value");
      default:
        return this.#expect(this.#skip(TOKEN), "a value");
    }
  }

  readEnd(): boolean {
    this.#skip(SPACE);
    return this.#expect(this.#at === this.#text.length, "the end");
  }

  #readList(close: string, readPart: () => boolean): boolean {
    this.#at++;
    this.#skip(SPACE);
    if (this.#take(close)) return true;
    for (;;) {
      this.#skip(SPACE);
      if (!readPart()) return false;
      this.#skip(SPACE);
      if (this.#take(close)) return true;
      if (!this.#readMark(",", `a comma or ${close}`)) return false;
    }
  }

  #readMark(mark: string, expected: string): boolean {
    this.#skip(SPACE);
    return this.#expect(this.#take(mark), expected);
  }

  #readString(expected: string): boolean {
    return this.#expect(this.#skip(STRING), expected) &&
      this.#expect(this.#take('"'), "the rest of a string");
  }

  #take(mark: string): boolean {
    if (this.#text[this.#at] !== mark) return false;
    this.#at++;
    return true;
  }

  #expect(isThere: boolean, expected: string): boolean {
    if (!isThere) this.#expected = expected;
    return isThere;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    const isFound = pattern.test(this.#text);
    if (isFound) this.#at = pattern.lastIndex;
    return isFound;
  }
}
