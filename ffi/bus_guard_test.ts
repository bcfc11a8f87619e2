import { assertEquals } from "@std/assert";
import { busFaultCount } from "./bus_guard.ts";
import { readSmallFile } from "./files.ts";
import { cString, lastErrno, libc } from "./libc.ts";
import { Mapping } from "./mapping.ts";
import { createMemFd } from "./mem_fd.ts";
import { OwnedFd } from "./owned_fd.ts";

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
  name: "a sparse file on a full hugetlbfs is survived" +
    (typeof huge === "string" ? ` (skipped: ${huge})` : ""),
  ignore: typeof huge === "string",
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

/** Runs a program with this folder's modules; returns the signal that ended it. */
function signalOf(body: string): string | null {
  const program = `
    import { Mapping } from "${import.meta.resolve("./mapping.ts")}";
    import { createMemFd } from "${import.meta.resolve("./mem_fd.ts")}";
    import { libc } from "${import.meta.resolve("./libc.ts")}";
    const file = createMemFd("m", 4096);
    const guarded = Mapping.map(file.fd, { length: 4096, guardUnit: 4096, subject: "m" });
    libc().ftruncate(file.fd, 0n);
    new Uint8Array(guarded.buffer)[0] = 1;
    ${body}
    Deno.exit(0);
  `;
  const { signal, code, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", "--cached-only", "--no-lock", program],
    env: { NO_COLOR: "1" },
  }).outputSync();
  if (signal === null && code !== 0) {
    throw new Error(new TextDecoder().decode(stderr));
  }
  return signal;
}

Deno.test("a fault outside of guarded mappings ends the process as ever", () => {
  assertEquals(signalOf(""), null);
  assertEquals(
    signalOf(`
      const other = createMemFd("o", 4096);
      const mapping = Mapping.map(other.fd, { length: 4096, subject: "o" });
      libc().ftruncate(other.fd, 0n);
      new Uint8Array(mapping.buffer)[0] = 1;
    `),
    "SIGBUS",
  );
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

Deno.test("a fault on another thread is survived, also with many guards in the process", () => {
  assertEquals(
    signalOf(`
      const source = ${"`"}
        import { Mapping } from "${import.meta.resolve("./mapping.ts")}";
        import { createMemFd } from "${import.meta.resolve("./mem_fd.ts")}";
        import { libc } from "${import.meta.resolve("./libc.ts")}";
        const file = createMemFd("m", 4096);
        const mapping = Mapping.map(
          file.fd,
          { length: 4096, guardUnit: 4096, subject: "m" },
        );
        libc().ftruncate(file.fd, 0n);
        new Uint8Array(mapping.buffer)[3] = 1;
        self.postMessage(mapping.fault);
      ${"`"};
      const url = "data:text/javascript," + encodeURIComponent(source);
      const faults = await Promise.all([1, 2].map(() =>
        new Promise((resolve) => {
          const worker = new Worker(url, { type: "module" });
          worker.onmessage = (event) => resolve(event.data);
        })
      ));
      // The workers' handlers stand before ours, and pass our faults on.
      const last = createMemFd("m", 4096);
      const mapping = Mapping.map(
        last.fd,
        { length: 4096, guardUnit: 4096, subject: "m" },
      );
      libc().ftruncate(last.fd, 0n);
      new Uint8Array(mapping.buffer)[3] = 1;
      if ([...faults, mapping.fault].join() !== "3,3,3") Deno.exit(1);
    `),
    null,
  );
});
