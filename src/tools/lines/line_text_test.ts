import { assertEquals } from "@std/assert";
import type { LineInfo } from "../../gpio/line_info.ts";
import {
  attributesText,
  formatConsumer,
  jsonLine,
  lineMembers,
  quoted,
} from "./line_text.ts";

const plain: LineInfo = {
  offset: 3,
  name: "foo",
  consumer: "",
  used: false,
  direction: "input",
  activeLow: false,
  bias: "as-is",
  drive: "push-pull",
  edge: "none",
  eventClock: "monotonic",
  debouncePeriodUs: 0,
};

Deno.test("attributesText() shows what is not as usual, in one order", () => {
  assertEquals(attributesText(plain, false), "input");
  const odd: LineInfo = {
    ...plain,
    direction: "output",
    activeLow: true,
    bias: "pull-up",
    drive: "open-source",
    edge: "both",
    eventClock: "realtime",
    debouncePeriodUs: 1500,
    used: true,
    consumer: "my tool",
  };
  assertEquals(
    attributesText(odd, false),
    "output active-low drive=open-source bias=pull-up edges=both " +
      'event-clock=realtime debounce-period=1500us consumer="my tool"',
  );
  assertEquals(
    attributesText({ ...plain, used: true, consumer: "x" }, true),
    "input consumer=x",
  );
});

Deno.test("formatConsumer() names the kernel where there is no consumer", () => {
  assertEquals(formatConsumer(plain), undefined);
  assertEquals(formatConsumer({ ...plain, used: true }), "kernel");
  assertEquals(formatConsumer({ ...plain, consumer: "stale" }), undefined);
});

Deno.test("quoted() puts names in quotes unless told otherwise", () => {
  assertEquals(quoted("a b", false), '"a b"');
  assertEquals(quoted("a b", true), "a b");
});

Deno.test("lineMembers() gives every attribute, with null for none", () => {
  assertEquals(lineMembers("gpiochip0", { ...plain, name: "" }), {
    chip: "gpiochip0",
    offset: 3,
    name: null,
    used: false,
    consumer: null,
    direction: "input",
    activeLow: false,
    bias: "as-is",
    drive: "push-pull",
    edges: "none",
    eventClock: "monotonic",
    debouncePeriodUs: 0,
  });
});

Deno.test("jsonLine() is JSON on one line, with all digits of a bigint", () => {
  const line = jsonLine({ t: 1_795_381_274_263_334_699n, s: 'a\n"b', n: null });
  assertEquals(line, '{"t":1795381274263334699,"s":"a\\n\\"b","n":null}\n');
  assertEquals(JSON.parse(line).s, 'a\n"b');
});
