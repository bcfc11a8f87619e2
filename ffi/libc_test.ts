import { assert, assertEquals, assertThrows } from "@std/assert";
import { rounds } from "../tests/environment/rounds.ts";
import { EAGAIN, EBADF, EINVAL, ENOENT } from "./errno.ts";
import { check, cString, lastErrno, libc } from "./libc.ts";
import { OsError } from "./os_error.ts";

Deno.test("libc() opens the library once", () => {
  assert(libc() === libc());
});

Deno.test("lastErrno() tells why the last call failed", () => {
  assertEquals(libc().close(-1), -1);
  assertEquals(lastErrno(), EBADF);
  assertEquals(libc().open(cString("/no/such/file"), 0, 0), -1);
  assertEquals(lastErrno(), ENOENT);
});

Deno.test("lastErrno() is right under garbage-collection pressure", () => {
  // Three failures with different numbers in turn, garbage in between: if any
  // collection came between a call and its errno, the numbers would mix.
  const { close, open, epollWait, read, eventfd } = libc();
  const path = cString("/no/such/file");
  const events = new Uint8Array(16);
  const counter = eventfd(0, 0o4000);
  const target = new Uint8Array(8);
  let garbage: unknown[] = [];
  let wrong = 0;
  try {
    for (let i = 0; i < rounds(30_000, 10_000); i++) {
      garbage.push({ i, block: new Array(64).fill(i) });
      if (close(-1) !== -1 || lastErrno() !== EBADF) wrong++;
      garbage.push(new Uint8Array(4096));
      if (open(path, 0, 0) !== -1 || lastErrno() !== ENOENT) wrong++;
      if (epollWait(counter, events, 1, 0) !== -1) wrong++;
      if (lastErrno() !== EINVAL) wrong++;
      garbage.push(`text ${i}`.repeat(20));
      if (read(counter, target, 8) !== -1 || lastErrno() !== EAGAIN) wrong++;
      if (garbage.length > 2000) garbage = [];
    }
  } finally {
    close(counter);
  }
  assertEquals(wrong, 0);
});

Deno.test("lastErrno() is its own in every Worker", async () => {
  const source = import.meta.resolve("./libc.ts");
  const code = `
    import { lastErrno, libc } from ${JSON.stringify(source)};
    let wrong = 0;
    for (let i = 0; i < ${rounds(20_000, 5000)}; i++) {
      if (libc().close(-1) !== -1 || lastErrno() !== 9) wrong++;
    }
    self.postMessage(wrong);
  `;
  const worker = new Worker(
    `data:text/javascript,${encodeURIComponent(code)}`,
    { type: "module" },
  );
  const answer = new Promise<number>((resolve, reject) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => reject(new Error(event.message));
  });
  const path = cString("/no/such/file");
  let wrong = 0;
  for (let i = 0; i < 20_000; i++) {
    if (libc().open(path, 0, 0) !== -1 || lastErrno() !== ENOENT) wrong++;
  }
  try {
    assertEquals([wrong, await answer], [0, 0]);
  } finally {
    worker.terminate();
  }
});

Deno.test("check() passes results through and throws for negative ones", () => {
  assertEquals(check(3, "open", "a file"), 3);
  const error = assertThrows(
    () => check(libc().close(-1), "close", "fd -1"),
    OsError,
    "close failed on fd -1: bad file descriptor (EBADF)",
  );
  assertEquals(error.code, "EBADF");
});

Deno.test("a 32-bit count reaches C whole, however it was computed", () => {
  // The upper half of the register is the callee's to read: see libc.ts.
  const { eventfd, write, read, close } = libc();
  const fd = eventfd(0, 0o4000);
  const one = new Uint8Array(16);
  one[0] = 1;
  const ways: ((i: number) => number)[] = [
    (i) => Math.trunc(i * 0.5 + 8.25) - Math.trunc(i * 0.5),
    (i) => ((i - 30_000) | 0) - (i - 30_008),
    (i) => Number(BigInt.asUintN(32, BigInt(i) + 0x7_0000_0000n)) - i + 8,
    (i) => ((i * 0x1_0000_0001) >>> 0) - ((i * 0x1_0000_0001) >>> 0) + 8,
  ];
  let wrong = 0;
  for (const way of ways) {
    for (let i = 0; i < rounds(30_000, 10_000); i++) {
      if (write(fd, one, way(i)) !== 8) wrong++;
      if (i % 100 === 0) read(fd, one.subarray(8), 8);
    }
  }
  close(fd);
  assertEquals(wrong, 0);
});

Deno.test("cString() ends with NUL and refuses one inside", () => {
  assertEquals([...cString("é")], [0xc3, 0xa9, 0]);
  assertThrows(() => cString("a\0b"), TypeError, "NUL inside");
});
