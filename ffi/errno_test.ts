import { assertEquals } from "@std/assert";
import { EAGAIN, EBUSY, errnoCode, errnoText, ETIMEDOUT } from "./errno.ts";

Deno.test("errnoCode() names a number", () => {
  assertEquals(errnoCode(EBUSY), "EBUSY");
  assertEquals(errnoCode(EAGAIN), "EAGAIN");
  assertEquals(errnoCode(110), "ETIMEDOUT");
  assertEquals(ETIMEDOUT, 110);
});

Deno.test("errnoText() says what a number means", () => {
  assertEquals(errnoText(EBUSY), "busy");
});

Deno.test("errnoCode() and errnoText() answer for numbers without a name", () => {
  assertEquals(errnoCode(4095), "errno 4095");
  assertEquals(errnoText(4095), "unknown error");
});
