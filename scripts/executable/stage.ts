/**
 * The files that an executable is compiled from: those that its entries import,
 * and no others, in a directory of their own.
 *
 * `deno compile` embeds an npm package as it is, with all its files, and finds it
 * again by the lock file. Here the files that are used stand beside the sources.
 *
 * @module
 */

/** A module of `deno info --json`. */
interface Module {
  readonly local?: string;
  readonly specifier: string;
}

/** Output of `deno info --json`. */
interface Graph {
  readonly modules: readonly Module[];
}

/**
 * Modification time of all copies: `deno compile` embeds it with each file, and
 * the same sources are to give the same executable.
 */
const TIME = new Date(0);
/** Folder of the files that came from npm packages. */
const VENDOR = "vendor";

/**
 * Copies what `entries` import from the checkout at `root` into `directory`, and
 * the settings with an import map that names the copies.
 *
 * @param info Gives the output of `deno info --json` with further arguments.
 * @returns The number of files.
 * @throws {Error} If something is imported from elsewhere.
 */
export async function stage(
  root: string,
  directory: string,
  entries: readonly string[],
  info: (...args: string[]) => Promise<string>,
): Promise<number> {
  const settings = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const imports = settings.imports as Record<string, string>;
  const files = new Set<string>();
  const used = new Set<string>();
  const { npmCache } = JSON.parse(await info()) as { npmCache: string };
  for (const entry of entries) {
    const graph = JSON.parse(await info(entry)) as Graph;
    for (const { specifier, local } of graph.modules) {
      if (specifier.startsWith("node:")) continue;
      if (specifier.startsWith("npm:")) {
        used.add(specifier.replace(/^npm:\//, "npm:"));
      } else if (local?.startsWith(root)) files.add(local.slice(root.length));
      else throw new Error(`${entry} imports ${specifier}`);
    }
  }
  for (const file of files) await copy(root + file, `${directory}/${file}`);

  const mapped: Record<string, string> = {};
  const vendored = new Set<string>();
  for (const [name, target] of Object.entries(imports)) {
    if (!used.has(target)) continue;
    const [, packageName, version, path] =
      /^npm:((?:@[^/]+\/)?[^@/]+)@([^/]+)\/(.+)$/.exec(target) ?? [];
    if (path === undefined) throw new Error(`cannot read "${target}"`);
    const from = await packageDirectory(npmCache, packageName!, version!);
    const to = `${VENDOR}/${packageName}`;
    await vendor(from, path, `${directory}/${to}`, vendored);
    mapped[name] = `./${to}/${path}`;
  }
  const written = `${directory}/deno.json`;
  await Deno.writeTextFile(
    written,
    JSON.stringify({ ...settings, imports: mapped, lock: false }),
  );
  await Deno.utime(written, TIME, TIME);
  return files.size + vendored.size;
}

/** Copies a file of a package, and what it imports from the same package. */
async function vendor(
  from: string,
  path: string,
  to: string,
  done: Set<string>,
): Promise<void> {
  const file = new URL(path, `file://${from}/`).pathname;
  if (done.has(file)) return;
  if (!file.startsWith(`${from}/`)) {
    throw new Error(`${path} is outside of its package`);
  }
  done.add(file);
  await copy(file, `${to}${file.slice(from.length)}`);
  const text = (await Deno.readTextFile(file))
    .replaceAll(/\/\*[\s\S]*?\*\//g, "");
  const importing =
    /^(?:import|export)\b[^;]*?from\s*["']([^"']+)["']|^import\s*["']([^"']+)["']/gm;
  for (const [, source, bare] of text.matchAll(importing)) {
    const name = (source ?? bare)!;
    if (!name.startsWith(".")) throw new Error(`${path} imports "${name}"`);
    const next = new URL(name, `file://${file}`).pathname;
    await vendor(from, next, to, done);
  }
}

/** The package in Deno's cache, whose content the lock file has vouched for. */
async function packageDirectory(
  cache: string,
  name: string,
  version: string,
): Promise<string> {
  for await (const registry of Deno.readDir(cache)) {
    const directory = `${cache}/${registry.name}/${name}/${version}`;
    try {
      await Deno.stat(directory);
      return directory;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Error(`${name} ${version} is not in ${cache}`);
}

async function copy(from: string, to: string): Promise<void> {
  await Deno.mkdir(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  await Deno.copyFile(from, to);
  await Deno.utime(to, TIME, TIME);
}
