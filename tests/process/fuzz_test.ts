/** `deno task fuzz`: each fuzzer at its full length, which unit tests shorten. */
import { assertMatch } from "@std/assert";
import { artefact, REPOSITORY } from "../environment/environment.ts";
import { ChildProcess } from "../environment/process.ts";

/** Time after which no other seed is begun. **Units**: seconds. */
const SECONDS = 5;

Deno.test("all fuzzers find nothing at their full length", async () => {
  await using fuzz = new ChildProcess({
    command: await artefact("deno"),
    args: [
      "run",
      "--no-check",
      "--permission-set=unit",
      "tests/fuzz/main.ts",
      "--seconds",
      String(SECONDS),
      "--seed",
      "1",
    ],
    cwd: REPOSITORY,
    env: { NO_COLOR: "1" },
  });
  // A round that was begun is ended.
  await fuzz.waitFor(/^\d+ runs up to seed \d+ found nothing$/m, {
    timeoutMs: 600_000,
  });
  assertMatch(fuzz.stdout, /^[1-9]/);
});
