/**
 * Routes of the control API, and their handlers.
 *
 * @module
 */
import type { Socket } from "node:net";
import type { AggregatorState } from "../../../client/protocol.ts";
import { printable, printableJson } from "../../../text/printable.ts";
import type { AggregatorServer } from "../../isolate/reactors.ts";
import type { AggregatorDescription } from "../../messages/messages.ts";
import type { ReloadAnswer } from "../../reload.ts";
import type { AuditLog } from "../requests/audit_log.ts";
import {
  readCreation,
  readPulls,
  readRules,
  readToken,
} from "../creations/create.ts";
import { numberChanges, plannedChange } from "./rules_route.ts";
import type { Creations } from "../creations/creations.ts";
import type { EventHub } from "../events/events.ts";
import {
  edgeSubscription,
  EVENT_PARAMETERS,
  HISTORY_PARAMETERS,
} from "./history_query.ts";
import { ForceRoute } from "./force_route.ts";
import { HistoryRoute } from "./history_route.ts";
import type { EdgeArchive } from "../../record/edge_archive.ts";
import type { EdgeStore } from "../../record/edge_store.ts";
import type { CreationRules } from "../creations/exposure.ts";
import { Lease } from "../creations/lease.ts";
import {
  type HttpError,
  refusedByLines,
  reply,
  sendBytes,
} from "../requests/messages.ts";
import { METRICS_CONTENT_TYPE } from "../answers/metrics.ts";
import type { Observation } from "../events/observation.ts";
import { openApi } from "../answers/openapi.ts";
import { EVENT_STREAM_TYPE } from "../../../http/paced_connection.ts";
import { notThere } from "./not_there.ts";
import { PlayRoute } from "./play_route.ts";
import { reloadNow } from "./reload_route.ts";
import { REMOVAL_PARAMETERS, removeNow } from "./removal_route.ts";
import type { Exchange, Route } from "../requests/routes.ts";
import { RequestBodies } from "../requests/request_bodies.ts";
import { SharedAnswers } from "../answers/shared_answers.ts";
import { UnreadAnswers } from "../connections/unread_answers.ts";
import { WorkTurns } from "../connections/work_turns.ts";

/** Parts of the API and of the service that requests use. */
export interface RequestContext {
  readonly reactor: AggregatorServer;
  readonly rules: CreationRules;
  /** Reads the configuration again; absent if there is none. */
  readonly reload: (() => Promise<ReloadAnswer>) | undefined;
  readonly creations: Creations;
  readonly hub: EventHub;
  readonly observation: Observation;
  readonly audit: AuditLog;
  /** Records of edges; absent: none are recorded. */
  readonly edges: EdgeStore | undefined;
  /** The file of edges; absent: there is none. */
  readonly archive: EdgeArchive | undefined;
}

/** Longest text of an event of changed rules. **Units**: UTF-16 units. */
const DETAIL_LIMIT = 512;

/** The routes of one control API. **Ownership**: borrows its context. */
export class ApiRoutes {
  readonly #reactor: AggregatorServer;
  readonly #rules: CreationRules;
  readonly #reload: (() => Promise<ReloadAnswer>) | undefined;
  readonly #creations: Creations;
  readonly #hub: EventHub;
  readonly #observation: Observation;
  readonly #audit: AuditLog;
  readonly #answers: SharedAnswers;
  readonly #work = new WorkTurns<number | "answers">();
  readonly #bodies = new RequestBodies(this.#work);
  readonly #unread = new UnreadAnswers();
  readonly #edges: EdgeStore | undefined;
  readonly #history: HistoryRoute;
  readonly #forces: ForceRoute;
  readonly #plays: PlayRoute;

  /** Makes the handlers. */
  constructor(context: RequestContext) {
    const { reactor, hub, creations } = context;
    this.#reactor = reactor;
    this.#rules = context.rules;
    this.#reload = context.reload;
    this.#creations = creations;
    this.#hub = hub;
    this.#observation = context.observation;
    this.#audit = context.audit;
    this.#edges = context.edges;
    this.#history = new HistoryRoute(
      context.edges,
      context.archive,
      this.#work,
    );
    this.#answers = new SharedAnswers({
      reactor,
      hub,
      work: this.#work,
      findLease: (name) => creations.findLease(name),
    });
    this.#plays = new PlayRoute({
      reactor,
      bodies: this.#bodies,
      audit: context.audit,
      edges: context.edges,
      show: (name) => this.#show(name),
    });
    this.#forces = new ForceRoute({
      reactor,
      bodies: this.#bodies,
      audit: context.audit,
      show: (name) => this.#show(name),
      toState: (description) => this.#answers.toState(description),
    });
  }

  /** Forces that clients hold. */
  get forces(): Pick<ForceRoute, "ended" | "close"> {
    return this.#forces;
  }

  /** All routes. */
  readonly all: readonly Route[] = [
    {
      method: "GET",
      path: /^\/v1\/aggregators$/,
      handle: async (exchange) =>
        this.#send(exchange, await this.#answers.list()),
    },
    {
      method: "POST",
      path: /^\/v1\/aggregators$/,
      action: "create",
      takesBody: true,
      handle: (exchange) => this.#create(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/aggregators\/([^/]+)$/,
      handle: async (exchange) => {
        const { name } = exchange;
        await this.#creations.settled(name);
        const bytes = await this.#answers.one(name);
        if (bytes === undefined) throw this.#notThere(name);
        this.#send(exchange, bytes);
      },
    },
    {
      method: "DELETE",
      path: /^\/v1\/aggregators\/([^/]+)$/,
      action: "remove",
      query: REMOVAL_PARAMETERS,
      handle: (exchange) =>
        removeNow(exchange, {
          creations: this.#creations,
          audit: this.#audit,
          show: (name) => this.#show(name),
        }),
    },
    {
      method: "PATCH",
      path: /^\/v1\/aggregators\/([^/]+)$/,
      action: "rules",
      takesBody: true,
      handle: (exchange) => this.#changeRules(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/aggregators\/([^/]+)\/lines$/,
      handle: async (exchange) => {
        const { name } = exchange;
        await this.#creations.settled(name);
        const bytes = await this.#answers.lines(name);
        if (bytes === undefined) throw this.#notThere(name);
        this.#send(exchange, bytes);
      },
    },
    {
      method: "POST",
      path: /^\/v1\/aggregators\/([^/]+)\/lease$/,
      action: "lease-resume",
      takesBody: true,
      handle: (exchange) => this.#resumeLease(exchange),
    },
    {
      method: "PATCH",
      path: /^\/v1\/aggregators\/([^/]+)\/lines$/,
      action: "pull",
      takesBody: true,
      handle: (exchange) => this.#pull(exchange),
    },
    {
      method: "POST",
      path: /^\/v1\/aggregators\/([^/]+)\/play$/,
      action: "play",
      takesBody: true,
      handle: (exchange) => this.#plays.begin(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/aggregators\/([^/]+)\/play$/,
      handle: (exchange) => this.#plays.show(exchange),
    },
    {
      method: "DELETE",
      path: /^\/v1\/aggregators\/([^/]+)\/play$/,
      action: "play",
      handle: (exchange) => this.#plays.cancel(exchange),
    },
    {
      method: "POST",
      path: /^\/v1\/aggregators\/([^/]+)\/force$/,
      action: "force",
      takesBody: true,
      handle: (exchange) => this.#forces.begin(exchange),
    },
    {
      method: "DELETE",
      path: /^\/v1\/aggregators\/([^/]+)\/force$/,
      action: "force-end",
      query: { line: "repeatable" },
      handle: (exchange) => this.#forces.end(exchange),
    },
    {
      method: "POST",
      path: /^\/v1\/reload$/,
      action: "reload",
      handle: (exchange) => reloadNow(exchange, this.#reload, this.#audit),
    },
    {
      method: "GET",
      path: /^\/v1\/lines$/,
      handle: async (exchange) =>
        this.#send(exchange, await this.#answers.allLines()),
    },
    {
      method: "GET",
      path: /^\/v1\/history$/,
      query: HISTORY_PARAMETERS,
      handle: (exchange) => this.#history.answer(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/events$/,
      query: EVENT_PARAMETERS,
      handle: async ({ request, response, peer, query }) => {
        const aggregator = query.get("aggregator") ?? undefined;
        const after = this.#hub.parseId(
          request.headers["last-event-id"]?.toString() ?? "",
        );
        const edges = edgeSubscription(query, after, this.#edges);
        if (request.method === "HEAD") {
          response.writeHead(200, { "content-type": EVENT_STREAM_TYPE }).end();
          return;
        }
        await this.#observation.begin();
        const { bytes, since } = await this.#answers.snapshot(aggregator);
        const read = this.#unread.add(
          bytes,
          peer.uid,
          () => response.destroy(),
        );
        response.on("close", read);
        this.#hub.add(response, aggregator, bytes, since, read, {
          edges,
          after,
        });
      },
    },
    {
      method: "GET",
      path: /^\/healthz$/,
      handle: async ({ response }) => {
        const pending = await this.#reactor.pending();
        const isWell = pending.length === 0;
        reply(response, isWell ? 200 : 503, {
          status: isWell ? "ok" : "rules-pending",
          pending,
        });
      },
    },
    {
      method: "GET",
      path: /^\/metrics$/,
      handle: async (exchange) =>
        this.#send(
          exchange,
          await this.#answers.metrics(),
          METRICS_CONTENT_TYPE,
        ),
    },
    {
      method: "GET",
      path: /^\/openapi\.json$/,
      handle: (exchange) => {
        openApiBytes ??= new TextEncoder().encode(printableJson(openApi()));
        this.#send(exchange, openApiBytes);
      },
    },
  ];

  async #create(
    { request, response, peer, attempt }: Exchange,
  ): Promise<void> {
    const lease = new Lease(response, request.socket as unknown as Socket);
    const { body, read: creation } = await this.#bodies.read(
      request,
      peer,
      (body) => readCreation(body, this.#rules),
    );
    const { name, lines } = creation.specification;
    attempt.aggregator = name;
    attempt.lines = [...new Set(lines.map(({ origin }) => origin))];
    const made = await this.#creations.add(creation, body, peer);
    const { presentation } = made;
    await this.#audit.record(peer, {
      action: "create",
      ...attempt,
      outcome: "done",
      presentation,
    });
    this.#hub.publish({
      event: "created",
      aggregator: name,
      detail: presentation,
    });
    if (creation.lease === "none") {
      reply(response, 201, this.#answers.toState(made));
      return;
    }
    this.#creations.tie(lease, {
      ...this.#answers.toState(made),
      lease: "stream",
    }, peer);
  }

  async #resumeLease(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const socket = request.socket as unknown as Socket;
    const lease = new Lease(response, socket, 200);
    const { read: token } = await this.#bodies.read(request, peer, readToken);
    const state = await this.#show(name);
    await this.#creations.claim(name, token, peer);
    await this.#audit.record(peer, {
      action: "lease-resume",
      ...attempt,
      outcome: "done",
    });
    this.#creations.tie(lease, state, peer);
  }

  async #changeRules(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const { read } = await this.#bodies.read(request, peer, readRules);
    const texts = read.map(([line, change]) =>
      `${line}: ${JSON.stringify(change)}`
    );
    attempt.lines = texts;
    const { changes, names } = numberChanges(await this.#show(name), read);
    const changed = await this.#creations.changeRules(
      name,
      changes,
      (before, next) =>
        this.#work.run(
          peer.uid,
          plannedChange(before, next, this.#rules, names),
        ),
    );
    await this.#audit.record(peer, {
      action: "rules",
      ...attempt,
      outcome: "done",
    });
    if (changed === undefined) {
      return reply(response, 200, await this.#show(name));
    }
    this.#hub.publish({
      event: "changed",
      aggregator: name,
      detail: printable(
        `rules by uid ${peer.uid}: ${texts.join(", ")}`,
        DETAIL_LIMIT,
      ),
    });
    reply(response, 200, this.#answers.toState(changed));
  }

  async #pull(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const { read: levels } = await this.#bodies.read(request, peer, readPulls);
    attempt.lines = levels.map(([line, level]) => `${line}=${level}`);
    await this.#show(name);
    let pulled: AggregatorDescription;
    try {
      pulled = await this.#reactor.pull(name, levels);
    } catch (error) {
      throw refusedByLines(error);
    }
    await this.#audit.record(peer, {
      action: "pull",
      ...attempt,
      outcome: "done",
    });
    reply(response, 200, this.#answers.toState(pulled));
  }

  /** Sends bytes that other clients may receive too. */
  #send(
    { response, peer }: Exchange,
    bytes: Uint8Array,
    contentType = "application/json",
  ): void {
    const read = this.#unread.add(
      bytes,
      peer.uid,
      () => response.destroy(),
    );
    response.on("finish", read);
    response.on("close", read);
    sendBytes(response, 200, bytes, contentType);
  }

  #notThere(name: string): HttpError {
    return notThere(name, this.#reactor.names);
  }

  async #show(name: string): Promise<AggregatorState> {
    // Waits until a removal has finished: then its lines are free.
    await this.#creations.settled(name);
    const [aggregator] = await this.#answers.described(name);
    if (aggregator === undefined) {
      throw this.#notThere(name);
    }
    return this.#answers.toState(aggregator);
  }
}

/** The same for all services of a process. */
let openApiBytes: Uint8Array | undefined;
