/**
 * Answers with edges of the past, as fast as the client reads them.
 *
 * @module
 */
import type { ServerResponse } from "node:http";
import settings from "../../../deno.json" with { type: "json" };
import { clockNs } from "../../../ffi/clock.ts";
import type { EdgeStore } from "../record/edge_store.ts";
import { HistoryReader } from "../record/history.ts";
import { HISTORY_TYPES, historyText } from "../record/history_formats.ts";
import { isEdge, wallTime } from "../record/stored_edge.ts";
import { readHistoryQuery, recordOf } from "./history_query.ts";
import { beginStream } from "../../http/paced_connection.ts";
import type { Exchange } from "./routes.ts";
import { atOnce, UserSlots, type WorkTurns } from "./work_turns.ts";

/** Answers of one user at a time; others wait. */
const ANSWERS_PER_USER = 4;
/** Time for which a client may read nothing. **Units**: milliseconds. */
const STALL_LIMIT_MS = 30_000;

/** Answers of one API. */
export class HistoryRoute {
  readonly #store: EdgeStore | undefined;
  readonly #work: WorkTurns<number | "answers">;
  readonly #slots = new UserSlots(ANSWERS_PER_USER);

  /** Answers out of `store`, in turns of `work`. */
  constructor(
    store: EdgeStore | undefined,
    work: WorkTurns<number | "answers">,
  ) {
    this.#store = store;
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
    const store = recordOf(this.#store);
    using _slot = await this.#slots.take(peer.uid);
    const { offset } = store;
    const now = clockNs("realtime");
    const accept = request.headers.accept ?? "";
    const query = readHistoryQuery(parameters, accept, now, store);
    const { from, to = now, filter, format, limit } = query;
    const type = HISTORY_TYPES[format];
    if (request.method === "HEAD") {
      response.writeHead(200, { "content-type": type }).end();
      return;
    }
    const reader = new HistoryReader(store, {
      from: from === undefined ? undefined : Number(from - offset),
      to: Number(to - offset),
      filter,
    });
    const beginning = await this.#work.run(peer.uid, reader.begin());
    const text = historyText(format, offset, `gpioagg ${settings.version}`);
    beginStream(response, 200, type);
    let isOpen = await written(response, text.head(beginning, to));
    let left = limit;
    let next: string | undefined;
    const pieces = reader.edges();
    while (isOpen && next === undefined) {
      const step = await this.#work.run(
        peer.uid,
        atOnce(() => {
          const { value: edges, done } = pieces.next();
          if (done === true) return undefined;
          const some = edges.filter(isEdge);
          const isOver = some.length > left;
          if (isOver) {
            next = String(wallTime(some[left]!.time, offset));
            some.length = left;
          }
          left -= some.length;
          // A value that became known is no edge, but part of a wave.
          return text.edges(isOver ? some : edges);
        }),
      );
      if (step === undefined) break;
      if (step !== "") isOpen = await written(response, step);
    }
    if (!isOpen) return;
    const lost = beginning.lost + reader.lost;
    response.end(text.tail({ lost, next }));
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
