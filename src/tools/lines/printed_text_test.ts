/** Names, labels and consumers are others' text: they never act on a terminal. */
import { assert, assertEquals } from "@std/assert";
import type { LineInfo } from "../../gpio/line_info.ts";
import { bannerText } from "../events/event_options.ts";
import { attributesText, jsonLine, lineMembers, quoted } from "./line_text.ts";
import { VcdWriter } from "../../recording/vcd_writer.ts";

const EVIL = "a\x1b[2J\n\x9b\u202eb";
const HARMLESS = /^[^\p{Cc}\p{Cf}]*$/u;

Deno.test("Text output shows names without control characters", () => {
  assertEquals(
    quoted(EVIL, false),
    '"a\\x1b[2J\\x0a\\xc2\\x9b\\xe2\\x80\\xaeb"',
  );
  assertEquals(quoted(EVIL, true), "a\\x1b[2J\\x0a\\xc2\\x9b\\xe2\\x80\\xaeb");
  const info = {
    offset: 0,
    name: EVIL,
    consumer: EVIL,
    used: true,
    direction: "input",
    activeLow: false,
    bias: "as-is",
    drive: "push-pull",
    edge: "none",
    eventClock: "monotonic",
    debouncePeriodUs: 0,
  } satisfies LineInfo;
  assert(HARMLESS.test(attributesText(info, false)));
  assert(HARMLESS.test(bannerText("Watching", [EVIL]).trimEnd()));
  const line = jsonLine(lineMembers("gpiochip0", info));
  assert(HARMLESS.test(line.trimEnd()), line);
  const { name, consumer } = JSON.parse(line);
  assertEquals([name, consumer], [EVIL, EVIL], "JSON stays exact");
});

Deno.test("A dump's wires have names without control characters", () => {
  const writer = new VcdWriter([{ name: EVIL, value: 0 }], 0n, "1us");
  const header = writer.header("gpiomon", new Date(0));
  for (const line of header.split("\n")) assert(HARMLESS.test(line), line);
});
