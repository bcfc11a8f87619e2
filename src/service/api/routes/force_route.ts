/**
 * Forces of lines by clients: their begin, their end, and their ties to clients'
 * connections.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { AggregatorState } from "../../../client/protocol.ts";
import type { AggregatorServer } from "../../isolate/reactors.ts";
import type {
  AggregatorDescription,
  ServiceEvent,
} from "../../messages/messages.ts";
import type { AuditLog } from "../requests/audit_log.ts";
import { readForce } from "../creations/create.ts";
import { Lease } from "../creations/lease.ts";
import { refusedByLines, reply } from "../requests/messages.ts";
import type { RequestBodies } from "../requests/request_bodies.ts";
import type { Exchange } from "../requests/routes.ts";

/** Parts of the API that forces use. */
interface ForceContext {
  readonly reactor: Pick<AggregatorServer, "force">;
  readonly bodies: RequestBodies;
  readonly audit: AuditLog;
  /** Waits for a removal. @throws {HttpError} If there is no such aggregator. */
  readonly show: (name: string) => Promise<unknown>;
  readonly toState: (description: AggregatorDescription) => AggregatorState;
}

/** Time after its end at which a force counts as over. **Units**: ms. */
const LATE_MS = 1000;

/** A force that a connection holds. */
interface Held {
  readonly aggregator: string;
  readonly lease: Lease;
  /** Lines that are still forced. */
  left: number;
  /** Set once its client has the first answer. */
  isGranted: boolean;
  /** Why it was over before that. */
  over?: string;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** Handles requests for forces. */
export class ForceRoute {
  readonly #context: ForceContext;
  readonly #held = new Map<string, Held>();
  #nextId = 1;

  /** Handles them with parts of an API. */
  constructor(context: ForceContext) {
    this.#context = context;
  }

  /** Begins a force. */
  async begin(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const { reactor, bodies, audit, show, toState } = this.#context;
    const lease = new Lease(response, request.socket as unknown as Socket);
    const { read } = await bodies.read(request, peer, readForce);
    const { lines, forMs, reason, isLeased } = read;
    attempt.lines = lines.map(([line, value]) =>
      `${line}=${value} for ${forMs / 1000} s`
    );
    attempt.why = reason;
    await show(name);
    const id = `${this.#nextId++}`;
    // It may be over before it is answered.
    if (isLeased) this.#hold(id, name, lease, lines.length, forMs);
    let forced: AggregatorDescription;
    try {
      const request = { lines, forMs, reason, by: peer.uid, id };
      forced = await reactor.force(name, { request });
    } catch (error) {
      this.#forget(id);
      throw refusedByLines(error);
    }
    await audit.record(peer, { action: "force", ...attempt, outcome: "done" });
    if (!isLeased) return reply(response, 201, toState(forced));
    const onGone = () => {
      if (!this.#forget(id)) return;
      const why = "the client is gone";
      const { aggregator } = attempt;
      reactor.force(name, { end: { reason: why, id } }).catch(() => {});
      void audit.record(peer, {
        action: "force-end",
        aggregator,
        outcome: "done",
        reason: why,
      });
    };
    if (lease.isGone) return onGone();
    lease.grant(toState(forced), onGone);
    const held = this.#held.get(id);
    if (held === undefined) return lease.end("the service ends");
    held.isGranted = true;
    if (held.over !== undefined) this.#over(id, held.over);
  }

  /** Ends forces of an aggregator: those of some lines, or all. */
  async end({ response, peer, name, query, attempt }: Exchange): Promise<void> {
    const { reactor, audit, show, toState } = this.#context;
    const lines = query.getAll("line");
    if (lines.length > 0) attempt.lines = lines;
    await show(name);
    let freed: AggregatorDescription;
    try {
      freed = await reactor.force(name, {
        end: {
          reason: `ended by uid ${peer.uid}`,
          ...(lines.length === 0 ? {} : { lines }),
        },
      });
    } catch (error) {
      throw refusedByLines(error);
    }
    await audit.record(peer, {
      action: "force-end",
      ...attempt,
      outcome: "done",
    });
    reply(response, 200, toState(freed));
  }

  /** A line is not forced any more. */
  ended({ aggregator, force = "", detail }: ServiceEvent): void {
    const held = this.#held.get(force);
    // A process of another aggregator has no say.
    if (held?.aggregator !== aggregator || --held.left > 0) return;
    this.#over(force, detail);
  }

  /** A force is over; its client is notified once it knows that there is one. */
  #over(id: string, reason: string): void {
    const held = this.#held.get(id);
    if (held === undefined) return;
    held.over = reason;
    if (held.isGranted && this.#forget(id)) held.lease.end(reason);
  }

  /** The service ends: clients that hold forces are notified. */
  close(reason: string): void {
    for (const [id, { lease }] of [...this.#held]) {
      this.#forget(id);
      lease.end(reason);
    }
  }

  #hold(
    id: string,
    aggregator: string,
    lease: Lease,
    lines: number,
    forMs: number,
  ): void {
    // The process that had the lines may be gone, and tell nothing.
    const timer = setTimeout(
      () => this.#over(id, "its time is over"),
      forMs + LATE_MS,
    );
    Deno.unrefTimer(timer);
    this.#held.set(id, {
      aggregator,
      lease,
      left: lines,
      isGranted: false,
      timer,
    });
  }

  #forget(id: string): boolean {
    clearTimeout(this.#held.get(id)?.timer);
    return this.#held.delete(id);
  }
}
