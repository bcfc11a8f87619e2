/**
 * Facts that `JSON.parse` does not tell of a JSON text: how deep it is nested, and
 * keys that an object has twice, of which it would keep the last one only.
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
