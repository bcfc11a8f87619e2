/**
 * Texts that a release reads and changes: versions, the changelog, the closing
 * line of the tests.
 *
 * @module
 */

const UNRELEASED = "## Unreleased";

/**
 * Returns why a version cannot follow another one; undefined if it can.
 *
 * @param wanted Version of the release: `1.2.3`.
 * @param present Version of the last one.
 */
export function versionProblem(
  wanted: string,
  present: string,
): string | undefined {
  if (!/^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}$/.test(wanted)) {
    return `"${wanted}" is not a valid version: MAJOR.MINOR.PATCH`;
  }
  const order = wanted.localeCompare(present, "en", { numeric: true });
  return order > 0 ? undefined : `${wanted} does not follow ${present}`;
}

/**
 * Returns a changelog in which what was unreleased belongs to a version.
 *
 * @param date Day of the release: `2026-01-31`.
 * @throws {Error} If nothing is unreleased, or the version has a part already.
 */
export function closeChangelog(
  text: string,
  version: string,
  date: string,
): string {
  const lines = text.split("\n");
  if (lines.some((line) => line.split(" ")[1] === version)) {
    throw new Error(`CHANGELOG.md has a part "## ${version}" already`);
  }
  const start = lines.indexOf(UNRELEASED);
  const next = lines.findIndex((line, i) =>
    i > start && line.startsWith("## ")
  );
  const part = lines.slice(start + 1, next < 0 ? undefined : next);
  if (start < 0 || !part.some((line) => /^\s*[-*] \S/.test(line))) {
    throw new Error(`CHANGELOG.md has no entry below "${UNRELEASED}"`);
  }
  lines.splice(start, 1, `## ${version} (${date})`);
  return lines.join("\n");
}

/** Returns the entries of a version, without its heading. */
export function extractChanges(text: string, version: string): string {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.split(" ")[1] === version);
  const next = lines.findIndex((line, i) =>
    i > start && line.startsWith("## ")
  );
  return lines.slice(start + 1, next < 0 ? undefined : next).join("\n").trim();
}

/**
 * Returns why the output of the tests allows no release; undefined if it does.
 * A test that was skipped is one that nothing is known of.
 */
export function testProblem(output: string): string | undefined {
  const last = output.trimEnd().split("\n").at(-1) ?? "";
  const match = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(last);
  if (match === null) return "the tests did not come to their end";
  const [passed, failed, skipped] = match.slice(1).map((n) => Number(n ?? 0));
  if (failed! > 0) return `${failed} tests failed`;
  if (skipped! > 0) return `${skipped} tests were skipped`;
  return passed! > 0 ? undefined : "no test was run";
}
