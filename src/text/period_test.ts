import { assertEquals } from "@std/assert";
import { periodMeant } from "./period.ts";

Deno.test("periodMeant() reads units as people write them, and nothing else", () => {
  for (
    const [text, meant] of [
      ["5 ms", "5ms"],
      [" 5ms ", "5ms"],
      ["5MS", "5ms"],
      ["5msec", "5ms"],
      ["0,5s", "0.5s"],
      ["1.5 seconds", "1.5s"],
      ["10 \u00b5s", "10us"],
      ["2 minutes", "2min"],
      ["1 hour", "1h"],
      ["5ms", undefined],
      ["5x", undefined],
      ["soon", undefined],
      ["-5 ms", undefined],
      ["", undefined],
      [`${"9".repeat(100)} ms`, undefined],
    ] as const
  ) assertEquals(periodMeant(text), meant, text);
});
