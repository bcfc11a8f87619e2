import { assertEquals } from "@std/assert";
import {
  findWiring,
  formatDriver,
  formatForce,
  formatOrigin,
  formatRules,
  lineOfDetail,
  sourceGroup,
} from "./words.js";

Deno.test("rules are words of a SPEC", () => {
  assertEquals(
    formatRules({
      rules: {
        direction: "output",
        safe: 0,
        onDisconnect: "safe",
        safeAfterUs: 2_000_000,
        minIntervalUs: 1500,
        debounceUs: 5000,
        activeLow: true,
        shared: true,
        combine: "or",
      },
    }),
    [
      "direction=output",
      "safe=0",
      "safe-after=2s",
      "min-interval=1500us",
      "debounce=5ms",
      "active-low",
      "shared",
      "combine=or",
    ],
  );
  assertEquals(formatRules({ rules: { onDisconnect: "input" } }), [
    "on-disconnect=input",
  ]);
  assertEquals(formatRules({}), []);
  // Of a later service.
  assertEquals(formatRules({ rules: { later: 3 } }), ["later=3"]);
});

Deno.test("what drives a line is said with the rule", () => {
  assertEquals(formatDriver({}), "");
  assertEquals(formatDriver({ drivenBy: "guest" }), "guest");
  assertEquals(
    formatDriver({ drivenBy: "rule", rule: "safe-after" }),
    "rule safe-after",
  );
});

Deno.test("a force has its value, end, user and reason", () => {
  assertEquals(formatForce({}), undefined);
  const until = new Date(2026, 0, 31, 12, 5).getTime();
  const forced = { value: 0, until, by: 1000, reason: "new gasket" };
  assertEquals(
    formatForce({ forced }),
    "forced to 0 until 12:05:00 by user 1000: new gasket",
  );
});

const ofChip = (offset: number) => ({
  origin: { kind: "chip", chip: "gpiochip0", offset },
});

Deno.test("lines have a source and a group of it", () => {
  const lines = [
    ofChip(4),
    { origin: { kind: "line-name", lineName: "PUMP" } },
    { origin: { kind: "sim" } },
    { origin: { kind: "const", value: 1 } },
    { origin: { kind: "wire", of: "crane.READY" } },
    { source: "something else" },
  ];
  assertEquals(lines.map((line) => [formatOrigin(line), sourceGroup(line)]), [
    ["gpiochip0/4", "gpiochip0"],
    ['line "PUMP"', "lines by their names"],
    ["sim", "simulated lines"],
    ["const/1", "constants"],
    ["wire/crane.READY", "lines that follow others"],
    ["something else", "something else"],
  ]);
});

Deno.test("the wiring has what is followed, shared and exclusive, once each", () => {
  const lines = Object.entries({
    "press.STOP": ofChip(4),
    "crane.STOP": ofChip(4),
    "press.FORWARD": { ...ofChip(1), interlocks: ["press.REVERSE"] },
    "press.REVERSE": { ...ofChip(2), interlocks: ["press.FORWARD"] },
    "crane.PEER": { origin: { kind: "wire", of: "press.FORWARD" } },
    "oven.PEER": { origin: { kind: "wire", of: "press.FORWARD" } },
    "oven.COPY": { origin: { kind: "copy", of: "press.FORWARD" } },
    "oven.NOT": { origin: { kind: "invert", of: "press.FORWARD" } },
  }).map(([title, line]) => ({ title, line }));
  assertEquals(findWiring(lines), [
    "press.FORWARD → crane.PEER, oven.PEER",
    "press.FORWARD ⇉ oven.COPY",
    "press.FORWARD ⇾ not oven.NOT",
    "gpiochip0/4 ⇉ press.STOP, crane.STOP",
    "press.FORWARD ⊘ press.REVERSE",
  ]);
});

Deno.test("an event's text names its line, or none", () => {
  const lines = [
    { name: "STOP", lineNumber: 0 },
    { name: "STOP2", lineNumber: 1 },
    { name: "", lineNumber: 12 },
    { name: "", lineNumber: 1 },
  ];
  const findLineNumber = (detail: string) =>
    lineOfDetail(detail, lines)?.lineNumber;
  assertEquals(
    findLineNumber("STOP2: press.UP is active, which excludes it"),
    1,
  );
  assertEquals(findLineNumber("STOP, pump:4: its rule does not hold"), 0);
  assertEquals(findLineNumber("STOP has its safe value now"), 0);
  assertEquals(findLineNumber("STOP2=0 for 10m: new gasket"), 1);
  assertEquals(findLineNumber("line 12: no"), 12);
  assertEquals(findLineNumber("STOPPED by hand"), undefined);
  assertEquals(findLineNumber(""), undefined);
});
