/**
 * Checks who imports whom, as the house wants it:
 *
 * - `ffi` imports only `ffi`; only `ffi` names `Deno.dlopen` or pointers;
 * - a folder of `src` imports only the folders that its rule names;
 * - no cycles between files, and none between folders.
 *
 * Usage: `deno run --allow-read scripts/check_imports.ts`; exits 1 on a breach.
 *
 * @module
 */
import {
  type CheckResult,
  isCase,
  runChecks,
  type SourceTree,
} from "./check/source_tree.ts";

/**
 * Folder to the folders that its files may import (itself is implied). The rule
 * of the most specific folder applies.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  "ffi": [],
  "src/text": [],
  "src/async": ["ffi"],
  "src/http": [],
  // Pure: files of edges.
  "src/recording": ["src/text"],
  "src/line": ["src/reactor/event_loop.ts"],
  // Pure: USB devices made of lines, whichever wire carries them.
  "src/usb": ["src/line", "src/reactor/event_loop.ts"],
  "src/usb/core": ["src/line", "src/reactor/event_loop.ts"],
  "src/usb/ljca": ["src/line", "src/reactor/event_loop.ts", "src/usb/core"],
  "src/usb/cp2112": ["src/line", "src/reactor/event_loop.ts", "src/usb/core"],
  "src/config": [
    "src/gpio/chip_properties.ts",
    "src/line/value.ts",
    "src/text",
    "src/usb/core/models.ts",
  ],
  "src/config/document": ["src/text"],
  "src/gpio": ["ffi", "src/line/value.ts", "src/text"],
  // Pure: the guest-facing side runs in tests without a kernel.
  "src/virtio": ["src/virtio/queue"],
  "src/virtio/queue": ["ffi/layout.ts"],
  "src/virtio/gpio": [
    "ffi/layout.ts",
    "src/line",
    "src/virtio/device.ts",
    "src/virtio/queue",
  ],
  "src/reactor": ["ffi", "src/text"],
  // Pure: edges in shared memory.
  "src/edges": [],
  // Peers of any protocol: their processes, descriptors and connections.
  "src/peer": ["ffi", "src/reactor"],
  // Cards know lines, not how a VMM reaches them.
  "src/pci": ["src/line"],
  "src/vfio_user": ["ffi", "src/pci", "src/peer", "src/reactor"],
  "src/vhost_user": ["ffi", "src/peer", "src/virtio", "src/reactor"],
  "src/vhost_user/messages": ["ffi", "src/peer/protocol_error.ts"],
  "src/vhost_user/guest": ["ffi/layout.ts", "src/peer", "src/virtio/queue"],
  "src/vhost_user/memory": [
    "ffi",
    "src/reactor",
    "src/vhost_user/messages",
    "src/vhost_user/session_record.ts",
    "src/virtio",
  ],
  "src/vhost_user/rings": [
    "ffi",
    "src/peer",
    "src/reactor",
    "src/vhost_user/guest",
    "src/vhost_user/memory",
    "src/vhost_user/messages",
    "src/vhost_user/session_record.ts",
    "src/virtio",
  ],
  "src/aggregator": [
    "ffi",
    // What its lines report is what the API says of them.
    "src/client/protocol.ts",
    "src/config",
    "src/edges",
    "src/gpio",
    "src/line",
    "src/reactor",
    "src/text",
  ],
  "src/aggregator/lane": ["ffi", "src/aggregator", "src/line", "src/reactor"],
  "src/aggregator/restart": ["ffi", "src/peer/session_store.ts"],
  "src/aggregator/rules": [
    "ffi",
    "src/aggregator",
    "src/client/protocol.ts",
    "src/config",
    "src/line",
    "src/reactor",
    "src/text",
  ],
  "src/qemu": [
    "ffi",
    "src/config",
    "src/line",
    "src/peer",
    "src/reactor",
    "src/text",
  ],
  // An aggregator's adapters, and a host that is connected to one of them.
  "src/usb_host": ["ffi", "src/line", "src/peer", "src/reactor", "src/usb"],
  "src/usbredir": [
    "ffi",
    "src/line",
    "src/peer",
    "src/qemu/errors.ts",
    "src/qemu/qemu_connector.ts",
    "src/reactor",
    "src/usb",
    "src/usb_host",
  ],
  // Devices in this host's own kernel.
  "src/usbip": ["ffi", "src/reactor", "src/usb", "src/usb_host"],
  "src/kernel_chip": [
    "ffi",
    "src/async",
    "src/config",
    "src/gpio",
    "src/text",
    "src/usb/core/models.ts",
    "src/usbip/host_controller.ts",
    "src/usbip/relay_process.ts",
  ],
  // The control API as its users see it. It shares the messages with the
  // service, and the grammar of single values with the configuration.
  "src/client": [
    "deno.json",
    "ffi",
    "src/async",
    "src/config/values",
    "src/http/runtime.ts",
    "src/text",
  ],
  "src/service": [
    "deno.json",
    "ffi",
    "src/aggregator",
    "src/async",
    "src/client/message_schema.ts",
    "src/client/messages.ts",
    "src/client/play.ts",
    "src/client/edges.ts",
    "src/client/protocol.ts",
    "src/client/requests.ts",
    "src/config",
    "src/edges",
    "src/gpio",
    "src/http",
    "src/kernel_chip",
    "src/line",
    "src/pci",
    "src/peer",
    "src/qemu",
    "src/reactor",
    "src/recording",
    "src/text",
    "src/usb_host",
    "src/usbip/wire.ts",
    "src/usbredir",
    "src/vfio_user",
    "src/vhost_user",
    "src/virtio",
  ],
  "src/service/api/connections": [
    "ffi",
    "src/http",
    "src/service/record/turns.ts",
    "src/service/sockets",
    "src/text",
  ],
  "src/service/api/requests": [
    "src/client",
    "src/config",
    "src/service/api/connections",
    "src/text",
  ],
  "src/service/api/events": [
    "src/client",
    "src/http",
    "src/service/record",
    "src/text",
  ],
  "src/service/messages": [
    "ffi",
    "src/aggregator",
    "src/client/play.ts",
    "src/client/protocol.ts",
    "src/config",
    "src/service/restart",
    "src/text",
  ],
  "src/service/sockets": ["ffi", "src/async", "src/config", "src/text"],
  "src/service/restart": [
    "ffi",
    "src/aggregator/restart",
    "src/text",
  ],
  "src/vm": ["ffi", "src/async", "src/config", "src/qemu", "src/text"],
  // A frontend of its own: it shares constants with the backend, no code.
  "src/vhost_frontend": [
    "ffi",
    "src/vhost_user/messages/protocol.ts",
    "src/virtio/queue/features.ts",
    "src/virtio/gpio/protocol.ts",
  ],
  "src/tools": [
    "deno.json",
    "ffi",
    "src/async",
    "src/config",
    "src/gpio",
    "src/line/value.ts",
    "src/recording",
    "src/text",
  ],
  "src/web": ["ffi", "src/client/http_request.ts", "src/http", "src/text"],
  // Pure: the command gives it access to the host.
  "src/doctor": ["src/qemu/arguments.ts", "src/text"],
  "src/cli": [
    "deno.json",
    "ffi",
    "src/async",
    "src/client",
    "src/config",
    "src/doctor",
    "src/gpio",
    "src/kernel_chip",
    "src/qemu/arguments.ts",
    "src/recording",
    "src/service",
    "src/text",
    "src/tools",
    "src/usbip/relay_process.ts",
    "src/vhost_frontend",
    "src/vm",
    "src/web",
  ],
};

const POINTERS = /Deno\.(dlopen|UnsafePointer|UnsafeCallback|UnsafeFnPointer)/;

/** Checks the imports of all product files. */
export function checkImports(tree: SourceTree): CheckResult {
  const files = ["ffi", "src"].flatMap((folder) => tree.files(folder, /\.ts$/));
  const imports = new Map(
    files.map((
      file,
    ) => [file, tree.imports(file).map(({ target }) => target)]),
  );
  const problems: string[] = [];
  for (const [file, targets] of imports) {
    if (!file.startsWith("ffi/") && POINTERS.test(tree.text(file))) {
      problems.push(`${file}: names FFI that only ffi/ may name`);
    }
    if (isCase(file)) continue;
    for (const target of targets) {
      const problem = importProblem(file, target);
      if (problem !== undefined) problems.push(`${file}: ${problem}`);
    }
  }
  problems.push(...cycles(imports, "import cycle"));
  problems.push(
    ...cycles(importsOfFolders(imports), "import cycle of folders"),
  );
  return { summary: `Imports of ${files.length} files`, problems };
}

/** Returns the folder whose rule applies to a file. */
function topFolder(file: string): string {
  const houses = Object.keys(MAY_IMPORT).filter((house) =>
    file.startsWith(`${house}/`)
  );
  return houses.sort((a, b) => b.length - a.length)[0] ?? "";
}

function importProblem(file: string, target: string): string | undefined {
  const house = topFolder(file);
  const allowed = MAY_IMPORT[house];
  if (allowed === undefined) return "no rule for its folder";
  const isAllowed = [house, ...allowed]
    .some((prefix) => target === prefix || target.startsWith(`${prefix}/`));
  return isAllowed ? undefined : `must not import ${target}`;
}

function cycles(
  graph: ReadonlyMap<string, Iterable<string>>,
  title: string,
): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const path: string[] = [];
  const visit = (node: string): void => {
    const at = path.indexOf(node);
    if (at >= 0) {
      found.push(`${title}: ${[...path.slice(at), node].join(" -> ")}`);
      return;
    }
    if (done.has(node)) return;
    path.push(node);
    for (const target of graph.get(node) ?? []) visit(target);
    path.pop();
    done.add(node);
  };
  for (const node of graph.keys()) visit(node);
  return found;
}

/**
 * Returns which folder imports which. A file directly in a folder that has
 * sub-folders is a node of its own, since it composes them.
 */
function importsOfFolders(
  imports: ReadonlyMap<string, readonly string[]>,
): Map<string, Set<string>> {
  const parents = new Set(
    [...imports.keys()].map((file) => parentFolder(parentFolder(file))),
  );
  const toNode = (file: string) => {
    const folder = parentFolder(file);
    return parents.has(folder) ? file : folder;
  };
  const folders = new Map<string, Set<string>>();
  for (const [file, targets] of imports) {
    if (isCase(file)) continue;
    const from = toNode(file);
    for (const target of targets) {
      const to = toNode(target);
      if (to === from) continue;
      folders.set(from, (folders.get(from) ?? new Set()).add(to));
    }
  }
  return folders;
}

function parentFolder(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf("/")));
}

if (import.meta.main) runChecks(checkImports);
