/**
 * SPECs of lines that are to be a kernel chip's.
 *
 * @module
 */
import { checkKernelKeys } from "../checks/kernel_lines.ts";
import type { Problems } from "../document/problems.ts";
import { completeRules } from "../values/rules.ts";
import { readSpec } from "./line_spec.ts";

/**
 * Reports rules without effect, as {@linkcode checkKernelKeys} does.
 *
 * @param specs Valid SPECs.
 */
export function checkKernelSpecs(
  specs: readonly string[],
  problems: Problems,
): void {
  for (const spec of specs) {
    const { sources: [source], values } = readSpec(spec, () => {});
    if (source === undefined) continue;
    const report = problems.at({ path: `--line ${spec}` });
    checkKernelKeys(
      completeRules(values, source.kind),
      Object.keys(values),
      (_, problem, hint) => report(problem, hint),
    );
  }
}
