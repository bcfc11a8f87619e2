import { assertEquals, assertThrows } from "@std/assert";
import { encodeNotification } from "./notification.ts";

Deno.test("encodeNotification() puts one assignment on a line", () => {
  assertEquals(
    new TextDecoder().decode(encodeNotification("FDSTORE=1", "FDNAME=line.0")),
    "FDSTORE=1\nFDNAME=line.0",
  );
});

Deno.test("encodeNotification() lets no value begin another assignment", () => {
  assertThrows(
    () => encodeNotification("STATUS=ok\nMAINPID=1"),
    RangeError,
    "U+000A at position 9",
  );
});
