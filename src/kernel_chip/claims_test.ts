import { assertEquals, assertStringIncludes } from "@std/assert";
import { type Evidence, findContradiction } from "./claims.ts";
import { identifyProcess } from "./process_identity.ts";
import { type FoundRecord, newId } from "./records.ts";

const DEVICE = { device: "gpio-aggregator.3", inode: "4711" };

function record(name: string, changes: Partial<FoundRecord> = {}): FoundRecord {
  return {
    name,
    id: newId(name),
    interface: "sysfs",
    maker: { ...identifyProcess(Deno.pid)!, startTime: "1" },
    isDetached: false,
    lines: [],
    state: "orphaned",
    ...DEVICE,
    ...changes,
  };
}

/** Asks about the first of some records, in a machine where nothing runs. */
function doubt(
  records: readonly FoundRecord[],
  changes: Partial<Evidence> = {},
): string {
  const [first] = records;
  return findContradiction(first!, true, {
    records,
    fits: () => true,
    commandLines: () => ["/bin/sh\0-c\0sleep 1\0"],
    ...changes,
  }) ?? "";
}

Deno.test("findContradiction() finds nothing against the record of a dead maker", () => {
  assertEquals(doubt([record("plc0")]), "");
  const { device: _, inode: __, ...unmade } = record("plc0");
  assertEquals(doubt([unmade], { fits: () => false }), "");
  assertEquals(
    doubt([record("plc0"), record("b", { inode: "4712", state: "held" })]),
    "",
  );
});

Deno.test("findContradiction() does not believe a record of a device that another maker or user holds", () => {
  for (const state of ["held", "detached"] as const) {
    assertStringIncludes(
      doubt([record("planted"), record("victim", { state })]),
      `the chip victim as well, which is ${state}`,
    );
  }
});

Deno.test("findContradiction() does not believe a record with other lines than the device has", () => {
  assertStringIncludes(
    doubt([record("planted")], { fits: () => false }),
    "does not have the lines",
  );
});

Deno.test("findContradiction() does not believe that a maker is dead whose guardian runs", () => {
  const victim = record("victim");
  const guardian = (path: string) =>
    ["/bin/sh", "-c", "x", "gpioagg-guardian", path, "", ""].join("\0");
  assertStringIncludes(
    doubt([victim], { commandLines: () => [guardian(`/run/x/${victim.id}`)] }),
    "its guardian is running",
  );
  assertEquals(
    doubt([victim], { commandLines: () => [guardian("/run/x/other")] }),
    "",
  );
});
