import { assertEquals } from "@std/assert";
import { parseConfig } from "../file/config_file.ts";

Deno.test("parseConfig() makes an aggregator with two exposures two, the second with copies", () => {
  const result = parseConfig(
    `
aggregators:
  press:
    qemu-pins: { qtest: /q, qmp: /m, pins: { 1: START } }
    vhost-user: { socket: /run/press.sock, group: kvm }
    control: /run/press.ctl
    defaults: { direction: input }
    lines:
      - { chip: soc, offsets: 0-1, active-low: true, debounce: 5ms }
      - { line: ESTOP, as: START, shared: true }
      - { const: 1 }
`,
    "test.yaml",
  );
  if ("errors" in result) throw result.errors[0];
  const [press, pins, ...others] = result.specification.aggregators;
  assertEquals(others, []);
  const { lines, position: _place, ...first } = press!;
  assertEquals(first, {
    name: "press",
    vhostUser: { socketPath: "/run/press.sock", access: { group: "kvm" } },
    control: { path: "/run/press.ctl", access: {} },
  });
  assertEquals(lines.map(({ source }) => source.kind), [
    "chip",
    "chip",
    "line-name",
    "const",
  ]);
  const { lines: copies, position, ...second } = pins!;
  assertEquals(position, press!.position);
  assertEquals(second, {
    name: "press.pins",
    secondOf: "press",
    qemuPins: {
      qtest: "/q",
      qmp: "/m",
      device: "pl061",
      pins: [{ pin: 1, lineNumber: 2 }],
    },
  });
  assertEquals(
    copies.map(({ source, origin, position, ...rules }, i) => {
      assertEquals([origin, position], [lines[i]!.origin, lines[i]!.position]);
      return { ...source, ...rules };
    }),
    ["0", "1", "START", "3"].map((line, lineNumber) => ({
      kind: "copy",
      of: { aggregator: "press", line, lineNumber },
      ...(line === "START" ? { name: line } : {}),
      direction: "input",
      activeLow: false,
      debounceUs: 0,
      onDisconnect: "keep",
      lane: false,
    })),
  );
});
