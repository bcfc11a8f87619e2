/**
 * Tests that are ignored where something is missing, with the reason.
 *
 * @module
 */
import { effectiveUserId } from "../../ffi/sysfs.ts";

/**
 * Value for the option `ignore` of a test: true if there is a reason to skip
 * it, which is printed.
 *
 * @param reason What is missing, and what to do; undefined if nothing is.
 */
export function mustIgnore(reason: string | undefined): boolean {
  if (reason === undefined) return false;
  console.warn(`skipped: ${reason}`);
  return true;
}

/**
 * Value for the option `ignore` of a test that only root can run.
 *
 * @param purpose What root is needed for: "other users' files".
 */
export function lacksRoot(purpose: string): boolean {
  const uid = effectiveUserId();
  return mustIgnore(
    uid === 0
      ? undefined
      : `${purpose} need root: run these tests as root (this is uid ${uid})`,
  );
}
