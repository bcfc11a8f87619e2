import { assert, assertEquals } from "@std/assert";
import { readSmallFile } from "./files.ts";
import {
  cleanMappings,
  dropStartUpPages,
  returnLargeMemory,
} from "./memory.ts";

function residentFileKilobytes(): number {
  const status = readSmallFile("/proc/self/status") ?? "";
  return Number(/^RssFile:\s+(\d+) kB$/m.exec(status)?.[1]);
}

Deno.test("dropStartUpPages() makes the process smaller, and it runs on", () => {
  const before = residentFileKilobytes();
  dropStartUpPages();
  const after = residentFileKilobytes();
  assert(after < before * 0.8, `${before} kB before, ${after} kB after`);
  dropStartUpPages();
  assert(/(a+)+c/.test("aaac"));
});

/** Flag in the size that stands before a piece of the C library's memory. */
const IS_MMAPPED = 2;

Deno.test("returnLargeMemory() gives large pieces a mapping of their own, whatever was freed before", () => {
  const library = Deno.dlopen("libc.so.6", {
    malloc: { parameters: ["usize"], result: "pointer" },
    free: { parameters: ["pointer"], result: "void" },
  });
  const { malloc, free } = library.symbols;
  returnLargeMemory();
  // The C library raises its limit to what is freed here, if it may.
  free(malloc(4n << 20n));
  // The first ones may fit into what other tests have freed.
  const pieces = Array.from({ length: 64 }, () => malloc(1n << 20n)!);
  const before = Deno.UnsafePointer.offset(pieces.at(-1)!, -8)!;
  const size = new Deno.UnsafePointerView(before).getUint32();
  for (const piece of pieces) free(piece);
  library.close();
  assertEquals(size & IS_MMAPPED, IS_MMAPPED);
});

/** An entry of /proc/PID/smaps. */
function mapping(
  permissions: string,
  counters: Record<string, number>,
  path = "/usr/bin/deno",
): string {
  const lines = Object.entries(counters).map(([name, kilobytes]) =>
    `${name}: ${String(kilobytes).padStart(8)} kB`
  );
  return `1000-9000 ${permissions} 00000000 fd:00 1234    ${path}
${lines.join("\n")}
VmFlags: rd mr mw me
`;
}

Deno.test("cleanMappings() takes only resident pages that their file still has", () => {
  const clean = {
    Rss: 32,
    "Shared_Clean": 12,
    "Shared_Dirty": 0,
    "Private_Clean": 20,
    "Private_Dirty": 0,
    Anonymous: 0,
  };
  assertEquals(cleanMappings(mapping("r-xp", clean)), [
    { start: 0x1000n, end: 0x9000n },
  ]);
  const left: Record<string, string> = {
    "writable": mapping("rw-p", clean),
    "shared": mapping("r--s", clean),
    "no file": mapping("r--p", clean, "[heap]"),
    "nothing resident, as qemu-user reports of every mapping": mapping(
      "r--p",
      { ...clean, Rss: 0, "Shared_Clean": 0, Private_Clean: 0 },
    ),
    "relocated pages": mapping("r--p", {
      ...clean,
      "Private_Clean": 8,
      "Private_Dirty": 12,
      Anonymous: 12,
    }),
    "a page of its own that is clean": mapping("r--p", {
      ...clean,
      Anonymous: 4,
    }),
    "dirty page of a file": mapping("r--p", {
      ...clean,
      "Private_Clean": 16,
      "Private_Dirty": 4,
    }),
  };
  for (const [what, smaps] of Object.entries(left)) {
    assertEquals(cleanMappings(smaps), [], what);
  }
  const all = Object.values(left).join("") + mapping("r--p", clean);
  assertEquals(cleanMappings(all).length, 1);
});
