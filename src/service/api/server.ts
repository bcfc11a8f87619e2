/**
 * The control API: requests over its two sockets, one with all rights and one
 * for reading only.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { ApiErrorBody } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { FileAccess } from "../../config/specification.ts";
import { type CreationEvents, Creations } from "./creations/creations.ts";
import { EventHub } from "./events/events.ts";
import type { CreationRules } from "./creations/exposure.ts";
import { ApiListener, type Peer } from "./connections/listener.ts";
import { errorMessage, HttpError, reply } from "./requests/messages.ts";
import { Observation } from "./events/observation.ts";
import { ApiRoutes } from "./routes/api_routes.ts";
import { AuditLog, type AuditWriter } from "./requests/audit_log.ts";
import { listenFor } from "../sockets/file_access.ts";
import type { KeptCreations } from "./creations/kept_creations.ts";
import type { EdgeArchive } from "../record/edge_archive.ts";
import type { EdgeStore } from "../record/edge_store.ts";
import {
  checkConditions,
  checkOrigin,
  checkParameters,
  findRoute,
  type Route,
} from "./requests/routes.ts";
import type {
  AggregatorDescription,
  LineChanges,
  ServiceEvent,
} from "../messages/messages.ts";
import type { AggregatorServer } from "../isolate/reactors.ts";
import type { ReloadAnswer } from "../reload.ts";
import type { ReloadState } from "../../client/protocol.ts";

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
interface ApiSurroundings {
  reload?: () => Promise<ReloadAnswer>;
  takeListener?: (name: string) => OwnedFd | undefined;
  /** Keeps what clients have made across a restart. */
  keeper?: KeptCreations;
  /** Aggregators that clients of an earlier process have made. */
  restored?: readonly AggregatorDescription[];
  /** Reports an event of an aggregator, also to listeners of the API. */
  report?: (event: ServiceEvent) => void;
  /** Records of edges; absent: none are recorded. */
  edges?: EdgeStore | undefined;
  /** The file of edges; absent: there is none. */
  archive?: EdgeArchive | undefined;
}

/** Reason that clients with leases receive at the end of the service. */
const SERVICE_ENDS = "the service ends";
/** For the service's own user only; settings may add the group. */
const CHANGE_MODE = 0o600;
/** For the group too. */
const LOOK_MODE = 0o660;
/** Connections that wait to be accepted, at most. */
const BACKLOG = 128;

/** Serves the control API of one service. */
export class ApiServer implements AsyncDisposable {
  readonly #audit: AuditLog;
  readonly #hub: EventHub;
  readonly #observation: Observation;
  readonly #resources = new DisposableStack();
  readonly #creations: Creations;
  readonly #routes: readonly Route[];
  readonly #forces: ApiRoutes["forces"];

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
    { reload, takeListener, keeper, restored, report, edges, archive }:
      ApiSurroundings = {},
  ) {
    this.#creations = new Creations({
      target: reactor,
      events: this.#creationEvents(report),
      keeper,
    }, restored);
    this.#audit = new AuditLog(settings.audit);
    using made = new DisposableStack();
    this.#observation = made.use(
      new Observation((on) => reactor.observe(on)),
    );
    this.#hub = made.use(
      new EventHub(
        (isWatched) => this.#observation.setListeners(isWatched),
        undefined,
        edges,
      ),
    );
    const routes = new ApiRoutes({
      reactor,
      rules: settings.creation,
      reload,
      creations: this.#creations,
      hub: this.#hub,
      observation: this.#observation,
      audit: this.#audit,
      edges,
      archive,
    });
    this.#routes = routes.all;
    this.#forces = routes.forces;
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
  publish({ force, ...event }: ServiceEvent): void {
    if (force !== undefined) this.#forces.ended({ ...event, force });
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
    this.#forces.close(SERVICE_ENDS);
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
        if (route.action !== undefined) {
          checkOrigin(request);
          checkConditions(request);
        }
        checkParameters(query, route.query ?? {});
        // The listener waits for the end of the body.
        if (!route.takesBody) request.resume();
        await route.handle({ request, response, peer, name, query, attempt });
      } catch (error) {
        const { action } = route;
        if (action !== undefined) {
          const reason = errorMessage(error);
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
      const refusal = toHttpError(error);
      if (refusal === undefined || response.headersSent) throw error;
      const { message, hint, status, headers, path, errors } = refusal;
      // The rest of an unread body is not waited for.
      const close = request.complete ? {} : { connection: "close" };
      const body: ApiErrorBody = {
        error: {
          message,
          ...(hint === "" ? {} : { hint }),
          ...(path === "" ? {} : { path }),
          ...(errors === undefined ? {} : { errors: [...errors] }),
        },
      };
      reply(response, status, body, { ...headers, ...close });
    }
  }
}

function lookOnly(action: string): HttpError {
  return new HttpError(
    403,
    `Cannot ${action} through this socket: it is for reading only`,
    "Use the service's other socket, as a user to whom its owner, group and " +
      "mode give access",
  );
}

function toHttpError(error: unknown): HttpError | undefined {
  if (error instanceof HttpError) return error;
  if (error instanceof ConfigError) {
    const { message, hint, path } = error;
    return new HttpError(400, message, hint, {}, path);
  }
  return undefined;
}
