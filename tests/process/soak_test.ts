/** A short soak: it finds what it is to find, and the service holds. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ChildProcess } from "../environment/process.ts";
import { tableOf } from "../soak/report.ts";
import { runSoak } from "../soak/soak.ts";

/** 12 s, most of which are work of guests and hostile peers. */
const MINUTES = 0.2;

Deno.test("a soak of some seconds loses nothing and leaves no descriptor", async () => {
  const report = await runSoak({
    minutes: MINUTES,
    seed: 1,
    // The least that has one of each kind.
    aggregators: 17,
    guests: 4,
    settledLooks: 4,
  });
  const { start, warm, end, restarted, after, problems } = report;
  const table = tableOf(report);
  assertEquals(problems, [], table);
  assertEquals([report.lost, report.wrong], [0, 0], table);
  assert(end.descriptors <= warm.descriptors, table);
  assert(restarted.descriptors <= warm.descriptors, table);
  assert(after.descriptors <= start.descriptors, table);
  assert(after.children <= start.children, table);
  // There was something to lose.
  assert(warm.descriptors > start.descriptors, table);
  assertEquals([report.aggregators, report.guests], [17, 4]);
  for (
    const count of [
      report.requests,
      report.kills,
      report.creations,
      report.reloads,
      report.restarts,
      report.pauses,
      report.hostileActs,
      report.hostileKinds,
    ]
  ) assert(count > 0, table);
});

Deno.test("the soak's command refuses what it does not know", async () => {
  const script = `${import.meta.dirname}/../soak/main.ts`;
  for (const args of [["--minutes", "0"], ["--hours", "1"]]) {
    await using soak = new ChildProcess({
      command: Deno.execPath(),
      args: ["run", "-q", "-P=unit", "--no-check", script, ...args],
    });
    assertEquals((await soak.waitForExit({ timeoutMs: 120_000 })).code, 2);
    assertStringIncludes(soak.stderr, "--aggregators N");
  }
});
