import { assertEquals, assertThrows } from "@std/assert";
import type { OptionSpec } from "./options.ts";
import { readRequest } from "./settings.ts";
import { ToolError } from "./tool_error.ts";

const TABLE = [
  { long: "as-is", help: [] },
  { long: "by-name", help: [] },
  { long: "chip", value: "chip", help: [] },
  {
    long: "count",
    value: "n",
    help: [],
    sets: "times",
    read: (text: string, before: number = 0) => {
      if (text === "none") throw new ToolError("no count");
      return before + Number(text);
    },
  },
  { long: "utc", help: [], sets: "time", to: "utc" },
  { long: "localtime", help: [], sets: "time", to: "local" },
  { long: "quiet", help: [] },
  { long: "silent", help: [], sets: "quiet" },
  { long: "help", short: "h", help: [] },
  { long: "version", help: [] },
] as const satisfies readonly OptionSpec[];

const NOTHING = {
  asIs: false,
  byName: false,
  chip: undefined,
  times: undefined,
  time: undefined,
  quiet: false,
};

Deno.test("readRequest() has a setting for every option that is not given", () => {
  assertEquals(readRequest(TABLE, ["x"]), {
    settings: NOTHING,
    operands: ["x"],
  });
});

Deno.test("readRequest() sets what the table says, of what it says", () => {
  assertEquals(
    readRequest(TABLE, ["--as-is", "--chip=", "--silent", "--utc", "x", "y"]),
    {
      settings: { ...NOTHING, asIs: true, chip: "", quiet: true, time: "utc" },
      operands: ["x", "y"],
    },
  );
});

Deno.test("readRequest() takes the last of several, or all where options add up", () => {
  const request = readRequest(
    TABLE,
    ["--utc", "--localtime", "--count=2", "--chip=a", "--count=3", "--chip=b"],
  );
  assertEquals(request, {
    settings: { ...NOTHING, time: "local", times: 5, chip: "b" },
    operands: [],
  });
});

Deno.test("readRequest() answers the first question, whatever follows", () => {
  assertEquals(readRequest(TABLE, ["--quiet", "-h", "--nope"]), {
    question: "help",
  });
  assertEquals(readRequest(TABLE, ["--version", "--help"]), {
    question: "version",
  });
});

Deno.test("readRequest() lets a wrong value be refused by its reader", () => {
  assertThrows(() => readRequest(TABLE, ["--count=none"]), ToolError);
});
