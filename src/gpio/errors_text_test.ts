import { assertEquals } from "@std/assert";
import { LineError } from "./errors.ts";

Deno.test("LineError shows a holder's name without its control characters", () => {
  const error = new LineError({
    chip: "gpiochip0",
    offsets: [3],
    operation: "request",
    reason: 'busy (EBUSY), held by "\x1b[2J\nfake"',
  });
  assertEquals(
    error.message,
    "Cannot request line 3 of gpiochip0: busy (EBUSY), held by " +
      '"\\x1b[2J\\nfake"',
  );
});
