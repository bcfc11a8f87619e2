/**
 * The names block of a virtio-gpio device: every line's name, each followed by
 * a zero byte; a line without a name is the zero byte alone.
 *
 * **Source**: virtio 1.3, section 5.18.6.2 "Get Line Names".
 *
 * @module
 */

/**
 * Encodes the names of all lines, in order.
 *
 * @returns The block, or an empty array when no line has a name:
 * `gpio_names_size` is 0 then, and drivers do not ask.
 * @throws {RangeError} If a name is not 7-bit text, or comes twice.
 */
export function encodeLineNames(names: readonly string[]): Uint8Array {
  const lineOfName = new Map<string, number>();
  let size = 0;
  for (const [lineNumber, name] of names.entries()) {
    for (const character of name) {
      const code = character.codePointAt(0)!;
      if (code === 0 || code > 0x7f) {
        throw new RangeError(
          `Cannot name line ${lineNumber} ${JSON.stringify(name)}: ` +
            "guests take 7-bit characters other than zero only",
        );
      }
    }
    const other = name === "" ? undefined : lineOfName.get(name);
    if (other !== undefined) {
      throw new RangeError(
        `Cannot name line ${lineNumber} "${name}": line ${other} has that name`,
      );
    }
    lineOfName.set(name, lineNumber);
    size += name.length + 1;
  }
  if (size === names.length) return new Uint8Array(0);
  const block = new Uint8Array(size);
  let at = 0;
  for (const name of names) {
    for (let i = 0; i < name.length; i++) block[at++] = name.charCodeAt(i);
    at++;
  }
  return block;
}
