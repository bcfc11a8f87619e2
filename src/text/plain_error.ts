/**
 * Messages of the runtime, put into this program's words.
 *
 * @module
 */

/** Deno's refusal of what its permissions do not cover. */
const NOT_CAPABLE =
  /^Requires (\w+) access(?: to (?:"([^]*)"|([^]*?)))?, run again with [^]*$/;
/** Rust's text of an operating system's error, with Deno's addition. */
const OS_ERROR = /^([^]*) \(os error \d+\)(?:: \w+ '([^]*)')?$/;
/** Deno's complaint about a package that is neither cached nor to be had. */
const PACKAGE_ERROR = /^Failed [^']*npm package '([^']*)'/;
/** One of the causes below it, without the system's number. */
const CAUSE = /^ *\d+: (.*?)(?: \(os error \d+\))?$/gm;
/** A complaint of V8's parser about JSON. */
const JSON_ERROR =
  / in JSON(?: at position \d+[^]*)?$|^Unexpected end of JSON|, "[^]* is not valid JSON$/;

/** Returns an error's message without words that only the runtime's users know. */
export function plainMessage(message: string): string {
  const refused = NOT_CAPABLE.exec(message);
  if (refused !== null) {
    const [, kind, quoted, bare] = refused;
    const subject = quoted ?? bare;
    if (subject === undefined) return `gpioagg does without ${kind} access`;
    return subject.startsWith("/")
      ? `${subject} is not a place where gpioagg makes or reads files`
      : `gpioagg does without ${kind} access to ${subject}`;
  }
  const packageName = PACKAGE_ERROR.exec(message)?.[1];
  if (packageName !== undefined) {
    const cause = [...message.matchAll(CAUSE)].at(-1)?.[1];
    return `Cannot get ${packageName}, a package of this program` +
      `${
        cause === undefined ? "" : `: ${uncapitalized(cause)}`
      }; run it once ` +
      "where the npm registry can be reached, or set DENO_DIR to a directory " +
      "that has it";
  }
  const failed = OS_ERROR.exec(message);
  if (failed !== null) {
    const [, reason, path] = failed;
    const text = uncapitalized(reason!);
    return path === undefined ? text : `${path.split("' ")[0]}: ${text}`;
  }
  return JSON_ERROR.test(message) ? "it is not valid JSON" : message;
}

/** Returns a text that goes on in a sentence; abbreviations stay. */
function uncapitalized(text: string): string {
  return text.replace(/^[A-Z](?![A-Z])/, (letter) => letter.toLowerCase());
}
