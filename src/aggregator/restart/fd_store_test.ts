import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  creationFdName,
  forcedFdName,
  guestFdName,
  isCreationName,
  isKeptName,
  lineFdName,
  requestedFdName,
  rulesFdName,
  rulesFdNameFor,
  sessionFdNames,
  voteFdName,
  voteFdNames,
} from "./fd_store.ts";

Deno.test("names of what is kept are legible where nothing is odd", () => {
  assertEquals(lineFdName("gpiochip0", 12), "line.gpiochip0.12");
  assertEquals(guestFdName("plc0"), "guest.plc0");
});

Deno.test("different things have different names, in characters that are allowed", () => {
  const odd = [
    "gpiochip0",
    "gpio:chip0",
    "gpio_chip0",
    "gpio_3achip0",
    "gpio.chip0",
    "gpio chip0",
    "gpio\u00e9chip0",
    "gpio\nchip0",
    "",
  ];
  const names = odd.flatMap((text) => [
    lineFdName(text, 1),
    lineFdName(`${text}.1`, 1),
    voteFdName(text, "a"),
    voteFdName(`${text}.a`, "a"),
    voteFdName(text, "a.a"),
    guestFdName(text),
    forcedFdName(text),
    requestedFdName(text),
    creationFdName(text),
    rulesFdName(text),
    ...sessionFdNames(text),
  ]);
  assertEquals(new Set(names).size, names.length);
  for (const name of names) {
    assertMatch(name, /^[A-Za-z0-9_.-]+$/);
    assert(isKeptName(name));
  }
});

Deno.test("names of sockets are not those of what is kept", () => {
  for (const name of ["api", "api-look", "plc0", "lines", "unknown", ""]) {
    assertEquals(isKeptName(name), false);
  }
  assert(isCreationName(creationFdName("a")));
  assertEquals(rulesFdNameFor(creationFdName("a.b")), rulesFdName("a.b"));
  assertEquals(isCreationName(lineFdName("aggregator", 0)), false);
});

Deno.test("voteFdNames() names a line as it is written, and then as older versions did", () => {
  const host = "line 7 of /dev/gpiochip1";
  const older = voteFdName(host, "a");
  assertEquals(voteFdNames("line 7 of panel", undefined, "a"), [
    "wish.line_207_20of_20panel.a",
  ]);
  assertEquals(voteFdNames("line 7 of panel", host, "a"), [
    "wish.line_207_20of_20panel.a",
    older,
  ]);
  assertEquals(voteFdNames(host, host, "a"), [older]);
  // A manager would keep it without a name.
  assertEquals(voteFdNames("/".repeat(90), host, "a"), [older]);
});
