/**
 * Which of the directories that an administrator allows a path lies in, by its
 * words alone: links are the business of whatever opens it.
 *
 * @module
 */

/**
 * Returns the directory that `path` lies in, and the components below it;
 * undefined if it lies in none, or has components that are empty, `.` or `..`.
 */
export function findAllowedDirectory(
  path: string,
  directories: readonly string[],
): { directory: string; components: readonly string[] } | undefined {
  for (const directory of directories) {
    const prefix = directory.endsWith("/") ? directory : `${directory}/`;
    if (!path.startsWith(prefix)) continue;
    const components = path.slice(prefix.length).split("/");
    const isPlain = components.every((component) =>
      component !== "" && component !== "." && component !== ".."
    );
    if (isPlain) return { directory, components };
  }
  return undefined;
}
