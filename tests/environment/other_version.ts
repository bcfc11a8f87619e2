/**
 * Another version of the program, which costs no compiler: the settings say which
 * version it is, and an executable has them as text.
 *
 * @module
 */
import settings from "../../deno.json" with { type: "json" };

/** The next version, of as many characters. */
export const OTHER_VERSION: string = settings.version.replace(
  /\d$/,
  (digit) => String((Number(digit) + 1) % 10),
);

/**
 * Words of a shell that copy an executable, or `deno.json`, with the other version
 * from standard input to standard output.
 */
export const TO_OTHER_VERSION: string = `LC_ALL=C sed 's/\\("version": *"\\)${
  settings.version.replaceAll(".", "\\.")
}"/\\1${OTHER_VERSION}"/g'`;
