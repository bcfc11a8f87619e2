/**
 * Names of lines, chips and consumers as text.
 *
 * A name of the kernel is any bytes but NUL. As a string it is UTF-8, where each
 * byte that is not is one of U+DC80 to U+DCFF: different names are different
 * strings. As text for people and for a SPEC it is the name itself, but for
 * escapes: `\xNN` for a byte, and a backslash before a backslash, comma or slash.
 *
 * @module
 */

/** Characters that cannot be shown as they are, and bytes that are not UTF-8. */
const ACTING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** A backslash that would be read as the beginning of an escape. */
const MISREADABLE =
  /\\(?=[\\,/\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]|x[0-9a-fA-F]{2}|$)/gu;
const ESCAPE = /\\(?:x([0-9a-fA-F]{2})|([\\,/]))/g;

const FIRST_RAW = 0xdc80;
const LAST_RAW = 0xdcff;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Returns the string of a name's bytes.
 *
 * Bytes that are not UTF-8 become U+DC80 to U+DCFF.
 */
export function nameOfBytes(bytes: Uint8Array): string {
  try {
    return strict.decode(bytes);
  } catch {
    return escapedDecode(bytes);
  }
}

function escapedDecode(bytes: Uint8Array): string {
  let name = "";
  for (let at = 0; at < bytes.length;) {
    const length = characterLength(bytes, at);
    if (length === 0) name += String.fromCharCode(0xdc00 + bytes[at++]!);
    else {
      name += strict.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return name;
}

/** The length of the UTF-8 character at `at`; 0 if there is none. */
function characterLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at]!;
  const length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  try {
    strict.decode(bytes.subarray(at, at + length));
    return at + length <= bytes.length ? length : 0;
  } catch {
    return 0;
  }
}

/** Returns the bytes of a name; the inverse of {@linkcode nameOfBytes}. */
export function bytesOfName(name: string): Uint8Array<ArrayBuffer> {
  if (!hasRawBytes(name)) return encoder.encode(name);
  const bytes: number[] = [];
  for (const character of name) {
    const code = character.codePointAt(0)!;
    if (code >= FIRST_RAW && code <= LAST_RAW) bytes.push(code - 0xdc00);
    else bytes.push(...encoder.encode(character));
  }
  return Uint8Array.from(bytes);
}

/** Bytes that the kernel shows of a name. */
const SHOWN_BYTES = 31;

/**
 * Returns what the kernel shows of a name: its first 31 bytes. Device trees
 * have longer ones.
 */
export function shownName(name: string): string {
  const bytes = bytesOfName(name);
  return bytes.length <= SHOWN_BYTES
    ? name
    : nameOfBytes(bytes.subarray(0, SHOWN_BYTES));
}

/** Returns true if some bytes of a name are not UTF-8. */
export function hasRawBytes(name: string): boolean {
  return /[\udc80-\udcff]/u.test(name);
}

/**
 * Returns a name as text on one line, from which {@linkcode nameOfText} makes the
 * same name: what cannot be shown is escaped as `\xNN`, byte by byte.
 */
export function nameText(name: string): string {
  return name.replace(MISREADABLE, "\\\\").replace(
    ACTING,
    (character) =>
      [...bytesOfName(character)]
        .map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`)
        .join(""),
  );
}

/**
 * Returns a name as it is written in a SPEC, with commas and slashes escaped
 * where they would end it.
 *
 * @param separators Characters that end a name there.
 */
export function specText(name: string, separators: "," | ",/" = ","): string {
  const text = nameText(name).replaceAll(",", "\\,");
  return separators === "," ? text : text.replaceAll("/", "\\/");
}

/**
 * Returns the name that a text stands for: `\xNN` is a byte, `\\`, `\,` and `\/`
 * the character. A backslash before something else stands for itself.
 */
export function nameOfText(text: string): string {
  if (!text.includes("\\")) return text;
  const bytes: number[] = [];
  let at = 0;
  for (const match of text.matchAll(ESCAPE)) {
    bytes.push(...bytesOfName(text.slice(at, match.index)));
    const [whole, hex, character] = match;
    bytes.push(
      hex === undefined ? character!.charCodeAt(0) : parseInt(hex, 16),
    );
    at = match.index + whole.length;
  }
  bytes.push(...bytesOfName(text.slice(at)));
  return nameOfBytes(Uint8Array.from(bytes));
}
