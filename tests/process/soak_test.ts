/** A short soak: it finds what it is to find, and the service holds. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { effectiveUserId } from "../../ffi/sysfs.ts";
import { ChildProcess } from "../environment/process.ts";
import { lacksApi } from "../environment/program.ts";

const SCRIPT = `${import.meta.dirname}/../soak/main.ts`;
/** 12 s, most of which are work of guests and hostile peers. */
const MINUTES = "0.2";
const LIMIT_MS = 600_000;
/** Counters that must not stay 0. */
const COUNTS = [
  "checked requests",
  "processes of guests killed",
  "aggregators made and removed",
  "reloads",
  "restarts and SIGKILLs of the service",
  "moments for which the service was stopped",
  "acts of hostile peers",
  "kinds of hostile peers",
];
const FILLED = "times that the service's disk was filled";

/** Only root can mount a disk. */
const isRoot = effectiveUserId() === 0;

function soak(...args: readonly string[]): ChildProcess {
  return new ChildProcess({
    command: Deno.execPath(),
    args: ["run", "-q", "-P=unit", "--no-check", SCRIPT, ...args],
  });
}

Deno.test({
  name: "a soak of some seconds loses nothing and leaves no descriptor",
  ignore: lacksApi(),
  fn: async () => {
    await using run = soak(
      ...["--minutes", MINUTES, "--seed", "1"],
      // The least that has one of each kind.
      ...["--aggregators", "17", "--guests", "4"],
    );
    const { code } = await run.waitForExit({ timeoutMs: LIMIT_MS });
    const table = run.stdout;
    assertEquals(code, 0, `${table}${run.stderr}`);
    const count = (name: string) =>
      Number(new RegExp(`^${name} +(\\d+)`, "m").exec(table)?.[1]);
    for (const name of isRoot ? [...COUNTS, FILLED] : COUNTS) {
      assert(count(name) > 0, `${name} in ${table}`);
    }
    const [start, warm] = /^descriptors +(\d+) +(\d+)/m.exec(table)!.slice(1)
      .map(Number);
    // There was something to lose.
    assert(warm! > start!, table);
  },
});

Deno.test("the soak's command refuses what it does not know", async () => {
  for (const args of [["--minutes", "0"], ["--hours", "1"]]) {
    await using refused = soak(...args);
    const { code } = await refused.waitForExit({ timeoutMs: 120_000 });
    assertEquals(code, 2);
    assertStringIncludes(refused.stderr, "--aggregators N");
  }
});
