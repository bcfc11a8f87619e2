/**
 * The limit of file sizes (RLIMIT_FSIZE), which otherwise ends the process.
 *
 * @module
 */

let isSurvived = false;

/**
 * Has a write beyond the limit fail with EFBIG from now on. The signal would end
 * the process, with outputs as they are. Programs that it starts have the
 * default again. Idempotent.
 */
export function surviveFileSizeLimit(): void {
  if (isSurvived) return;
  isSurvived = true;
  Deno.addSignalListener("SIGXFSZ", () => {});
}
