/** A short soak of chips, of the clock and of killed processes. */
import { assert } from "@std/assert";
import { lacksApi } from "../environment/program.ts";
import { runChipSoak } from "../soak/chip_soak.ts";

/** Each act once; `deno task soak --host uml` takes longer. */
const SECONDS = 0;
const SEED = 1;

Deno.test({
  name:
    "lines are right while chips come and go, the clock is set, and each process is killed",
  ignore: lacksApi(),
  fn: async () => {
    const counts = await runChipSoak({ seconds: SECONDS, seed: SEED });
    for (const [what, count] of Object.entries(counts)) {
      if (what.includes("killed")) assert(count > 0, what);
    }
  },
});
