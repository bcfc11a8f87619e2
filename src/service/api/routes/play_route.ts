/**
 * Requests that play values into simulated lines.
 *
 * @module
 */
import { clockNs } from "../../../../ffi/clock.ts";
import type { PlayState } from "../../../client/play.ts";
import type { AggregatorServer } from "../../isolate/reactors.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import type { AuditLog } from "../requests/audit_log.ts";
import { readPlay } from "../creations/create.ts";
import { refusedByLines, reply } from "../requests/messages.ts";
import type { RequestBodies } from "../requests/request_bodies.ts";
import type { Exchange } from "../requests/routes.ts";

/** Parts of the API that plays use. */
interface PlayContext {
  readonly reactor: Pick<AggregatorServer, "play">;
  readonly bodies: RequestBodies;
  readonly audit: AuditLog;
  /** Records of edges; absent: none are recorded. */
  readonly edges: Pick<EdgeStore, "offset"> | undefined;
  /** Waits for a removal. @throws {HttpError} If there is no such aggregator. */
  readonly show: (name: string) => Promise<unknown>;
}

/** Handles requests for plays. */
export class PlayRoute {
  readonly #context: PlayContext;

  /** Handles them with parts of an API. */
  constructor(context: PlayContext) {
    this.#context = context;
  }

  /** Begins a play, or goes on with one. */
  async begin(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const { reactor, bodies, audit, edges, show } = this.#context;
    const { read } = await bodies.read(request, peer, readPlay);
    const { from: id, steps: list } = read;
    attempt.lines = [...new Set(list.map(({ line }) => line))];
    await show(name);
    // The clock of edges, so that a record has the times of the play.
    const offset = edges?.offset ??
      clockNs("realtime") - clockNs("monotonic");
    const from = Number(BigInt(id) - offset);
    let state: PlayState;
    try {
      state = await reactor.play(name, { steps: { id, from, list } });
    } catch (error) {
      throw refusedByLines(error);
    }
    // Once for a play, which may be as long as it likes.
    if (state.played + state.waiting <= list.length) {
      await audit.record(peer, { action: "play", ...attempt, outcome: "done" });
    }
    reply(response, 200, state);
  }

  /** Answers with the state of the last play. */
  async show({ response, name }: Exchange): Promise<void> {
    await this.#context.show(name);
    reply(response, 200, await this.#context.reactor.play(name, {}));
  }

  /** Cancels the steps that wait. */
  async cancel({ response, name }: Exchange): Promise<void> {
    const { reactor, show } = this.#context;
    await show(name);
    reply(response, 200, await reactor.play(name, { isCancelled: true }));
  }
}
