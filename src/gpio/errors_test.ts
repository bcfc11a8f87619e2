import { assertEquals, assertInstanceOf } from "@std/assert";
import { EBUSY } from "../../ffi/errno.ts";
import { isOsError } from "../../ffi/os_error.ts";
import { kernelError, LineError } from "./errors.ts";

Deno.test("LineError says what was tried, on what, and why", () => {
  const error = new LineError({
    chip: "gpiochip0",
    offsets: [3],
    operation: "request",
    reason: "it is named twice",
  });
  assertEquals(
    error.message,
    "Cannot request line 3 of gpiochip0: it is named twice",
  );
  assertEquals(
    [error.name, error.chip, error.offset, error.operation],
    ["LineError", "gpiochip0", 3, "request"],
  );
  assertEquals("cause" in error, false);
});

Deno.test("LineError about several lines names them, and has no offset", () => {
  const error = new LineError({
    chip: "gpiochip0",
    offsets: [1, 2],
    operation: "read",
    reason: "gone",
  });
  assertEquals(error.message, "Cannot read lines 1, 2 of gpiochip0: gone");
  assertEquals(error.offset, undefined);
});

Deno.test("LineError about a chip names the chip alone", () => {
  const error = new LineError({
    chip: "/dev/null",
    operation: "open",
    reason: "it is something else",
  });
  assertEquals(
    error.message,
    "Cannot open /dev/null: it is something else",
  );
});

Deno.test("kernelError() explains the error number and keeps the call", () => {
  const error = kernelError({
    chip: "gpiochip0",
    offsets: [3],
    operation: "request",
    syscall: "GPIO_V2_GET_LINE_IOCTL",
    errno: EBUSY,
    detail: 'held by "gpio-keys"',
  });
  assertInstanceOf(error, LineError);
  assertEquals(
    error.message,
    'Cannot request line 3 of gpiochip0: busy (EBUSY), held by "gpio-keys"',
  );
  assertEquals(isOsError(error.cause, "EBUSY"), true);
  assertEquals(
    (error.cause as Error).message,
    "GPIO_V2_GET_LINE_IOCTL failed on line 3 of gpiochip0: busy (EBUSY)",
  );
});
