/** Many lines by name: their chips are read once, not for each line. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { checkLive } from "../../src/cli/commands/check_live.ts";
import { parseConfig } from "../../src/config/file/config_file.ts";
import { Chip } from "../../src/gpio/mod.ts";
import { keptNames } from "../../src/service/lanes/lanes.ts";
import { simChip } from "./gpio_sim.ts";

const COUNT = 300;

/** Calls `action`; returns the number of times a chip's lines were read. */
function readsIn(action: () => void): number {
  const { lines } = Chip.prototype;
  let reads = 0;
  Chip.prototype.lines = function () {
    reads++;
    return lines.call(this);
  };
  try {
    action();
  } finally {
    Chip.prototype.lines = lines;
  }
  return reads;
}

function formatConfig(names: readonly string[]) {
  const result = parseConfig(
    `aggregators:\n  a:\n    vhost-user: /tmp/a.sock\n    lines:\n` +
      names.map((name) => `      - "${name}"\n`).join(""),
    "many.yaml",
  );
  if ("errors" in result) throw result.errors[0];
  return result.specification;
}

Deno.test("lines by name are looked up in one scan, found or not", async () => {
  const names = Array.from({ length: COUNT }, (_, i) => `NAME_${i}`);
  await using _other = await simChip({ lines: 4 });
  await using chip = await simChip({
    lines: COUNT,
    names: Object.fromEntries(names.entries()),
  });
  const found = formatConfig(names);
  const reads = readsIn(() => assertEquals(checkLive(found).errors, []));
  assert(reads <= 2, `${reads} reads`);
  const qualified = formatConfig(names.map((name) => `${chip.name}/${name}`));
  assertEquals(
    readsIn(() => assertEquals(checkLive(qualified).errors, [])),
    1,
  );
  const started = readsIn(() => {
    // Those of an aggregator without lines, and each line.
    const bare = found.aggregators.map((one) => ({ ...one, lines: [] }));
    assertEquals(
      keptNames(found.aggregators).length,
      keptNames(bare).length + COUNT,
    );
  });
  assert(started <= 2, `${started} reads`);

  const missing = formatConfig(names.map((name) => `${name}X`));
  const late = readsIn(() => {
    const { errors } = checkLive(missing);
    assertEquals(errors.length, COUNT);
    assertStringIncludes(errors[0]!.message, 'did you mean "NAME_0"?');
    assert(!errors.at(-1)!.message.includes("did you mean"));
  });
  assert(late <= 2 + 2 * 50, `${late} reads`);
});
