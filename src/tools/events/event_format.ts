/**
 * The custom output format of `mon` and `notify`: `%o %l %c %e %E %S %U %L`,
 * and further letters of each tool.
 *
 * @module
 */

/** Meaning of each letter after `%`. */
type Specifiers<Event> = Readonly<
  Record<string, (event: Event) => string>
>;

/**
 * Compiles `format` into a function from an event to its text.
 *
 * `%%` is a percent sign; an unknown letter, and a percent sign at the end, are
 * copied.
 */
export function compileFormat<Event>(
  format: string,
  specifiers: Specifiers<Event>,
): (event: Event) => string {
  const parts: (string | ((event: Event) => string))[] = [];
  let rest = 0;
  for (const match of format.matchAll(/%(.)/gsu)) {
    const letter = match[1]!;
    const field = letter === "%"
      ? "%"
      : Object.hasOwn(specifiers, letter)
      ? specifiers[letter]!
      : match[0];
    parts.push(format.slice(rest, match.index), field);
    rest = match.index + match[0].length;
  }
  parts.push(format.slice(rest));
  return (event) => {
    let text = "";
    for (const part of parts) {
      text += typeof part === "string" ? part : part(event);
    }
    return text;
  };
}
