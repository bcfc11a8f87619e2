import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseConfig } from "../file/config_file.ts";

function listErrors(text: string): string[] {
  const result = parseConfig(text, "test.yaml");
  return "errors" in result
    ? result.errors.map(({ path, problem }) => `${path}: ${problem}`)
    : [];
}

function readIsolation(text: string): (string | undefined)[] {
  const result = parseConfig(text, "test.yaml");
  if ("errors" in result) throw new Error(result.errors.join("\n"));
  return result.specification.aggregators.map(({ isolate }) => isolate);
}

Deno.test("isolate is the file's, or the aggregator's own", () => {
  assertEquals(
    readIsolation(`
isolate: process
aggregators:
  a: { vhost-user: /a.sock, lines: [sim/1] }
  b: { vhost-user: /b.sock, lines: [sim/1], isolate: none }
  c: { kernel-chip: {}, lines: [gpiochip0/0] }
`),
    ["process", undefined, undefined],
  );
  assertEquals(
    readIsolation(`
aggregators:
  a: { vhost-user: /a.sock, lines: [sim/1] }
  b: { vhost-user: /b.sock, lines: [sim/1], isolate: process }
`),
    [undefined, "process"],
  );
});

Deno.test("an isolated aggregator has references and interlocks of its own lines", () => {
  assertEquals(
    readIsolation(`
aggregators:
  a:
    isolate: process
    vhost-user: /a.sock
    lines:
      - { sim: 1, as: X, direction: output }
      - { sim: 1, as: Z, direction: output }
      - { invert: X, as: Y }
interlocks: [{ exclusive: [a.X, a.Z] }]
`),
    ["process"],
  );
});

Deno.test("what needs two aggregators in one process is refused with isolate", () => {
  const errors = listErrors(`
aggregators:
  a:
    isolate: process
    vhost-user: /a.sock
    lines:
      - { sim: 1, as: X, direction: output }
      - { copy: b.X, as: IN }
      - { line: ESTOP, shared: true, as: ESTOP }
      - { chip: gpiochip0, offset: 3, as: LAMP, combine: or }
  b:
    vhost-user: /b.sock
    lines:
      - { sim: 1, as: X, direction: output }
      - { wire: a.X, as: W }
  c: { kernel-chip: {}, isolate: process, lines: [gpiochip0/0] }
  d: { vhost-user: { fd: 3 }, isolate: process, lines: [sim/1] }
interlocks: [{ exclusive: [a.X, b.X] }]
`);
  const expected = [
    "a.lines[1].copy: a copy line cannot reach out of the process of a",
    "a.lines[2].shared: shared works within one process",
    "a.lines[3].combine: combine works within one process",
    "b.lines[1].wire: a wire line cannot reach into the process of a",
    "c.isolate: the kernel serves a kernel chip",
    "d.isolate: a socket that is given as fd is the service's own",
    "interlocks[0]: an interlock cannot reach into the process of a",
  ];
  assertEquals(errors.length, expected.length, errors.join("\n"));
  for (const [i, error] of errors.entries()) {
    assertStringIncludes(error, expected[i]!);
  }
});
