/**
 * A page of a program in a QEMU guest, shared with it: the guest's memory is a
 * memory file, which QEMU has open (`memory-backend-memfd,share=on`).
 *
 * @module
 */
import { listDirectory } from "../../ffi/directory_entries.ts";
import { O_RDWR, openFile, readLink, readSome } from "../../ffi/files.ts";
import { Mapping } from "../../ffi/mapping.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";

const PAGE_BYTES = 4096;
const CHUNK_BYTES = 1 << 20;
const MEMORY_FILE = /^\/memfd:memory-backend-memfd\b/;

/**
 * Maps the page that begins with the four words.
 *
 * @param pid QEMU itself, not a program that started it.
 * @throws {Error} if QEMU's memory is not shared, or not one page begins so.
 */
export function mapGuestPage(pid: number, mark: Uint32Array): Mapping {
  using file = openMemoryFile(pid);
  const chunk = new Uint8Array(CHUNK_BYTES);
  const found: number[] = [];
  // Reading takes no memory for pages that the guest never used; mapping would.
  for (let offset = 0;;) {
    const count = readSome(file, chunk);
    if (count <= 0) break;
    const pages = pagesWith(new Uint32Array(chunk.buffer, 0, count >> 2), mark);
    found.push(...pages.map((page) => offset + page));
    offset += count;
  }
  if (found.length !== 1) {
    throw new Error(`${found.length} pages of the guest have the mark, not 1`);
  }
  return Mapping.map(file.fd, {
    length: PAGE_BYTES,
    offset: found[0]!,
    subject: "a page of a guest",
  });
}

/** Offsets in bytes of the pages that begin with these words. */
export function pagesWith(memory: Uint32Array, mark: Uint32Array): number[] {
  const pages: number[] = [];
  for (let at = 0; at < memory.length; at += PAGE_BYTES / 4) {
    if (mark.every((word, i) => memory[at + i] === word)) pages.push(4 * at);
  }
  return pages;
}

function openMemoryFile(pid: number): OwnedFd {
  const directory = `/proc/${pid}/fd`;
  for (const name of listDirectory(directory)) {
    const path = `${directory}/${name}`;
    if (MEMORY_FILE.test(readLink(path) ?? "")) return openFile(path, O_RDWR);
  }
  throw new Error(`The memory of process ${pid} is not a memory file`);
}
