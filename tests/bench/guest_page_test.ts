import { assertEquals, assertThrows } from "@std/assert";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { mapGuestPage, pagesWith } from "./guest_page.ts";

const MARK = Uint32Array.of(1, 0xffff_ffff, 3, 4);
const PAGE_WORDS = 1024;

Deno.test("pagesWith() finds the mark at the start of a page only", () => {
  const memory = new Uint32Array(4 * PAGE_WORDS);
  memory.set(MARK, 1);
  memory.set(MARK, PAGE_WORDS);
  memory.set(MARK.subarray(0, 3), 2 * PAGE_WORDS);
  memory.set(MARK, 3 * PAGE_WORDS);
  assertEquals(pagesWith(memory, MARK), [4096, 3 * 4096]);
});

Deno.test("mapGuestPage() shares the page of a process's memory file", () => {
  const length = 3 << 20;
  using file = createMemFd("memory-backend-memfd", length);
  using own = Mapping.map(file.fd, { length, subject: "memory" });
  const words = new Uint32Array(own.buffer);
  const at = (2 << 20 | 5 << 12) / 4;
  words.set(MARK, at);
  {
    using page = mapGuestPage(Deno.pid, MARK);
    assertEquals(page.length, 4096);
    new Uint32Array(page.buffer)[16] = 42;
    assertEquals(words[at + 16], 42);
  }
  words.set(MARK, 0);
  assertThrows(() => mapGuestPage(Deno.pid, MARK), Error, "2 pages");
});
