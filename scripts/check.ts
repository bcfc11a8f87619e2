/**
 * Runs all checks of the sources in one process, which reads them once.
 *
 * Usage: `deno run --allow-read scripts/check.ts`; exits 1 if one fails.
 *
 * @module
 */
import { runChecks } from "./check/source_tree.ts";
import { checkEnglish } from "./check_english.ts";
import { checkExports } from "./check_exports.ts";
import { checkImports } from "./check_imports.ts";
import { checkSizes } from "./check_sizes.ts";
import { checkMutations } from "./mutate.ts";

if (import.meta.main) {
  runChecks(
    checkImports,
    checkExports,
    checkEnglish,
    checkSizes,
    checkMutations,
  );
}
