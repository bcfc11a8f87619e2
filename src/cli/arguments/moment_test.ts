import { assertEquals, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/document/config_error.ts";
import { readMoment, readSince } from "./moment.ts";

const NOW = BigInt(new Date(2026, 10, 29, 15, 30).getTime()) * 1_000_000n;
const HOUR = 3600n * 1_000_000_000n;

function local(...parts: [number, number, number, number, number, number?]) {
  return BigInt(new Date(...parts).getTime()) * 1_000_000n;
}

Deno.test("readMoment() takes a time without a zone as the clocks here show it", () => {
  for (
    const [text, ns] of [
      ["2026-11-29T14:05:06.25", local(2026, 10, 29, 14, 5, 6) + 250_000_000n],
      ["2026-11-29 14:05", local(2026, 10, 29, 14, 5)],
      ["2026-06-01", local(2026, 5, 1, 0, 0)],
      ["14:05", local(2026, 10, 29, 14, 5)],
      ["14:05:06", local(2026, 10, 29, 14, 5, 6)],
      ["2026-11-29T14:05Z", BigInt(Date.UTC(2026, 10, 29, 14, 5)) * 1_000_000n],
      [
        "2026-11-29T14:05:00.5+02:00",
        BigInt(Date.UTC(2026, 10, 29, 12, 5)) * 1_000_000n + 500_000_000n,
      ],
      ["1764429039.5", 1_764_429_039_500_000_000n],
      ["-1h", NOW - HOUR],
    ] as const
  ) assertEquals(readMoment(text, "--from", NOW), ns, text);
});

Deno.test("readMoment() and readSince() refuse what is not a time", () => {
  for (
    const text of [
      "",
      "T",
      "-",
      "25:00",
      "14:60",
      "2026-02-31",
      "2026-13-01",
      "2026-11-29T",
      "2026-11-29T24:00",
      "2026-02-31T10:00Z",
      "14:05Z",
      "-1d",
      "x",
    ]
  ) {
    assertThrows(() => readMoment(text, "--from", NOW), ConfigError, "--from");
    assertThrows(() => readSince(text, "--since", NOW), ConfigError, "--since");
  }
  assertThrows(() => readMoment("10m", "--from", NOW), ConfigError);
});

Deno.test("readSince() takes a period, too", () => {
  assertEquals(readSince("1h", "--since", NOW), NOW - HOUR);
  assertEquals(readSince("-1h", "--since", NOW), NOW - HOUR);
  assertEquals(
    readSince("14:30", "--since", NOW),
    local(2026, 10, 29, 14, 30),
  );
});
