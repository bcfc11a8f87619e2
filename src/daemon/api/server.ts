/**
 * The control API: what may be asked over its two sockets, one that may change
 * things and one that may only look.
 *
 * @module
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { AggregatorState, ApiErrorBody } from "../../client/protocol.ts";
import { ConfigError } from "../../config/config_error.ts";
import type { FileAccess } from "../../config/specification.ts";
import { readCreation, readPulls } from "./create.ts";
import { type CreationEvents, Creations } from "./creations.ts";
import { EVENT_STREAM_TYPE, EventHub } from "./events.ts";
import type { CreationRules } from "./exposure.ts";
import { ApiListener, type Peer } from "./listener.ts";
import { JointQuestion } from "./joint_question.ts";
import { readJson, Refusal, reply } from "./messages.ts";
import { METRICS_CONTENT_TYPE, metricsText } from "./metrics.ts";
import { openApi } from "./openapi.ts";
import { type AuditEntry, AuditLog } from "./audit_log.ts";
import { listenFor } from "../file_access.ts";
import type { KeptCreations } from "../kept_creations.ts";
import { LinesHeldError } from "../lanes.ts";
import { Lease } from "./lease.ts";
import type {
  AggregatorDescription,
  LineChanges,
  ServiceEvent,
} from "../messages.ts";
import type { ReactorClient } from "../reactor_client.ts";
import type { ReloadAnswer, ReloadOutcome } from "../reload.ts";

/** A socket of the control API. */
export interface ApiSocket {
  path: string;
  access: FileAccess;
}

/** How a service wants its control API. */
export interface ApiSettings {
  /** Where things may be changed. */
  change?: ApiSocket;
  /** Where one may only look. */
  look?: ApiSocket;
  /** Where and for whom aggregators of clients get their vhost-user sockets. */
  creation: CreationRules;
  /** Takes a line of the audit log, without its line feed. */
  audit: (line: string) => void;
}

/** What a control API finds in its service. */
export interface ApiSurroundings {
  reload?: () => Promise<ReloadAnswer>;
  takeListener?: (name: string) => OwnedFd | undefined;
  /** Keeps what clients have made across a restart. */
  keeper?: Pick<KeptCreations, "keep" | "drop">;
  /** What an earlier process had made for clients, to outlive them. */
  restored?: readonly AggregatorDescription[];
  /** Tells everybody, listeners too, what happened to an aggregator. */
  report?: (event: ServiceEvent) => void;
}

/** What makers hear when all ends. */
const SERVICE_ENDS = "the service ends";
/** Only for the service's own user; the group may be let in by settings. */
const CHANGE_MODE = 0o600;
/** For the group too. */
const LOOK_MODE = 0o660;
/** One request on its way through. */
interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
  peer: Peer;
  /** The path's variable parts. */
  name: string;
  query: URLSearchParams;
  /** What the audit log is told if it is refused; whoever knows more adds it. */
  attempt: Omit<AuditEntry, "action" | "outcome">;
}

interface Route {
  method: string;
  path: RegExp;
  /** What the audit log calls it; absent for what changes nothing. */
  action?: AuditEntry["action"];
  /** It reads the request's body; others have it thrown away. */
  takesBody?: true;
  handle(exchange: Exchange): Promise<void> | void;
}

/** Serves the control API of one service. */
export class ApiServer implements AsyncDisposable {
  readonly #reactor: ReactorClient;
  readonly #settings: ApiSettings;
  readonly #reload: (() => Promise<ReloadAnswer>) | undefined;
  readonly #audit: AuditLog;
  readonly #hub: EventHub;
  readonly #resources = new DisposableStack();
  readonly #creations: Creations;
  /** Of one aggregator by name, or of all. */
  readonly #descriptions: JointQuestion<AggregatorDescription[]>;
  readonly #metrics: JointQuestion<Uint8Array>;

  /**
   * Begins to serve.
   *
   * @param surroundings `reload` reads the configuration again; absent if there
   * is none. `takeListener` gives the socket that a service manager listens at
   * for us, by name.
   * @throws {Error} If a socket cannot be had.
   */
  constructor(
    reactor: ReactorClient,
    settings: ApiSettings,
    { reload, takeListener, keeper, restored, report }: ApiSurroundings = {},
  ) {
    this.#reactor = reactor;
    this.#descriptions = new JointQuestion((name) =>
      name === "" ? reactor.describe() : reactor.describe(name)
    );
    this.#metrics = new JointQuestion(() => this.#metricsPage());
    this.#creations = new Creations({
      target: reactor,
      events: this.#creationEvents(report),
      keeper,
    }, restored);
    this.#reload = reload;
    this.#settings = settings;
    this.#audit = new AuditLog(settings.audit);
    using made = new DisposableStack();
    this.#hub = made.use(
      new EventHub((isWatched) => {
        // A reactor that ends hears it no more, and need not.
        reactor.observe(isWatched).catch(() => {});
      }),
    );
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
        ? made.use(listenFor(socket.path, socket.access, mode)).listener
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

  /** Tells listeners of an event. */
  publish(event: ServiceEvent): void {
    this.#hub.publish(event);
  }

  /** Tells listeners of changed lines. */
  publishChanges(changes: LineChanges): void {
    this.#hub.publish({ event: "lines", ...changes });
  }

  /** Tells listeners what a reload did. */
  publishReload({ added, removed, replaced }: ReloadOutcome): void {
    const detail = "reloaded";
    for (const aggregator of [...removed, ...replaced]) {
      this.#hub.publish({ event: "removed", aggregator, detail });
    }
    for (const aggregator of [...added, ...replaced]) {
      this.#hub.publish({ event: "created", aggregator, detail });
    }
  }

  /** Whether a client has made the aggregator of this name. */
  isClients(name: string): boolean {
    return this.#creations.has(name);
  }

  /** Ends an aggregator that a client made, whose chip others took down. */
  chipGone(name: string): void {
    this.#creations.chipGone(name);
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
        this.#audit.record(peer, {
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
      handle: async ({ response }) => {
        const all = await this.#descriptions.ask("");
        reply(response, 200, {
          aggregators: all.map((one) => this.#state(one)),
        });
      },
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
      handle: async ({ response, name }) =>
        reply(response, 200, await this.#show(name)),
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
      handle: async ({ response, name }) => {
        const { lines } = await this.#show(name);
        reply(response, 200, { lines });
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
      handle: async ({ request, response, query }) => {
        if (request.method === "HEAD") {
          response.writeHead(200, { "content-type": EVENT_STREAM_TYPE }).end();
          return;
        }
        const aggregator = query.get("aggregator") || undefined;
        const all = await this.#descriptions.ask(aggregator ?? "");
        this.#hub.add(response, aggregator, {
          event: "snapshot",
          aggregators: all.map((one) => this.#state(one)),
        });
      },
    },
    {
      method: "GET",
      path: /^\/metrics$/,
      handle: async ({ response }) => {
        const page = await this.#metrics.ask("");
        response.writeHead(200, { "content-type": METRICS_CONTENT_TYPE });
        response.end(page);
      },
    },
    {
      method: "GET",
      path: /^\/openapi\.json$/,
      handle: ({ response }) => reply(response, 200, openApi()),
    },
  ];

  async #serve(
    request: IncomingMessage,
    response: ServerResponse,
    peer: Peer,
    mayChange: boolean,
  ): Promise<void> {
    try {
      const { route, name, query } = this.#route(request);
      const attempt = { aggregator: name };
      try {
        if (route.action !== undefined && !mayChange) {
          throw lookOnly(route.action);
        }
        // Its end is what the listener waits for.
        if (!route.takesBody) request.resume();
        await route.handle({ request, response, peer, name, query, attempt });
      } catch (error) {
        const { action } = route;
        if (action !== undefined) {
          const reason = error instanceof Error ? error.message : String(error);
          const outcome = error instanceof Refusal && error.status < 500 ||
              error instanceof ConfigError
            ? "refused"
            : "failed";
          this.#audit.record(peer, { action, ...attempt, outcome, reason });
        }
        throw error;
      }
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined || response.headersSent) throw error;
      const { message, hint, status, headers } = refusal;
      // What is left of an unread body is not waited for.
      const close = request.complete ? {} : { connection: "close" };
      const body: ApiErrorBody = {
        error: { message, ...(hint === "" ? {} : { hint }) },
      };
      reply(response, status, body, { ...headers, ...close });
    }
  }

  #route(
    request: IncomingMessage,
  ): { route: Route; name: string; query: URLSearchParams } {
    const url = URL.parse(request.url ?? "", "http://gpioagg");
    if (url === null) throw new Refusal(400, "This is no path");
    const there = this.#routes.filter(({ path }) => path.test(url.pathname));
    if (there.length === 0) {
      throw new Refusal(
        404,
        `There is nothing at ${url.pathname}`,
        "/openapi.json tells what there is",
      );
    }
    // Whatever can be got has a head; node:http leaves the body out.
    const asked = request.method === "HEAD" ? "GET" : request.method;
    const route = there.find(({ method }) => method === asked);
    if (route === undefined) {
      throw new Refusal(
        405,
        `Cannot ${request.method} ${url.pathname}`,
        "/openapi.json tells what can be done",
        {
          allow: there.map(({ method }) =>
            method === "GET" ? "GET, HEAD" : method
          )
            .join(", "),
        },
      );
    }
    const [, part = ""] = route.path.exec(url.pathname)!;
    try {
      const name = decodeURIComponent(part);
      return { route, name, query: url.searchParams };
    } catch {
      throw new Refusal(400, `"${part}" is no name`);
    }
  }

  async #create(
    { request, response, peer, attempt }: Exchange,
  ): Promise<void> {
    const lease = new Lease(response, request.socket as unknown as Socket);
    const body = await readJson(request);
    const creation = readCreation(body, this.#settings.creation);
    const { name, lines } = creation.specification;
    attempt.aggregator = name;
    attempt.lines = [...new Set(lines.map(({ origin }) => origin))];
    const made = await this.#creations.add(creation, body);
    const { presentation } = made;
    this.#audit.record(peer, {
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
      reply(response, 201, this.#state(made));
      return;
    }
    this.#creations.tie(lease, { ...this.#state(made), lease: "stream" }, peer);
  }

  async #remove({ response, peer, name, attempt }: Exchange): Promise<void> {
    try {
      await this.#creations.remove(name, `removed by uid ${peer.uid}`);
    } catch (error) {
      if (error instanceof LinesHeldError) {
        throw new Refusal(504, error.message, "They are free when it answers");
      }
      // There is none, perhaps since another client was faster.
      await this.#show(name);
      throw error;
    }
    this.#audit.record(peer, { action: "remove", ...attempt, outcome: "done" });
    response.writeHead(204).end();
  }

  async #pull(
    { request, response, peer, name, attempt }: Exchange,
  ): Promise<void> {
    const levels = readPulls(await readJson(request));
    attempt.lines = levels.map(([line, level]) => `${line}=${level}`);
    await this.#show(name);
    let pulled: AggregatorDescription;
    try {
      pulled = await this.#reactor.pull(name, levels);
    } catch (error) {
      throw new Refusal(
        409,
        error instanceof Error ? error.message : String(error),
      );
    }
    this.#audit.record(peer, { action: "pull", ...attempt, outcome: "done" });
    reply(response, 200, this.#state(pulled));
  }

  async #reloadNow({ response, peer }: Exchange): Promise<void> {
    if (this.#reload === undefined) {
      throw new Refusal(
        409,
        "This service has no configuration file to read again",
        "It was started with lines on its command line",
      );
    }
    const answer = await this.#reload();
    if ("errors" in answer) {
      throw new Refusal(
        400,
        answer.errors.map(({ message }) => message).join("\n"),
      );
    }
    this.#audit.record(peer, {
      action: "reload",
      aggregator: "",
      outcome: "done",
    });
    reply(response, 200, answer.outcome);
  }

  async #metricsPage(): Promise<Uint8Array> {
    const text = metricsText(await this.#reactor.count(), {
      eventListeners: this.#hub.size,
      eventsMissed: this.#hub.lost,
      residentBytes: Deno.memoryUsage().rss,
    });
    return new TextEncoder().encode(text);
  }

  async #show(name: string): Promise<AggregatorState> {
    // What is not there any more is gone: its lines are free.
    await this.#creations.settled(name);
    const [aggregator] = await this.#descriptions.ask(name);
    if (aggregator === undefined) {
      throw new Refusal(404, `There is no aggregator "${name}"`);
    }
    return this.#state(aggregator);
  }

  #state(description: AggregatorDescription): AggregatorState {
    return {
      lease: this.#creations.leaseOf(description.name),
      ...description,
    };
  }
}

function lookOnly(action: string): Refusal {
  return new Refusal(
    403,
    `Cannot ${action} through this socket: it may only look`,
    "Use the service's other socket, as a user whom its owner, group " +
      "and mode let in",
  );
}

function refusalOf(error: unknown): Refusal | undefined {
  if (error instanceof Refusal) return error;
  if (error instanceof ConfigError) {
    return new Refusal(400, error.message, error.hint);
  }
  return undefined;
}
