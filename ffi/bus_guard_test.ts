import { assertEquals } from "@std/assert";
import { busFaultCount } from "./bus_guard.ts";
import { readSmallFile } from "./files.ts";
import { cString, lastErrno, libc } from "./libc.ts";
import { Mapping } from "./mapping.ts";
import { createMemFd } from "./mem_fd.ts";
import { OwnedFd } from "./owned_fd.ts";
import { mustIgnore } from "../tests/doubles/skipped.ts";

const PAGE = 4096;

Deno.test("a guarded mapping of a file that is truncated turns into zeros", () => {
  using file = createMemFd("short", 16 * PAGE);
  using mapping = Mapping.map(file.fd, {
    length: 16 * PAGE,
    guardUnit: PAGE,
    subject: "short",
  });
  const view = new DataView(mapping.buffer);
  view.setUint8(5, 1);
  view.setUint8(9 * PAGE, 1);
  const before = busFaultCount();
  assertEquals(mapping.fault, undefined);
  libc().ftruncate(file.fd, BigInt(8 * PAGE));
  assertEquals(view.getUint8(5), 1);
  assertEquals(mapping.fault, undefined);
  assertEquals(view.getUint8(9 * PAGE), 0);
  assertEquals(mapping.fault, 9 * PAGE);
  assertEquals(busFaultCount() - before, 1);
  // All of it is ours now: no second fault, and what is written stays.
  new Uint8Array(mapping.buffer).fill(7);
  assertEquals(view.getUint8(15 * PAGE), 7);
  assertEquals(busFaultCount() - before, 1);
});

Deno.test("other guarded mappings keep their memory, and slots are used again", () => {
  using file = createMemFd("long", PAGE);
  using other = Mapping.map(file.fd, {
    length: PAGE,
    guardUnit: PAGE,
    subject: "long",
  });
  new Uint8Array(other.buffer)[0] = 9;
  for (let round = 0; round < 100; round++) {
    using shrunk = createMemFd("short", PAGE);
    using mapping = Mapping.map(shrunk.fd, {
      length: PAGE,
      guardUnit: PAGE,
      subject: "short",
    });
    assertEquals(mapping.fault, undefined);
    libc().ftruncate(shrunk.fd, 0n);
    assertEquals(new Uint8Array(mapping.buffer)[17], 0);
    assertEquals(mapping.fault, 17);
  }
  assertEquals(other.fault, undefined);
  assertEquals(new Uint8Array(other.buffer)[0], 9);
});

const MFD_CLOEXEC = 1;
const MFD_HUGETLB = 4;

/** A file on hugetlbfs for which the kernel has no page at all. */
function hugeFile(length: number): OwnedFd | string {
  const fd = libc().memfdCreate(cString("huge"), MFD_CLOEXEC | MFD_HUGETLB);
  if (fd < 0) return `no hugetlbfs (errno ${lastErrno()})`;
  const owned = new OwnedFd(fd, "huge");
  libc().ftruncate(fd, BigInt(length));
  const free = /HugePages_Free: +(\d+)/
    .exec(readSmallFile("/proc/meminfo")!)?.[1];
  if (free === "0") return owned;
  owned.close();
  return `${free} huge pages are free`;
}

const huge = hugeFile(4 << 20);
Deno.test({
  name: "a sparse file on a full hugetlbfs is survived",
  ignore: mustIgnore(typeof huge === "string" ? huge : undefined),
  fn: () => {
    using file = huge as OwnedFd;
    using mapping = Mapping.map(file.fd, {
      length: 4 << 20,
      guardUnit: 2 << 20,
      subject: "huge",
    });
    const view = new DataView(mapping.buffer);
    assertEquals(view.getUint8(12345), 0);
    assertEquals(mapping.fault, 12345);
    view.setUint8((4 << 20) - 1, 1);
  },
});

Deno.test("a guard ends with its mapping", () => {
  using file = createMemFd("brief", PAGE);
  const mapping = Mapping.map(file.fd, {
    length: PAGE,
    guardUnit: PAGE,
    subject: "brief",
  });
  libc().ftruncate(file.fd, 0n);
  new Uint8Array(mapping.buffer)[0] = 1;
  assertEquals(mapping.fault, 0);
  mapping[Symbol.dispose]();
  assertEquals(mapping.fault, undefined);
});
