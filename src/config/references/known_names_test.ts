import { assertEquals } from "@std/assert";
import {
  REAL_BANKS,
  REAL_NAMES,
} from "../../../tests/doubles/real_line_names.ts";
import { nameOfText, nameText, shownName, specText } from "../../text/names.ts";
import { parseConfig } from "../file/config_file.ts";
import { knownNames, linesByReference } from "./known_names.ts";
import { resolveLate } from "./late_references.ts";
import { parseLineSpec } from "../spec/line_spec.ts";
import type {
  LineSpecification,
  SourceSpecification,
  Specification,
} from "../specification.ts";

const yaml = (text: string) => `'${text.replaceAll("'", "''")}'`;

function readSpecification(text: string): Specification {
  const result = parseConfig(text, "test.yaml");
  if ("specification" in result) return result.specification;
  throw new Error(result.errors.map(({ message }) => message).join("\n"));
}

function wholeName(source: SourceSpecification): string {
  switch (source.kind) {
    case "line-name":
      return source.chip === undefined
        ? source.lineName
        : `${source.chip}/${source.lineName}`;
    case "chip":
      return `${source.chip}/${source.offset}`;
    default:
      throw new Error(`a ${source.kind} has no name`);
  }
}

Deno.test("names of real boards are read from every kind of SPEC", () => {
  for (const name of REAL_NAMES) {
    assertEquals(nameOfText(nameText(name)), name);
    for (const separators of [",", ",/"] as const) {
      const text = specText(name, separators);
      assertEquals(wholeName(parseLineSpec(text)[0]!.source), name);
      assertEquals(
        wholeName(parseLineSpec(`gpiochip0/${text}`)[0]!.source),
        `gpiochip0/${name}`,
      );
    }
    const { source } = parseLineSpec(`label:a/${specText(name, ",/")}`)[0]!;
    assertEquals(source.kind === "line-name" && source.lineName, name);
  }
});

/** The lines of an aggregator with host lines of these names, in a file. */
function hostLines(form: (name: string) => string): string {
  return REAL_NAMES.map((name) => `      - ${form(name)}\n`).join("");
}

for (
  const [title, form] of [
    ["a SPEC of the name", (name) => yaml(specText(name))],
    ["CHIP/NAME", (name) => yaml(`gpiochip0/${specText(name)}`)],
    ["a mapping", (name) => `{ line: ${yaml(name)} }`],
  ] as [string, (name: string) => string][]
) {
  Deno.test(`lines of real boards, as ${title}, are referred to by name`, () => {
    const { aggregators, interlocks } = readSpecification(`
aggregators:
  a:
    vhost-user: /run/a.sock
    lines:
${hostLines(form)}
  b:
    vhost-user: /run/b.sock
    lines:
${
      REAL_NAMES.map((name, i) =>
        `      - { ${["copy", "invert", "wire"][i % 3]}: ${
          yaml(`a.${name}`)
        } }\n`
      ).join("")
    }
  c:
    vhost-user: /run/c.sock
    lines:
${
      REAL_NAMES.map((name) => `      - ${yaml(`copy/a.${specText(name)}`)}\n`)
        .join("")
    }
interlocks:
  - exclusive: [${REAL_NAMES.map((name) => yaml(`a.${name}`)).join(", ")}]
`);
    const known = knownNames(aggregators[0]!.lines);
    const expected = REAL_NAMES.map((_, i) => i);
    assertEquals(REAL_NAMES.map((name) => known.get(name)), expected);
    for (const { lines } of aggregators.slice(1)) {
      assertEquals(lines.length, REAL_NAMES.length);
    }
    assertEquals(interlocks[0]!.exclusive.length, REAL_NAMES.length);
  });
}

function line(spec: string): LineSpecification {
  return parseLineSpec(spec)[0]!;
}

Deno.test("knownNames() takes as= first, then host names, then words", () => {
  const known = knownNames([
    line("gpiochip0/4"),
    line("gpiochip0/LED"),
    line("gpiochip1/LED"),
    line("ETH/0"),
    line("gpiochip2/X,as=LED"),
    line("label:a/B"),
  ]);
  assertEquals(Object.fromEntries(known), {
    LED: 4,
    B: 5,
    "gpiochip0/4": 0,
    "gpiochip0/LED": 1,
    "gpiochip1/LED": 2,
    "ETH/0": 3,
    "label:a/B": 5,
  });
});

Deno.test("running lines are found by what the file calls them, and by what guests see", () => {
  const long = "9J3 Switch HDMI CEC/7J1 Header Pin11";
  const lines = [
    // Guests see the name of the first as LED, and the other as LED.2.
    { name: "LED", specification: line("gpiochip0/3") },
    { name: "LED.2", specification: line("LED") },
    { name: "caf_", specification: line("caf\\xe9") },
    { name: shownName(long), specification: line(long) },
    { name: "", specification: line("gpiochip0/9") },
  ];
  const found = linesByReference(lines);
  for (
    const [name, lineNumber] of [
      ["LED", 1],
      ["LED.2", 1],
      ["caf_", 2],
      ["caf\udce9", 2],
      [long, 3],
      [shownName(long), 3],
      ["gpiochip0/9", 4],
    ] as const
  ) assertEquals(found.get(name), lines[lineNumber], name);
  assertEquals(found.get(""), undefined);
});

Deno.test("a client's lines are referred to by the host's names too", () => {
  const names = ["ETH/0", "TF 3V3/1V8 En", "USB2.0_MUX_SEL", "gpiochip0/4"];
  const { lines } = resolveLate({
    name: "own",
    lines: names.flatMap((name) => [line(name), line(`copy/${name}`)]),
  }, () => false);
  assertEquals(
    lines.flatMap(({ source }) => source.kind === "copy" ? [source.of] : []),
    names.map((name) => ({ aggregator: "own", line: name })),
  );
});

Deno.test("a name with a dot is the aggregator's own where the other has no such line", () => {
  const { aggregators } = readSpecification(
    `
aggregators:
  USB2:
    vhost-user: /run/usb2.sock
    lines: [ { sim: 1, as: READY } ]
  a:
    vhost-user: /run/a.sock
    lines:
      - USB2.0_MUX_SEL
      - copy/USB2.0_MUX_SEL
      - copy/USB2.READY
`,
  );
  assertEquals(
    aggregators[1]!.lines.slice(1).map(({ source }) => source),
    [
      { kind: "copy", of: { aggregator: "a", line: "USB2.0_MUX_SEL" } },
      { kind: "copy", of: { aggregator: "USB2", line: "READY" } },
    ],
  );
});

Deno.test("pins are tied to host lines by their names", () => {
  const { aggregators } = readSpecification(
    `
aggregators:
  a:
    qemu-pins: { qtest: /run/q, qmp: /run/m, pins: { 0: ETH/0, 3: ESTOP } }
    lines: [ { line: ESTOP, direction: input }, ETH/0 ]
`,
  );
  assertEquals(aggregators[0]!.qemuPins!.pins, [
    { pin: 0, lineNumber: 1 },
    { pin: 3, lineNumber: 0 },
  ]);
});

Deno.test("banks of real boards have no name twice", () => {
  for (const bank of REAL_BANKS) {
    const known = knownNames(bank.map((name) => line(name || "sim/1")));
    for (const name of bank) {
      if (name !== "") assertEquals(known.get(name), bank.indexOf(name));
    }
  }
});

Deno.test("AGGREGATOR.LINE is found where both names have dots", () => {
  const { aggregators, interlocks } = readSpecification(
    `
aggregators:
  vm.example.org:
    vhost-user: /run/vm.sock
    lines: [ { sim: 2, as: USB2.0_SEL } ]
  vm:
    vhost-user: /run/vm2.sock
    lines:
      - copy/vm.example.org.USB2.0_SEL1
interlocks:
  - exclusive: [ vm.example.org.USB2.0_SEL0, vm.example.org.USB2.0_SEL1 ]
`,
  );
  const reference = { aggregator: "vm.example.org", line: "USB2.0_SEL1" };
  assertEquals(aggregators[1]!.lines[0]!.source, {
    kind: "copy",
    of: reference,
  });
  assertEquals(interlocks[0]!.exclusive[1], reference);
});
