import { assert } from "@std/assert";
import { readSmallFile } from "./files.ts";
import { dropStartUpCode } from "./memory.ts";

function residentFileKilobytes(): number {
  const status = readSmallFile("/proc/self/status") ?? "";
  return Number(/^RssFile:\s+(\d+) kB$/m.exec(status)?.[1]);
}

Deno.test("dropStartUpCode() makes the process smaller, and it runs on", () => {
  const before = residentFileKilobytes();
  dropStartUpCode();
  const after = residentFileKilobytes();
  assert(after < before * 0.8, `${before} kB before, ${after} kB after`);
  dropStartUpCode();
  assert(/(a+)+c/.test("aaac"));
});
