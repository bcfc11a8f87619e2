/**
 * Answers with edges of the past, as fast as the client reads them.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import settings from "../../../../deno.json" with { type: "json" };
import { clockNs } from "../../../../ffi/clock.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import type { EdgeArchive } from "../../record/edge_archive.ts";
import { openHistory } from "../../record/file_history.ts";
import type { Run } from "../../record/turns.ts";
import { HISTORY_TYPES, historyText } from "../../record/history_formats.ts";
import { isEdge, wallTime } from "../../record/stored_edge.ts";
import {
  readHistoryQuery,
  requireNames,
  requireRecord,
} from "./history_query.ts";
import { beginStream } from "../../../http/paced_connection.ts";
import type { Exchange } from "../requests/routes.ts";
import {
  atOnce,
  UserSlots,
  type WorkTurns,
} from "../connections/work_turns.ts";

/** Answers of one user at a time; others wait. */
const ANSWERS_PER_USER = 4;
/** Time for which a client may read nothing. **Units**: milliseconds. */
const STALL_LIMIT_MS = 30_000;

/** Answers of one API. */
export class HistoryRoute {
  readonly #store: EdgeStore | undefined;
  readonly #archive: EdgeArchive | undefined;
  readonly #work: WorkTurns<number | "answers">;
  readonly #slots = new UserSlots(ANSWERS_PER_USER);

  /** Answers out of `store` and the file, in turns of `work`. */
  constructor(
    store: EdgeStore | undefined,
    archive: EdgeArchive | undefined,
    work: WorkTurns<number | "answers">,
  ) {
    this.#store = store;
    this.#archive = archive;
    this.#work = work;
  }

  /**
   * Answers a request.
   *
   * @throws {HttpError} If nothing is recorded, or the query is not valid.
   */
  async answer(
    { request, response, query: parameters, peer }: Exchange,
  ): Promise<void> {
    const store = requireRecord(this.#store);
    using _slot = await this.#slots.take(peer.uid);
    const { offset } = store;
    const now = clockNs("realtime");
    const accept = request.headers.accept ?? "";
    const query = readHistoryQuery(parameters, accept, now, store);
    const { from, to = now, filter, format, limit, missing } = query;
    const run = <T>(work: Iterator<void, T>) => this.#work.run(peer.uid, work);
    if (missing.size > 0) await this.#checkNames(missing, run);
    const type = HISTORY_TYPES[format];
    if (request.method === "HEAD") {
      response.writeHead(200, { "content-type": type }).end();
      return;
    }
    const span = {
      from: from === undefined ? undefined : Number(from - offset),
      to: Number(to - offset),
      filter,
    };
    using stream = await openHistory(store, this.#archive, span, {
      offset,
      run,
    });
    const beginning = await stream.begin();
    const text = historyText(format, offset, `gpioagg ${settings.version}`);
    beginStream(response, 200, type);
    let isOpen = await written(response, text.head(beginning, to));
    let left = limit;
    let next: string | undefined;
    while (isOpen && next === undefined) {
      const edges = await stream.next();
      if (edges === undefined) break;
      const piece = await run(atOnce(() => {
        const some = edges.filter(isEdge);
        const isOver = some.length > left;
        if (isOver) {
          next = String(wallTime(some[left]!.time, offset));
          some.length = left;
        }
        left -= some.length;
        // A value that became known is not an edge, but part of a wave.
        return text.edges(isOver ? some : edges);
      }));
      if (piece !== "") isOpen = await written(response, piece);
    }
    if (!isOpen) return;
    const lost = beginning.lost + stream.lost;
    response.end(text.tail({ lost, next, notes: stream.notes }));
  }

  /** @throws {HttpError} If a name is not in the file of edges either. */
  async #checkNames(names: ReadonlySet<string>, run: Run): Promise<void> {
    const archive = this.#archive;
    await archive?.search(run);
    requireNames(names, archive?.lives.map(({ line }) => line) ?? []);
  }
}

/** Writes a text, and waits until it is read; false if that takes too long. */
async function written(
  response: ServerResponse,
  text: string,
): Promise<boolean> {
  if (response.destroyed) return false;
  if (response.write(text) !== false) return true;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => {
    response.destroy();
    resolve(false);
  }, STALL_LIMIT_MS);
  const onDrain = () => resolve(true);
  const onClose = () => resolve(false);
  response.once("drain", onDrain);
  response.once("close", onClose);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    response.off("drain", onDrain);
    response.off("close", onClose);
  }
}
