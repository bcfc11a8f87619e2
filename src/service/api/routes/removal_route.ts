/**
 * Requests that remove an aggregator.
 *
 * @module
 */
import { LinesHeldError } from "../../lanes/lanes.ts";
import { UnsafeLinesError } from "../../messages/unsafe_lines_error.ts";
import type { AuditLog } from "../requests/audit_log.ts";
import type { Creations } from "../creations/creations.ts";
import { HttpError } from "../requests/messages.ts";
import {
  type Exchange,
  type QueryParameters,
  readFlag,
} from "../requests/routes.ts";

/** Parts of the API that removals use. */
interface RemovalContext {
  readonly creations: Pick<Creations, "remove">;
  readonly audit: Pick<AuditLog, "record">;
  /** Waits for a removal. @throws {HttpError} If there is no such aggregator. */
  readonly show: (name: string) => Promise<unknown>;
}

/** Parameters of a removal. */
export const REMOVAL_PARAMETERS = {
  force: "once",
} as const satisfies QueryParameters;

/** Removes an aggregator. */
export async function removeNow(
  { response, peer, name, query, attempt }: Exchange,
  { creations, audit, show }: RemovalContext,
): Promise<void> {
  const isForced = readFlag(query, "force");
  try {
    await creations.remove(name, `removed by uid ${peer.uid}`, isForced);
  } catch (error) {
    if (error instanceof UnsafeLinesError) {
      throw new HttpError(504, error.message, "See gpioagg list, or /healthz");
    }
    if (error instanceof LinesHeldError) {
      throw new HttpError(
        504,
        error.message,
        "They are released as soon as it answers",
      );
    }
    if (error instanceof HttpError) throw error;
    // It may be gone since another client has removed it.
    await show(name);
    throw error;
  }
  await audit.record(peer, { action: "remove", ...attempt, outcome: "done" });
  response.writeHead(204).end();
}
