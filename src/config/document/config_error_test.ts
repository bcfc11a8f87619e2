import { assert, assertEquals } from "@std/assert";
import { ConfigError } from "./config_error.ts";

Deno.test("ConfigError's texts are printable, whatever a file or a client wrote", () => {
  const evil = "\x1b]0;owned\x07\n\u202e";
  const error = new ConfigError(`"${evil}" is no key`, {
    file: evil,
    line: 3,
    column: 4,
    path: `aggregators.${evil}`,
    hint: `did you mean ${evil}?`,
  });
  for (const text of [error.message, error.problem, error.path, error.hint]) {
    assert(!/[\p{Cc}\p{Cf}]/u.test(text), text);
  }
  assertEquals(error.problem, '"\\x1b]0;owned\\x07\\n\\u202e" is no key');
  assert(new ConfigError("x".repeat(100_000)).message.length < 3000);
});
