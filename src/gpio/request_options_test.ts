import { assertEquals, assertThrows } from "@std/assert";
import { readRequest, type RequestOptions } from "./request_options.ts";

Deno.test("readRequest() refuses a consumer that the kernel would know by another name", () => {
  const lines = [{ offset: 3 }];
  const read = (consumer: unknown) =>
    readRequest("gpiochip0", { lines, consumer } as RequestOptions);
  for (const consumer of [undefined, "", "plant", "a\nb"]) {
    assertEquals(read(consumer).map(({ offset }) => offset), [3]);
  }
  assertThrows(() => read("a\0b"), TypeError, "has a NUL");
  for (const consumer of [null, 5, true]) {
    assertThrows(() => read(consumer), TypeError, "must be a string");
  }
});
