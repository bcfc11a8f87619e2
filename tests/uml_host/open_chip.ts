/**
 * Opens the chip that is named, and prints what happens: for tests with fewer
 * rights.
 *
 * @module
 */
import { isOsError, openChip } from "../../mod.ts";

try {
  using chip = openChip(Deno.args[0]!);
  console.log(`opened ${chip.name}`);
} catch (error) {
  if (!(error instanceof Error)) throw error;
  const code = isOsError(error.cause) ? error.cause.code : "no cause";
  console.log(error.name, code, error.message);
}
