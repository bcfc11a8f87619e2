import { assertEquals, assertThrows } from "@std/assert";
import { FdStoreDouble } from "../../../tests/doubles/fd_store_double.ts";
import {
  LoopDouble,
  SourceDouble,
} from "../../../tests/doubles/line_doubles.ts";
import { Aggregator } from "../../aggregator/aggregator.ts";
import { Interlocks } from "../../aggregator/rules/interlock.ts";
import { LineDirectory } from "../../aggregator/sharing/line_directory.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { toPinChanges } from "./pin_changes.ts";

function makeAggregator(names: readonly string[]): Aggregator {
  const ignore = () => {};
  return Aggregator.open({
    name: "a",
    lines: names.flatMap((name) => parseLineSpec(`gpiochip0/0,as=${name}`)),
  }, {
    loop: new LoopDouble(),
    store: new FdStoreDouble(),
    openSource: () => new SourceDouble(),
    directory: new LineDirectory(),
    interlocks: new Interlocks(),
    reporter: {
      refused: ignore,
      kernelRefused: ignore,
      presence: ignore,
      silent: ignore,
      rulePending: ignore,
      ruleHolds: ignore,
      forced: ignore,
      unforced: ignore,
      notBack: ignore,
    },
  });
}

Deno.test("toPinChanges() searches a bounded number of lines for a similar name", () => {
  const near = "valve-of-the-northern-press";
  const others = Array.from(
    { length: 500 },
    (_, i) => `pressure-of-the-pump-${i + 1000}`,
  );
  const wrong = near.replace("press", "pres");
  for (
    const [names, isFound] of [
      [[near, ...others], true],
      [[...others, near], false],
    ] as const
  ) {
    const { message } = assertThrows(
      () => toPinChanges(makeAggregator(names), [[wrong, 1]]),
      RangeError,
    );
    assertEquals(message.includes(`did you mean ${near}?`), isFound);
  }
});
