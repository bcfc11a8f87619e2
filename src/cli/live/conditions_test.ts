import { NotThereError } from "../not_there.ts";
import { assertEquals, assertThrows } from "@std/assert";
import {
  aggregatorState,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { Conditions, parseCondition } from "./conditions.ts";
import { findLine, listSplits } from "./line_names.ts";

Deno.test("parseCondition() takes values and edges of a line", () => {
  assertEquals(parseCondition("press.READY=1"), {
    line: "press.READY",
    wanted: "1",
  });
  assertEquals(parseCondition("a.b=c.d=rising"), {
    line: "a.b=c.d",
    wanted: "rising",
  });
  for (
    const text of [
      "",
      "press",
      "press.READY",
      "READY=1",
      "press.=1",
      ".A=1",
      "press.A=2",
    ]
  ) {
    assertThrows(() => parseCondition(text), ConfigError, "not a condition");
  }
});

Deno.test("all conditions must hold at one moment, edges need have happened", () => {
  const all = new Conditions(
    [parseCondition("a.A=1"), parseCondition("a.B=falling")],
    true,
  );
  assertEquals(all.areMet, false);
  all.set(0, 1);
  all.set(1, 0);
  assertEquals(all.areMet, false, "the first value is no edge");
  all.set(1, 1);
  all.set(0, 0);
  all.set(1, 0);
  assertEquals(all.areMet, false, "A is 0 by now");
  all.set(1, 1);
  all.set(0, 1);
  assertEquals(all.areMet, true, "the edge has happened");
  assertEquals(all.states.map(({ value }) => value), [1, 1]);
});

Deno.test("one of several conditions is enough with any", () => {
  const any = new Conditions(
    [parseCondition("a.A=1"), parseCondition("a.B=edge")],
    false,
  );
  any.set(0, 0);
  any.set(1, undefined);
  any.set(1, 1);
  assertEquals(any.areMet, false, "of an unknown value there is no edge");
  any.set(1, 0);
  assertEquals(any.areMet, true);
});

Deno.test("findLine() finds lines by name and number, with dots in either", () => {
  const aggregators = [
    aggregatorState("press", { lines: [lineState(0, "A.B"), lineState(1)] }),
    aggregatorState("press.A", { lines: [lineState(7, "C")] }),
  ];
  const found = (text: string) => {
    const one = findLine(text, aggregators);
    return one && [one.aggregator, one.line.lineNumber];
  };
  assertEquals(found("press.A.B"), ["press", 0]);
  assertEquals(found("press.A.C"), ["press.A", 7]);
  assertEquals(found("press.1"), ["press", 1]);
  assertEquals(found("crane.1"), undefined);
  const error = assertThrows(
    () => found("press.A.BB"),
    NotThereError,
    "has no line",
  );
  assertEquals(error.hint.includes("press"), true, error.hint);
  assertEquals(listSplits("..a"), []);
});
