import { assertEquals } from "@std/assert";
import { reasonOn } from "./reason.ts";

Deno.test("reasonOn() does not name the file again", () => {
  for (
    const [message, reason] of [
      [
        "open failed on /var/none: no such file or directory (ENOENT)",
        "no such file or directory (ENOENT)",
      ],
      [
        "Cannot write to /var/x: it is a pipe, not a regular file",
        "it is a pipe, not a regular file",
      ],
      [
        "No space left on device (os error 28): write '/var/x'",
        "no space left on device",
      ],
      ["it exists, and is not a file of edges", undefined],
      // Another file is named.
      ["Cannot write to /var/y: it is a pipe", undefined],
    ] as const
  ) {
    assertEquals(reasonOn("/var/x", new Error(message)), reason ?? message);
  }
});
