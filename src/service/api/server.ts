/**
 * The control API: requests over its two sockets, one with all rights and one
 * for reading only.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { AggregatorState, ApiErrorBody } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { FileAccess } from "../../config/specification.ts";
import { readCreation, readPulls } from "./create.ts";
import { type CreationEvents, Creations } from "./creations.ts";
import { EventHub } from "./events.ts";
import type { CreationRules } from "./exposure.ts";
import { ApiListener, type Peer } from "./listener.ts";
import { EVENT_STREAM_TYPE } from "./paced_connection.ts";
import {
  HttpError,
  parseJson,
  readBody,
  reply,
  sendBytes,
} from "./messages.ts";
import { Observation } from "./observation.ts";
import { METRICS_CONTENT_TYPE } from "./metrics.ts";
import { openApi } from "./openapi.ts";
import { AuditLog, type AuditWriter } from "./audit_log.ts";
import { listenFor } from "../sockets/file_access.ts";
import type { KeptCreations } from "./kept_creations.ts";
import { LinesHeldError } from "../lanes/lanes.ts";
import { UnsafeLinesError } from "../messages/unsafe_lines_error.ts";
import { Lease } from "./lease.ts";
import { type Exchange, findRoute, type Route } from "./routes.ts";
import { SharedAnswers } from "./shared_answers.ts";
import { UnreadAnswers } from "./unread_answers.ts";
import { atOnce, UserSlots, WorkTurns } from "./work_turns.ts";
import type {
  AggregatorDescription,
  LineChanges,
  ServiceEvent,
} from "../messages/messages.ts";
import type { AggregatorServer } from "../isolate/reactors.ts";
import type { ReloadAnswer } from "../reload.ts";
import type { ReloadState } from "../../client/protocol.ts";
import { printableJson } from "../../text/printable.ts";

/** A socket of the control API. */
export interface ApiSocket {
  path: string;
  access: FileAccess;
}

/** Settings of a control API. */
export interface ApiSettings {
  /** Socket with all rights. */
  change?: ApiSocket;
  /** Socket for reading only. */
  look?: ApiSocket;
  /** Sockets of aggregators that clients create. */
  creation: CreationRules;
  /** Writes a line of the audit log, given without its line feed. */
  audit: AuditWriter;
}

/** Parts of the service that a control API uses. */
export interface ApiSurroundings {
  reload?: () => Promise<ReloadAnswer>;
  takeListener?: (name: string) => OwnedFd | undefined;
  /** Keeps what clients have made across a restart. */
  keeper?: Pick<KeptCreations, "keep" | "drop">;
  /** Aggregators of an earlier process whose clients wanted them to last. */
  restored?: readonly AggregatorDescription[];
  /** Reports an event of an aggregator, also to listeners of the API. */
  report?: (event: ServiceEvent) => void;
}

/** Reason that clients with leases receive at the end of the service. */
const SERVICE_ENDS = "the service ends";
/** For the service's own user only; settings may add the group. */
const CHANGE_MODE = 0o600;
/** For the group too. */
const LOOK_MODE = 0o660;
/** Connections that wait to be accepted, at most. */
const BACKLOG = 128;
/** Bodies of one user that are read at the same time; others wait unread. */
const BODIES_PER_USER = 8;

/** Serves the control API of one service. */
export class ApiServer implements AsyncDisposable {
  readonly #reactor: AggregatorServer;
  readonly #settings: ApiSettings;
  readonly #reload: (() => Promise<ReloadAnswer>) | undefined;
  readonly #audit: AuditLog;
  readonly #hub: EventHub;
  readonly #observation: Observation;
  readonly #resources = new DisposableStack();
  readonly #creations: Creations;
  readonly #answers: SharedAnswers;
  readonly #work = new WorkTurns<number | "answers">();
  readonly #bodies = new UserSlots(BODIES_PER_USER);
  readonly #unread = new UnreadAnswers();

  /**
   * Begins to serve.
   *
   * @param surroundings `reload` reads the configuration again; absent if there
   * is none. `takeListener` returns the socket of that name that a service
   * manager listens at for the service.
   * @throws {Error} If a socket cannot be opened.
   */
  constructor(
    reactor: AggregatorServer,
    settings: ApiSettings,
    { reload, takeListener, keeper, restored, report }: ApiSurroundings = {},
  ) {
    this.#reactor = reactor;
    this.#creations = new Creations({
      target: reactor,
      events: this.#creationEvents(report),
      keeper,
    }, restored);
    this.#reload = reload;
    this.#settings = settings;
    this.#audit = new AuditLog(settings.audit);
    using made = new DisposableStack();
    this.#observation = made.use(
      new Observation((on) => reactor.observe(on)),
    );
    this.#hub = made.use(
      new EventHub((isWatched) => this.#observation.setListeners(isWatched)),
    );
    this.#answers = new SharedAnswers({
      reactor,
      hub: this.#hub,
      work: this.#work,
      leaseOf: (name) => this.#creations.leaseOf(name),
    });
    const { change, look } = settings;
    for (
      const [socket, mayChange, mode, name] of [
        [change, true, CHANGE_MODE, "api"],
        [look, false, LOOK_MODE, "api-look"],
      ] as const
    ) {
      if (socket === undefined) continue;
      const given = takeListener?.(name);
      const listener = given === undefined
        ? made.use(listenFor(socket.path, socket.access, mode, BACKLOG))
          .listener
        : made.use(given);
      made.use(
        new ApiListener(
          listener,
          (request, response, peer) =>
            this.#serve(request, response, peer, mayChange),
        ),
      );
    }
    this.#resources.use(made.move());
  }

  /** Sends an event to listeners. */
  publish(event: ServiceEvent): void {
    this.#hub.publish(event);
  }

  /** Sends changed lines to listeners. */
  publishChanges(changes: LineChanges): void {
    this.#hub.publish({ event: "lines", ...changes });
  }

  /** Sends the changes of a reload to listeners. */
  publishReload({ added, removed, replaced }: ReloadState): void {
    const detail = "reloaded";
    for (const aggregator of [...removed, ...replaced]) {
      this.#hub.publish({ event: "removed", aggregator, detail });
    }
    for (const aggregator of [...added, ...replaced]) {
      this.#hub.publish({ event: "created", aggregator, detail });
    }
  }

  /** Returns true if a client has created the aggregator of this name. */
  isClients(name: string): boolean {
    return this.#creations.has(name);
  }

  /** Ends a client's aggregator whose chip another process has removed. */
  chipGone(name: string): void {
    this.#creations.chipGone(name);
  }

  /** Notes that an aggregator is gone whose lines were not safe in time. */
  removedLate(name: string): void {
    this.#creations.removedLate(name);
  }

  /** Ends every aggregator whose client has its lease. */
  async endLeases(): Promise<void> {
    await this.#creations.endLeases(SERVICE_ENDS);
  }

  /** Ends all leases and connections, and removes the sockets. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#creations.close(SERVICE_ENDS);
    this.#resources[Symbol.dispose]();
  }

  #creationEvents(report: ApiSurroundings["report"]): CreationEvents {
    return {
      removed: (aggregator, detail) =>
        this.#hub.publish({ event: "removed", aggregator, detail }),
      leaseOver: (aggregator, peer, error) =>
        void this.#audit.record(peer, {
          action: "lease-end",
          aggregator,
          outcome: error === undefined ? "done" : "failed",
          reason: error ?? "the client is gone",
        }),
      stuck: (aggregator, error) =>
        report?.({
          aggregator,
          event: "fault",
          detail: `its end is not complete: ${error}`,
        }),
    };
  }

  readonly #routes: readonly Route[] = [
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
        if (bytes === undefined) throw notThere(name);
        this.#send(exchange, bytes);
      },
    },
    {
      method: "DELETE",
      path: /^\/v1\/aggregators\/([^/]+)$/,
      action: "remove",
      handle: (exchange) => this.#remove(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/aggregators\/([^/]+)\/lines$/,
      handle: async (exchange) => {
        const { name } = exchange;
        await this.#creations.settled(name);
        const bytes = await this.#answers.lines(name);
        if (bytes === undefined) throw notThere(name);
        this.#send(exchange, bytes);
      },
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
      path: /^\/v1\/reload$/,
      action: "reload",
      handle: (exchange) => this.#reloadNow(exchange),
    },
    {
      method: "GET",
      path: /^\/v1\/events$/,
      handle: async ({ request, response, peer, query }) => {
        if (request.method === "HEAD") {
          response.writeHead(200, { "content-type": EVENT_STREAM_TYPE }).end();
          return;
        }
        const aggregator = query.get("aggregator") || undefined;
        await this.#observation.begin();
        const { bytes, since } = await this.#answers.snapshot(aggregator);
        const read = this.#unread.add(
          bytes,
          peer.uid,
          () => response.destroy(),
        );
        response.on("close", read);
        this.#hub.add(response, aggregator, bytes, since, read);
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

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    peer: Peer,
    mayChange: boolean,
  ): Promise<void> {
    try {
      const { route, name, query } = findRoute(this.#routes, request);
      const attempt = { aggregator: name };
      try {
        if (route.action !== undefined && !mayChange) {
          throw lookOnly(route.action);
        }
        // The listener waits for the end of the body.
        if (!route.takesBody) request.resume();
        await route.handle({ request, response, peer, name, query, attempt });
      } catch (error) {
        const { action } = route;
        if (action !== undefined) {
          const reason = error instanceof Error ? error.message : String(error);
          const outcome = error instanceof HttpError && error.status < 500 ||
              error instanceof ConfigError
            ? "refused"
            : "failed";
          const entry = { action, ...attempt, outcome, reason } as const;
          await this.#audit.record(peer, entry);
        }
        throw error;
      }
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined || response.headersSent) throw error;
      const { message, hint, status, headers, path } = refusal;
      // The rest of an unread body is not waited for.
      const close = request.complete ? {} : { connection: "close" };
      const body: ApiErrorBody = {
        error: {
          message,
          ...(hint === "" ? {} : { hint }),
          ...(path === "" ? {} : { path }),
        },
      };
      reply(response, status, body, { ...headers, ...close });
    }
  }

  async #create(
    { request, response, peer, attempt }: Exchange,
  ): Promise<void> {
    const lease = new Lease(response, request.socket as unknown as Socket);
    const { body, read: creation } = await this.#readBody(
      request,
      peer,
      (body) => readCreation(body, this.#settings.creation),
    );
    const { name, lines } = creation.specification;
    attempt.aggregator = name;
    attempt.lines = [...new Set(lines.map(({ origin }) => origin))];
    const made = await this.#creations.add(creation, body);
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
      reply(response, 201, this.#answers.stateOf(made));
      return;
    }
    this.#creations.tie(lease, {
      ...this.#answers.stateOf(made),
      lease: "stream",
    }, peer);
  }

  async #remove({ response, peer, name, attempt }: Exchange): Promise<void> {
    try {
      await this.#creations.remove(name, `removed by uid ${peer.uid}`);
    } catch (error) {
      if (error instanceof UnsafeLinesError) {
        throw new HttpError(
          504,
          error.message,
          "See gpioagg list, or /healthz",
        );
      }
      if (error instanceof LinesHeldError) {
        throw new HttpError(
          504,
          error.message,
          "They are released as soon as it answers",
        );
      }
      // It may be gone since another client has removed it.
      await this.#show(name);
      throw error;
    }
    await this.#audit.record(peer, {
      action: "remove",
      ...attempt,
      outcome: "done",
    });
    response.writeHead(204).end();
  }

  async #pull(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const { read: levels } = await this.#readBody(request, peer, readPulls);
    attempt.lines = levels.map(([line, level]) => `${line}=${level}`);
    await this.#show(name);
    let pulled: AggregatorDescription;
    try {
      pulled = await this.#reactor.pull(name, levels);
    } catch (error) {
      throw new HttpError(
        409,
        error instanceof Error ? error.message : String(error),
      );
    }
    await this.#audit.record(peer, {
      action: "pull",
      ...attempt,
      outcome: "done",
    });
    reply(response, 200, this.#answers.stateOf(pulled));
  }

  async #reloadNow({ response, peer }: Exchange): Promise<void> {
    if (this.#reload === undefined) {
      throw new HttpError(
        409,
        "This service has no configuration file",
        "It was started with lines on its command line",
      );
    }
    const answer = await this.#reload();
    if ("errors" in answer) {
      throw new HttpError(
        400,
        answer.errors.map(({ message }) => message).join("\n"),
      );
    }
    await this.#audit.record(peer, {
      action: "reload",
      aggregator: "",
      outcome: "done",
    });
    reply(response, 200, answer.outcome);
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

  /** Reads a body and its meaning, for each user one after the other. */
  async #readBody<T>(
    request: IncomingMessage,
    { uid }: Peer,
    read: (body: unknown) => T,
  ): Promise<{ body: unknown; read: T }> {
    using _slot = await this.#bodies.take(uid);
    const bytes = await readBody(request);
    const body = await this.#work.run(uid, atOnce(() => parseJson(bytes)));
    return {
      body,
      read: await this.#work.run(uid, atOnce(() => read(body))),
    };
  }

  async #show(name: string): Promise<AggregatorState> {
    // Waits until a removal has finished: then its lines are free.
    await this.#creations.settled(name);
    const [aggregator] = await this.#answers.described(name);
    if (aggregator === undefined) {
      throw notThere(name);
    }
    return this.#answers.stateOf(aggregator);
  }
}

/** The same for all services of a process. */
let openApiBytes: Uint8Array | undefined;

function notThere(name: string): HttpError {
  return new HttpError(404, `There is no aggregator "${name}"`);
}

function lookOnly(action: string): HttpError {
  return new HttpError(
    403,
    `Cannot ${action} through this socket: it is for reading only`,
    "Use the service's other socket, as a user to whom its owner, group and " +
      "mode give access",
  );
}

function refusalOf(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  if (error instanceof ConfigError) {
    const { message, hint, path } = error;
    return new HttpError(400, message, hint, {}, path);
  }
  return undefined;
}
