/**
 * Checks who imports whom, as the house wants it:
 *
 * - `ffi` imports only `ffi`; only `ffi` names `Deno.dlopen` or pointers;
 * - a folder of `src` imports only the folders that stand below it;
 * - no cycles between files.
 *
 * Usage: `deno run --allow-read scripts/check_imports.ts`; exits 1 on a breach.
 *
 * @module
 */

/** Folder to the folders that its files may import (itself is implied). */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "ffi": [],
  "src/config": [],
  "src/gpio": ["ffi"],
  "src/virtio": ["ffi/layout.ts"],
  "src/reactor": ["ffi"],
  "src/vhost_user": ["ffi", "src/virtio", "src/reactor"],
  "src/aggregator": [
    "ffi",
    "src/gpio",
    "src/config",
    "src/virtio/line_port.ts",
    "src/reactor",
  ],
  "src/qemu": [
    "ffi",
    "src/config",
    "src/virtio/line_port.ts",
    "src/reactor",
  ],
  "src/kernel_chip": ["ffi", "src/gpio", "src/config"],
  // The control API as its users see it: the wire format is all it shares.
  "src/client": ["ffi"],
  "src/daemon": [
    "ffi",
    "src/client/protocol.ts",
    "src/gpio",
    "src/config",
    "src/virtio",
    "src/reactor",
    "src/vhost_user",
    "src/aggregator",
    "src/qemu",
    "src/kernel_chip",
  ],
  // A frontend of its own: it shares constants with the backend, no code.
  "src/tools/probe": [
    "ffi",
    "src/vhost_user/protocol.ts",
    "src/virtio/features.ts",
    "src/virtio/gpio_protocol.ts",
  ],
  "src/tools": ["ffi", "src/gpio", "src/config", "deno.json"],
  "src/cli": [
    "ffi",
    "src/gpio",
    "src/client",
    "src/config",
    "src/daemon",
    "src/kernel_chip",
    "src/qemu/arguments.ts",
    "src/tools",
    "deno.json",
  ],
};

const IMPORT =
  /(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"|new URL\("(\.{1,2}\/[^"]+\.ts)"/g;
const POINTERS = /Deno\.(dlopen|UnsafePointer|UnsafeCallback|UnsafeFnPointer)/;

const root = new URL("..", import.meta.url);
const problems: string[] = [];
const imports = new Map<string, string[]>();

for (const folder of ["ffi/", "src/"]) collect(folder);
for (const [file, targets] of imports) {
  if (/_test\.ts$|_bench\.ts$/.test(file)) continue;
  for (const target of targets) checkImport(file, target);
}
findCycles();

if (problems.length > 0) {
  for (const problem of problems) console.error(problem);
  Deno.exit(1);
}
console.log(`Import rules hold in ${imports.size} files`);

function collect(folder: string): void {
  for (const entry of Deno.readDirSync(new URL(folder, root))) {
    const path = folder + entry.name;
    if (entry.isDirectory) collect(`${path}/`);
    else if (path.endsWith(".ts")) read(path);
  }
}

function read(path: string): void {
  const text = Deno.readTextFileSync(new URL(path, root));
  if (!path.startsWith("ffi/") && POINTERS.test(text)) {
    problems.push(`${path}: names FFI that only ffi/ may name`);
  }
  const base = new URL(path, "file:///");
  imports.set(
    path,
    [...withoutComments(text).matchAll(IMPORT)].map((match) =>
      new URL(match[1] ?? match[2]!, base).pathname.slice(1)
    ),
  );
}

/** Examples in documentation import what they like. */
function withoutComments(text: string): string {
  return text.replace(/\/\*\*[^]*?\*\//g, "");
}

function houseOf(file: string): string {
  const houses = Object.keys(MAY_IMPORT).filter((house) =>
    file.startsWith(`${house}/`)
  );
  // The most specific one: src/tools/probe before src/tools.
  return houses.sort((a, b) => b.length - a.length)[0] ?? "";
}

function checkImport(file: string, target: string): void {
  const house = houseOf(file);
  const allowed = MAY_IMPORT[house];
  if (allowed === undefined) {
    problems.push(`${file}: no rule for its folder`);
    return;
  }
  const isAllowed = [house, ...allowed].some((prefix) =>
    target === prefix || target.startsWith(`${prefix}/`)
  );
  if (!isAllowed) problems.push(`${file}: must not import ${target}`);
}

function findCycles(): void {
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) {
      problems.push(`import cycle: ${[...path.slice(at), file].join(" -> ")}`);
      return;
    }
    if (done.has(file)) return;
    path.push(file);
    for (const target of imports.get(file) ?? []) visit(target);
    path.pop();
    done.add(file);
  };
  for (const file of imports.keys()) visit(file);
}
