import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ConfigError } from "../../config/document/config_error.ts";
import { readProbeArguments } from "./probe_arguments.ts";

const read = (line: string) => readProbeArguments(line.split(" "));

Deno.test("probe's defaults: an overview and nothing more", () => {
  assertEquals(read("s.sock"), {
    help: false,
    socket: "s.sock",
    actions: [],
    monitor: undefined,
    interrupt: 3,
    eventCount: 0,
    timeoutMs: 2000,
    order: "qemu",
    json: false,
    quiet: false,
  });
});

Deno.test("probe keeps the order of --set and --get", () => {
  assertEquals(
    read("--get a s.sock --set a=1 --get=b --set x=y=low").actions,
    [
      { kind: "get", line: "a" },
      { kind: "set", line: "a", value: 1 },
      { kind: "get", line: "b" },
      { kind: "set", line: "x=y", value: 0 },
    ],
  );
});

Deno.test("probe --monitor is for all inputs or for the lines named", () => {
  assertEquals(read("s.sock --monitor").monitor, []);
  assertEquals(read("--monitor s.sock").socket, "s.sock");
  assertEquals(read("s.sock --monitor=a --monitor=b -n 3").monitor, ["a", "b"]);
  assertEquals(read("s.sock --monitor -n3").eventCount, 3);
  assertEquals(read("s.sock --monitor --interrupt low").interrupt, 8);
});

Deno.test("probe reads periods and short switches", () => {
  const given = read("s.sock -q --json --timeout 250ms --order libkrun");
  assertEquals([given.quiet, given.json, given.timeoutMs, given.order], [
    true,
    true,
    250,
    "libkrun",
  ]);
  assertEquals(read("-h").help, true);
});

Deno.test("probe says what is wrong with a command line, and how it is meant", () => {
  for (
    const [line, problem, hint] of [
      ["--json", "missing SOCKET argument", "gpioagg probe SOCKET"],
      ["a b", 'unexpected argument "b"', "--set, --get"],
      ["s --set a", '--set: cannot set "a"', "NAME=VALUE"],
      ["s --set a=2", "cannot set", "0 or 1"],
      ["s --set =1", "cannot set", "NAME=VALUE"],
      ["s --get", "--get: needs a value", "--get NAME"],
      ["s --get --json", "--get: needs a value", "--get NAME"],
      ["s --json=1", "--json: takes no value", ""],
      ["s --moniter", "unknown option --moniter", "--monitor"],
      ["s -x", "unknown option -x", ""],
      ["s -n 3", "--num-events: requires --monitor", ""],
      ["s --monitor -n 0", "not a valid number of events", "from 1 on"],
      ["s --monitor --interrupt none", "not a valid interrupt type", "rising"],
      ["s --timeout 5us", "not a valid time limit", "500ms"],
      ["s --timeout 1s --timeout 2s", "--timeout: is given twice", ""],
      ["s --order bhyve", 'unknown frontend "bhyve"', "libkrun"],
    ] as const
  ) {
    const error = assertThrows(() => read(line), ConfigError, problem);
    assertStringIncludes(error.hint, hint, line);
  }
});
