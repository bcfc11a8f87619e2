import { assert, assertEquals, assertThrows } from "@std/assert";
import { O_RDONLY, openFile, readSmallFile } from "./files.ts";
import { Mapping } from "./mapping.ts";
import { createMemFd } from "./mem_fd.ts";
import { OsError } from "./os_error.ts";

Deno.test("two Mappings of one file share its memory", () => {
  using fd = createMemFd("shared", 8192);
  using a = Mapping.map(fd.fd, { length: 8192, subject: "a" });
  using b = Mapping.map(fd.fd, { length: 4096, offset: 4096, subject: "b" });
  new Uint8Array(a.buffer)[4096 + 7] = 42;
  assertEquals(new Uint8Array(b.buffer)[7], 42);
  Atomics.store(new Uint16Array(b.buffer), 0, 0xabcd);
  assertEquals(Atomics.load(new Uint16Array(a.buffer), 2048), 0xabcd);
});

Deno.test("Mapping outlives its fd and ends with disposal", () => {
  const fd = createMemFd("brief", 4096);
  const mapping = Mapping.map(fd.fd, { length: 4096, subject: "brief" });
  fd.close();
  new Uint8Array(mapping.buffer)[0] = 1;
  const maps = () => readSmallFile("/proc/self/maps")!;
  assert(maps().includes("/memfd:brief"));
  mapping[Symbol.dispose]();
  mapping[Symbol.dispose]();
  assert(mapping.disposed);
  assert(!maps().includes("/memfd:brief"));
  assertThrows(
    () => mapping.buffer,
    Deno.errors.BadResource,
    "memory of brief: it is not mapped any more",
  );
});

Deno.test("Mapping takes many GiB without committing them", () => {
  const length = 6 * 2 ** 30;
  using fd = createMemFd("guest memory", length);
  using mapping = Mapping.map(fd.fd, { length, subject: "guest memory" });
  assertEquals(mapping.buffer.byteLength, length);
  const view = new DataView(mapping.buffer);
  view.setUint32(length - 4, 0x1234_5678);
  assertEquals(view.getUint32(length - 4), 0x1234_5678);
});

Deno.test("Mapping.map() can be read-only", () => {
  using file = openFile("/etc/hostname", O_RDONLY);
  using mapping = Mapping.map(file.fd, {
    length: 4,
    writable: false,
    subject: "hostname",
  });
  assertEquals(
    new TextDecoder().decode(mapping.buffer.slice(0)),
    readSmallFile("/etc/hostname")!.slice(0, 4).padEnd(4, "\0"),
  );
  assertThrows(
    () => Mapping.map(file.fd, { length: 4, subject: "hostname" }),
    OsError,
    "mmap failed on hostname: permission denied (EACCES)",
  );
});

Deno.test("Mapping.map() refuses unaligned offsets and no length", () => {
  using fd = createMemFd("odd", 8192);
  assertThrows(
    () => Mapping.map(fd.fd, { length: 1, offset: 100, subject: "odd" }),
    OsError,
    "EINVAL",
  );
  assertThrows(
    () => Mapping.map(fd.fd, { length: 0, subject: "odd" }),
    RangeError,
    "0 bytes of odd",
  );
  assertThrows(
    () => Mapping.map(fd.fd, { length: 1, offset: -4096, subject: "odd" }),
    RangeError,
  );
});
