import { assertEquals, assertMatch } from "@std/assert";
import {
  encodeFlags,
  findProblem,
  flattenSelections,
  type LineSettings,
  packLine,
} from "./line_settings.ts";

Deno.test("encodeFlags() gives the uAPI's flag for every setting", () => {
  const cases: [LineSettings, number][] = [
    [{}, 0],
    [{ direction: "as-is" }, 0],
    [{ direction: "as-is", activeLow: true }, 0x02],
    [{ direction: "input" }, 0x04],
    [{ direction: "output" }, 0x08],
    [{ direction: "input", edge: "rising" }, 0x14],
    [{ direction: "input", edge: "falling" }, 0x24],
    [{ direction: "input", edge: "both" }, 0x34],
    [{ direction: "output", drive: "push-pull" }, 0x08],
    [{ direction: "output", drive: "open-drain" }, 0x48],
    [{ direction: "output", drive: "open-source" }, 0x88],
    [{ direction: "input", bias: "pull-up" }, 0x104],
    [{ direction: "input", bias: "pull-down" }, 0x204],
    [{ direction: "input", bias: "disabled" }, 0x404],
    [{ direction: "input", bias: "as-is" }, 0x04],
    [{ direction: "input", eventClock: "monotonic" }, 0x04],
    [{ direction: "input", eventClock: "realtime" }, 0x804],
    [{ direction: "input", eventClock: "hte" }, 0x1004],
  ];
  for (const [settings, flags] of cases) {
    assertEquals(encodeFlags(settings), flags, JSON.stringify(settings));
    assertEquals(findProblem(settings), undefined);
  }
});

Deno.test("packLine() gives outputs a value, and only outputs", () => {
  assertEquals(packLine({ direction: "output" }, 1).value, 1);
  assertEquals(packLine({ direction: "output", outputValue: 0 }, 1).value, 0);
  assertEquals(packLine({ direction: "input" }, 1).value, 0);
  assertEquals(
    packLine({ direction: "input", debouncePeriodUs: 5000 }, 0).debounceUs,
    5000,
  );
});

Deno.test("findProblem() finds what the kernel would answer with EINVAL", () => {
  const cases: [LineSettings, RegExp][] = [
    [{ edge: "rising" }, /edge "rising" needs direction "input", not "as-is"/],
    [{ direction: "output", edge: "both" }, /edge "both" needs .* "output"/],
    [{ bias: "pull-up" }, /bias "pull-up" needs direction/],
    [{ direction: "input", drive: "open-drain" }, /drive .* "output"/],
    [{ drive: "open-source" }, /drive .* needs direction "output"/],
    [{ debouncePeriodUs: 1 }, /debouncing needs direction "input"/],
    [{ direction: "input", debouncePeriodUs: -1 }, /debouncePeriodUs -1/],
    [{ direction: "input", debouncePeriodUs: 1.5 }, /debouncePeriodUs 1.5/],
    [
      { direction: "input", debouncePeriodUs: 2 ** 32 },
      /from 0 to 4294967295/,
    ],
    [{ direction: "input", outputValue: 1 }, /outputValue 1 needs direction/],
    [
      { direction: "output", outputValue: 2 as 1 },
      /outputValue 2 is neither 0 nor 1/,
    ],
    [
      { direction: "sideways" as "input" },
      /direction "sideways" is not one of as-is, input, output/,
    ],
    [{ edge: "toString" as "none" }, /edge "toString" is not one of/],
    [{ bias: "up" as "pull-up" }, /bias "up"/],
    [{ drive: "hard" as "push-pull" }, /drive "hard"/],
    [{ eventClock: "wall" as "hte" }, /eventClock "wall"/],
  ];
  for (const [settings, message] of cases) {
    assertMatch(findProblem(settings) ?? "no problem", message);
  }
});

Deno.test("flattenSelections() lists single lines in the order given", () => {
  const input: LineSettings = { direction: "input" };
  assertEquals(
    flattenSelections([
      { offsets: [4, 2], settings: input },
      { offset: 7 },
      { offsets: [] },
    ]),
    [
      { offset: 4, settings: input },
      { offset: 2, settings: input },
      { offset: 7, settings: {} },
    ],
  );
});
