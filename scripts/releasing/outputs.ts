/**
 * Files that are made for others: what is made beside them first, and modes.
 *
 * @module
 */

/**
 * Has all files that this process makes be readable for all and writable for its
 * owner alone, whatever the umask of its caller is: they are installed as they
 * are.
 */
export function setOutputModes(): void {
  Deno.umask(0o022);
}

/**
 * Makes a directory beside a file or directory that is replaced later, on the
 * same file system. Only this user can enter it, and its name cannot be guessed:
 * what another user has put there before would be run, or released.
 */
export async function makeBeside(path: string): Promise<string> {
  const slash = path.lastIndexOf("/");
  const directory = slash < 0 ? "." : path.slice(0, slash + 1);
  await Deno.mkdir(directory, { recursive: true });
  return await Deno.makeTempDir({
    dir: directory,
    prefix: `${path.slice(slash + 1)}.new-`,
  });
}
