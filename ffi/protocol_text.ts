/**
 * Text that becomes part of a line protocol: qtest, QMP, sysfs and configfs
 * attributes, messages to a service manager.
 *
 * A line feed inside such text would begin another command, written with this
 * process's rights.
 *
 * @module
 */

/**
 * Returns the position of the first control character (C0, DEL or C1); -1 if
 * there is none.
 *
 * **Safety**: reads the text only.
 */
export function controlCharacterAt(text: string): number {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return i;
  }
  return -1;
}

/**
 * Returns `text` if it has no control character.
 *
 * @param receiver What it is sent or written to, for the message.
 * @throws {RangeError} If it has one.
 *
 * **Safety**: reads the text only.
 */
export function checkProtocolText(text: string, receiver: string): string {
  const at = controlCharacterAt(text);
  if (at < 0) return text;
  const code = text.charCodeAt(at).toString(16).toUpperCase().padStart(4, "0");
  throw new RangeError(
    `Cannot write to ${receiver}: the text has the control character U+${code} at position ${at}`,
  );
}
