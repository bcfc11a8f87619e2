import { assertEquals, assertStringIncludes } from "@std/assert";
import { O_RDWR, openFile } from "../../../ffi/files.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import {
  mappedFileCount,
  processLimitBytes,
  sessionLimitBytes,
  SharedFile,
} from "./shared_file.ts";

function made(result: SharedFile | string): SharedFile {
  if (typeof result === "string") throw new Error(result);
  return result;
}

Deno.test("SharedFile.map() finds its piece wherever it begins", () => {
  const size = 2 ** 20;
  using file = createMemFd("shared", size);
  using whole = made(SharedFile.map(file, 0, size, "all"));
  const bytes = new Uint8Array(whole.buffer, whole.offset, size);
  bytes.forEach((_, i) => bytes[i] = (i * 7) % 251);
  for (const offset of [0, 1, 4095, 4096, 0x1_0000, 0x1_0001, 0xf_ffff]) {
    for (const length of [1, 4096, size - offset]) {
      if (offset + length > size) continue;
      using piece = made(SharedFile.map(file, offset, length, "a piece"));
      const view = new Uint8Array(piece.buffer, piece.offset, length);
      assertEquals(view[0], bytes[offset]);
      assertEquals(view[length - 1], bytes[offset + length - 1]);
    }
  }
});

Deno.test("SharedFile.map() takes files of any size, to the last byte", () => {
  for (const size of [1, 100, 4095, 4097, 65535, 65537, 3 * 2 ** 21]) {
    using file = createMemFd("shared", size);
    using piece = made(SharedFile.map(file, 0, size, "all"));
    new Uint8Array(piece.buffer, piece.offset, size)[size - 1] = 1;
    const result = SharedFile.map(file, 0, size + 1, "one byte more");
    assertEquals(
      result,
      `one byte more ends at ${size + 1} of a file that has ${size} bytes`,
    );
  }
});

Deno.test("SharedFile.map() refuses what is empty, beyond 2^53, or no file", () => {
  using file = createMemFd("shared", 4096);
  using device = openFile("/dev/zero", O_RDWR);
  const fault = (
    fd: typeof file,
    offset: number,
    length: number,
  ): string => {
    const result = SharedFile.map(fd, offset, length, "it");
    return typeof result === "string" ? result : "mapped";
  };
  assertStringIncludes(fault(file, 0, 0), "must not be empty");
  assertStringIncludes(fault(file, 2 ** 53, 1), "below 2^53");
  assertStringIncludes(fault(file, 2 ** 53 - 1, 1), "below 2^53");
  assertStringIncludes(fault(file, 0, Infinity), "below 2^53");
  assertStringIncludes(fault(file, 4096, 1), "ends at 4097");
  assertStringIncludes(fault(device, 0, 1), "must be a memfd or a file on");
});

Deno.test("mappedFileCount() counts what is mapped, disposing twice is once", () => {
  const before = mappedFileCount();
  using file = createMemFd("shared", 4096);
  const piece = made(SharedFile.map(file, 0, 4096, "it"));
  assertEquals(mappedFileCount(), before + 1);
  piece[Symbol.dispose]();
  piece[Symbol.dispose]();
  assertEquals(mappedFileCount(), before);
});

Deno.test("all frontends together cannot map the whole address space", async () => {
  // Each piece has the runtime collect garbage: in a heap with little else.
  const code = `
    import { createMemFd } from "${
    import.meta.resolve("../../../ffi/mem_fd.ts")
  }";
    import { processLimitBytes, sessionLimitBytes, SharedFile } from "${
    import.meta.resolve("./shared_file.ts")
  }";
    const piece = sessionLimitBytes();
    using file = createMemFd("huge", piece);
    const pieces = [];
    for (let i = 0; i < processLimitBytes() / piece; i++) {
      pieces.push(SharedFile.map(file, 0, piece, "it"));
    }
    const refused = pieces.filter((piece) => typeof piece === "string");
    const more = SharedFile.map(file, 0, 4096, "one more");
    for (const piece of pieces) piece[Symbol.dispose]();
    using again = SharedFile.map(file, 0, 4096, "again");
    self.postMessage([pieces.length, refused, String(more), again.length]);
  `;
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(code)}`,
    { type: "module" },
  );
  try {
    const [count, refused, more, again] = await new Promise<
      [number, string[], string, number]
    >((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = reject;
    });
    assertEquals(count, processLimitBytes() / sessionLimitBytes());
    assertEquals(refused, []);
    assertStringIncludes(
      more,
      "one more does not fit: all frontends of this process may map",
    );
    assertEquals(again, 4096);
  } finally {
    worker.terminate();
  }
});
