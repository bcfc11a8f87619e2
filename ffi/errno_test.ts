import { assert, assertEquals } from "@std/assert";
import {
  EAGAIN,
  EBUSY,
  errnoCode,
  errnoText,
  ETIMEDOUT,
  findErrno,
  libcErrorText,
} from "./errno.ts";
import { ERRNO_TABLE } from "./errno_table.ts";
import { fileStatus } from "./file_status.ts";
import { mustIgnore } from "../tests/doubles/skipped.ts";

Deno.test("errnoCode() names a number", () => {
  assertEquals(errnoCode(EBUSY), "EBUSY");
  assertEquals(errnoCode(EAGAIN), "EAGAIN");
  assertEquals(errnoCode(110), "ETIMEDOUT");
  assertEquals(ETIMEDOUT, 110);
});

Deno.test("errnoCode() names the errors of drivers behind I2C and USB", () => {
  const codes = [121, 84, 62, 108, 517, 524].map(errnoCode);
  assertEquals(codes, [
    "EREMOTEIO",
    "EILSEQ",
    "ETIME",
    "ESHUTDOWN",
    "EPROBE_DEFER",
    "ENOTSUPP",
  ]);
});

Deno.test("errnoText() says what a number means", () => {
  assertEquals(errnoText(EBUSY), "busy");
  assertEquals(errnoText(121), "remote I/O error");
  assertEquals(errnoText(517), "the driver waits for another device");
});

Deno.test("errnoCode() and errnoText() answer for numbers without a name", () => {
  assertEquals(errnoCode(4095), "errno 4095");
  assertEquals(errnoText(4095), "unknown error");
  assertEquals(libcErrorText(4095), "Unknown error 4095");
});

Deno.test("libcErrorText() is glibc's strerror for all numbers of the uAPI", () => {
  const libc = Deno.dlopen("libc.so.6", {
    strerror: { parameters: ["i32"], result: "pointer" },
  });
  const strerror = (errno: number) =>
    Deno.UnsafePointerView.getCString(libc.symbols.strerror(errno)!);
  for (let errno = 1; errno < 512; errno++) {
    assertEquals(libcErrorText(errno), strerror(errno));
  }
  libc.close();
});

Deno.test("libcErrorText() names errors that are internal to the kernel", () => {
  assertEquals(
    libcErrorText(517),
    "Driver requests probe retry (EPROBE_DEFER)",
  );
});

Deno.test("findErrno() is the inverse of errnoCode()", () => {
  for (const [errno, code] of ERRNO_TABLE) {
    assertEquals(errnoCode(errno), code);
    assertEquals(findErrno(code), errno);
  }
  assertEquals(findErrno("errno 4095"), 4095);
  assertEquals(findErrno("NotFound"), undefined);
});

/** Headers of the package linux-libc-dev. */
const HEADERS = ["errno-base.h", "errno.h"].map((name) =>
  `/usr/include/asm-generic/${name}`
);
const missingHeader = HEADERS.find((path) => fileStatus(path) === undefined);

Deno.test({
  name: "the table has the names of the kernel's header",
  ignore: mustIgnore(
    missingHeader && `${missingHeader} is not installed (linux-libc-dev)`,
  ),
  fn: async () => {
    let seen = 0;
    for (const header of HEADERS) {
      const text = await Deno.readTextFile(header);
      for (
        const [, code, errno] of text.matchAll(/#define\s+(E\w+)\s+(\d+)/g)
      ) {
        assertEquals(errnoCode(Number(errno)), code);
        seen++;
      }
    }
    assert(seen > 100);
  },
});
