import { assertEquals } from "@std/assert";
import { originText, ruleTexts } from "./line_facts.ts";

Deno.test("rules and sources are words of a SPEC", () => {
  assertEquals(
    ruleTexts({
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
  assertEquals(ruleTexts({ rules: { onDisconnect: "release" } }), [
    "on-disconnect=release",
  ]);
  // Of a later service.
  assertEquals(ruleTexts({ rules: { later: 3 } as never }), ["later=3"]);
  assertEquals(ruleTexts({}), []);
  const source = "in words";
  for (
    const [origin, text] of [
      [{ kind: "chip", chip: "gpiochip0", offset: 4 }, "gpiochip0/4"],
      [{ kind: "line-name", lineName: "PUMP" }, "line PUMP"],
      [{ kind: "const", value: 1 }, "const/1"],
      [{ kind: "sim" }, "sim"],
      [{ kind: "wire", of: "crane.READY" }, "wire/crane.READY"],
    ] as const
  ) assertEquals(originText({ origin, source }), text);
  assertEquals(originText({ source }), source);
});
