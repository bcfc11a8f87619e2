import { assertEquals, assertThrows } from "@std/assert";
import { parseConfig } from "../../src/config/file/config_file.ts";
import { isAdapter, shortVersion, wiredConfig } from "./kernel_chips.ts";
import { measuresIn } from "./real_kernel_chip.ts";

Deno.test("wiredConfig() wires each line to the peer's of its number", () => {
  const text = wiredConfig("/run/peer.sock", {
    floor: { "vhost-user": "/run/floor.sock" },
    chip: { "kernel-chip": { interface: "usb", device: "cp2112" } },
  });
  const result = parseConfig(text, "bench.yaml");
  if (!("specification" in result)) throw new Error("it is refused");
  const { aggregators } = result.specification;
  assertEquals(
    aggregators.map(({ name, lines }) => [
      name,
      ...lines.map(({ name, source }) =>
        source.kind === "wire"
          ? `${name} of ${source.to.aggregator}.${source.to.line}`
          : name
      ),
    ]),
    [
      ["floor", "OUT", "IN of peer.OUT0"],
      ["chip", "OUT", "IN of peer.OUT1"],
      ["peer", "OUT0", "OUT1", "IN0 of floor.OUT", "IN1 of chip.OUT"],
    ],
  );
  assertEquals(aggregators[1]!.kernelChip?.device, "cp2112");
});

Deno.test("shortVersion() leaves out what a distribution adds", () => {
  assertEquals(shortVersion("6.12.43+deb13-amd64\n"), "6.12");
  assertEquals(shortVersion("6.1.0-38-amd64\n"), "6.1");
  assertEquals(shortVersion("unknown\n"), "unknown");
});

Deno.test("isAdapter() knows the adapters alone", () => {
  assertEquals(["ljca", "cp2112", "toString"].map(isAdapter), [
    true,
    true,
    false,
  ]);
});

Deno.test("measuresIn() finds the measures among a machine's messages", () => {
  const measures = [{ name: "set p50", value: 1, unit: "µs" }];
  const text = `a warning\n${JSON.stringify({ measures }, null, 1)}\n`;
  assertEquals(measuresIn(text), measures);
  assertThrows(() => measuresIn("nothing"), SyntaxError);
});
