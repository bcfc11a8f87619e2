import { assertEquals } from "@std/assert";
import { VcdWriter } from "./vcd_writer.ts";

const date = new Date(0);

Deno.test("VcdWriter writes the wires and their first values", () => {
  const vcd = new VcdWriter(
    [{ name: "foo", value: 0 }, { name: "a b", value: 1 }],
    100n,
    "1us",
  );
  assertEquals(
    vcd.header("gpiomon", date),
    `$date 1970-01-01T00:00:00.000Z $end
$version gpiomon $end
$timescale 1 us $end
$scope module gpio $end
$var wire 1 ! foo $end
$var wire 1 " a_b $end
$upscope $end
$enddefinitions $end
#0
$dumpvars
0!
1"
$end
`,
  );
});

Deno.test("VcdWriter counts time in ticks from the beginning", () => {
  const vcd = new VcdWriter([{ name: "foo", value: 0 }], 5000n, "1us");
  assertEquals(vcd.change(0, 1, 7999n), "#2\n1!\n");
  assertEquals(vcd.change(0, 0, 1_005_000n), "#1000\n0!\n");
});

Deno.test("VcdWriter puts edges of one tick under one time", () => {
  const vcd = new VcdWriter(
    [{ name: "a", value: 0 }, { name: "b", value: 0 }],
    0n,
    "1us",
  );
  assertEquals(
    vcd.change(0, 1, 3000n) + vcd.change(1, 1, 3900n),
    '#3\n1!\n1"\n',
  );
});

Deno.test("VcdWriter never lets time go back", () => {
  const vcd = new VcdWriter([{ name: "a", value: 0 }], 1000n, "1ns");
  assertEquals(vcd.change(0, 1, 3000n), "#2000\n1!\n");
  assertEquals(vcd.change(0, 0, 2000n), "0!\n");
  assertEquals(vcd.change(0, 1, 500n), "1!\n");
});

Deno.test("VcdWriter lets the last edge last", () => {
  const vcd = new VcdWriter([{ name: "a", value: 0 }], 0n, "1us");
  assertEquals(vcd.change(0, 1, 3000n) + vcd.tail(), "#3\n1!\n#4\n");
  assertEquals(vcd.change(0, 0, 3900n), "0!\n", "never back");
  assertEquals(vcd.end(9000n) + vcd.end(9500n), "#9\n");
});

Deno.test("VcdWriter marks what was lost as unknown", () => {
  const vcd = new VcdWriter([{ name: "a", value: 0 }], 0n, "1ms");
  assertEquals(
    vcd.gap(0, 5_000_000n) + vcd.change(0, 1, 6_000_000n),
    "#5\nx!\n#6\n1!\n",
  );
});

Deno.test("VcdWriter gives every wire an identifier and a name of its own", () => {
  const wires = Array.from(
    { length: 300 },
    () => ({ name: "same", value: 0 as const }),
  );
  const header = new VcdWriter(wires, 0n, "1us").header("gpiomon", date);
  const variables = [...header.matchAll(/\$var wire 1 (\S+) (\S+) \$end/g)];
  assertEquals(variables.length, 300);
  assertEquals(new Set(variables.map((match) => match[1])).size, 300);
  assertEquals(new Set(variables.map((match) => match[2])).size, 300);
});

Deno.test("VcdWriter begins at the first edge where the clock cannot be read", () => {
  const vcd = new VcdWriter([{ name: "a", value: 0 }], undefined, "1ns");
  assertEquals(
    vcd.change(0, 1, 7_000_000n) + vcd.change(0, 0, 7_000_005n),
    "1!\n#5\n0!\n",
  );
});
