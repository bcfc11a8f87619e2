import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { guestNames } from "./names.ts";

const line = (own: string, asked?: string) => ({
  line: {
    origin: `line ${own}`,
    ...(asked === undefined ? {} : { name: asked }),
  },
  own,
});

Deno.test("guestNames() keeps what was asked for and makes the rest unique", () => {
  assertEquals(
    guestNames([line("LED"), line("LED"), line("X", "LED.2"), line("")]),
    ["LED", "LED.3", "LED.2", ""],
  );
});

Deno.test("guestNames() makes host names 7-bit and no longer than 31", () => {
  assertEquals(guestNames([line("Tür")]), ["T_r"]);
  const long = "x".repeat(40);
  assertEquals(guestNames([line(long), line(long)]), [
    "x".repeat(31),
    "x".repeat(29) + ".2",
  ]);
});

Deno.test("guestNames() refuses a name that was asked for twice", () => {
  assertThrows(
    () => guestNames([line("a", "N"), line("b", "N")]),
    ConfigError,
    'the name "N" is taken by line a',
  );
});
