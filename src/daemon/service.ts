/**
 * The service process: a reactor that serves what it is told to, until a
 * signal or until nothing is left to serve.
 *
 * @module
 */
import { dropStartUpPages } from "../../ffi/memory.ts";
import type { ConfigResult } from "../config/config_file.ts";
import type {
  AggregatorSpecification,
  Specification,
} from "../config/specification.ts";
import type { AggregatorDescription, ServiceEvent } from "./messages.ts";
import type { ApiServer, ApiSettings } from "./api/server.ts";
import type { FdStore } from "./fd_store.ts";
import { GivenListeners } from "./given_listeners.ts";
import type { KeptCreations } from "./kept_creations.ts";
import { LinesHeldError } from "./lanes.ts";
import { declaredState, ReactorClient } from "./reactor_client.ts";
import { type ReloadAnswer, Reloader, type ReloadTarget } from "./reload.ts";
import { ServiceManager } from "./service_manager.ts";

/** What the service tells its user. */
export interface ServiceEvents {
  /** All sockets stand and all lines are held. */
  ready(aggregators: readonly AggregatorDescription[]): void;
  /** Something happened to an aggregator. */
  event(event: ServiceEvent): void;
  /** The configuration was read again. */
  reloaded(answer: ReloadAnswer): void;
  /** Something that a manager kept across a restart is of no use, and why. */
  problem(text: string): void;
}

/** A configuration file that the service's aggregators come from. */
export interface ServiceConfiguration {
  /** What it said when the service was started. */
  first: Specification;
  /** Reads the file, as it is by then. */
  read: () => ConfigResult;
}

/** What a service may do beside serving. */
export interface ServiceOptions {
  /** Serve a control API; the service then lives without aggregators too. */
  api?: ApiSettings;
  /** Where the aggregators come from; SIGHUP then reads it again. */
  configuration?: ServiceConfiguration;
}

/**
 * Serves aggregators until SIGTERM or SIGINT (or SIGHUP, if there is no
 * configuration to read again), or until the last connection that was given as
 * an fd has ended.
 *
 * Under a service manager that keeps fds, SIGUSR2 ends it too, but leaves all
 * lines as they are, for the next process to take over.
 *
 * @throws {ConfigError} If the specification is the user's to mend.
 * @throws {Error} If a line or a socket cannot be had, or the reactor fails.
 */
export async function serve(
  aggregators: AggregatorSpecification[],
  events: ServiceEvents,
  { api: settings, configuration }: ServiceOptions = {},
): Promise<void> {
  let api: ApiServer | undefined;
  const over = Promise.withResolvers<"end" | "hand-over">();
  using manager = new ServiceManager((text) => events.problem(text));
  using listeners = new GivenListeners(manager.takeListeners());
  const report = (event: ServiceEvent) => {
    events.event(event);
    api?.publish(event);
  };
  // A crash before `add` is answered is `add`'s to report.
  over.promise.catch(() => {});
  using reactor = await ReactorClient.start({
    service: report,
    changes: (changes) => api?.publishChanges(changes),
    chipGone: (name) => api?.chipGone(name),
    idle: () => {
      if (settings === undefined) over.resolve("end");
    },
    crashed: (error) => over.reject(error),
  }, manager.store);
  const isTimed = settings !== undefined;
  const reloader = configuration && new Reloader({
    target: reloadTarget(reactor, listeners, (text) => events.problem(text)),
    current: configuration.first,
    read: configuration.read,
    isTimed,
    isClients: (name) => api?.isClients(name) === true,
  });
  // Whoever asked for it, everybody hears of it.
  const reload = reloader && (async () => {
    const answer = await reloader.reload();
    events.reloaded(answer);
    if ("outcome" in answer) api?.publishReload(answer.outcome);
    return answer;
  });
  const onEnd = () => over.resolve("end");
  const onHangup = reload === undefined
    ? onEnd
    : () => void reload().catch(over.reject);
  const signals = [
    ["SIGTERM", onEnd],
    ["SIGINT", onEnd],
    ["SIGHUP", onHangup],
    // Only a manager that keeps the lines has a use for it.
    ...(manager.store === undefined
      ? []
      : [["SIGUSR2", () => over.resolve("hand-over")] as const]),
  ] as const;
  for (const [signal, heard] of signals) Deno.addSignalListener(signal, heard);
  try {
    const { interlocks = [] } = configuration?.first ?? {};
    if (interlocks.length > 0) await reactor.setInterlocks(interlocks);
    const added = await reactor.add(
      aggregators.map((one) => listeners.equip(one)),
      { isTimed },
    );
    const keeper = await keptCreations(manager.store, settings);
    const restored = await keeper?.restore(reactor) ?? [];
    await reactor.dropUnused();
    if (settings !== undefined) {
      // Loaded for those who ask for it: an HTTP server takes 8 MB.
      const { ApiServer } = await import("./api/server.ts");
      api = new ApiServer(reactor, settings, {
        ...(reload === undefined ? {} : { reload }),
        takeListener: (name) => listeners.copy(name),
        ...(keeper === undefined ? {} : { keeper }),
        restored,
        report,
      });
    }
    for (const problem of listeners.closeUnused()) events.problem(problem);
    const served = [...added, ...restored];
    events.ready(served);
    const status = settings === undefined
      ? statusOf(served)
      : "Serving the control API: see gpioagg list";
    manager.ready(status, () => reactor.describe(""));
    dropStartUpPages();
    const how = await over.promise;
    manager.stopping();
    if (how === "hand-over") {
      // Whatever is tied to a client ends, and what cannot be kept. The rest
      // stays as it is: the kernel closes our copies, and the manager's go to
      // the next process.
      await api?.endLeases();
      await reactor.handOver();
      Deno.exit(0);
    }
    await api?.[Symbol.asyncDispose]();
    await declaredState(reactor.shutdown());
  } finally {
    for (const [signal, heard] of signals) {
      Deno.removeSignalListener(signal, heard);
    }
  }
}

/** Where it is kept what clients had made, if there are clients and a manager. */
async function keptCreations(
  store: FdStore | undefined,
  settings: ApiSettings | undefined,
): Promise<KeptCreations | undefined> {
  if (store === undefined || settings === undefined) return undefined;
  const { KeptCreations } = await import("./kept_creations.ts");
  return new KeptCreations(store, settings.creation);
}

/** What a service manager shows of a service that has begun. */
function statusOf(aggregators: readonly AggregatorDescription[]): string {
  const lines = aggregators.reduce((sum, one) => sum + one.lines.length, 0);
  const count = (n: number, what: string) =>
    `${n} ${what}${n === 1 ? "" : "s"}`;
  return `Serving ${count(aggregators.length, "aggregator")} with ` +
    count(lines, "line");
}

/** The reactor, with the sockets that the manager listens at for aggregators. */
function reloadTarget(
  reactor: ReactorClient,
  listeners: GivenListeners,
  report: (text: string) => void,
): ReloadTarget {
  return {
    describe: () => reactor.describe(),
    add: (aggregators, options) =>
      reactor.add(aggregators.map((one) => listeners.equip(one)), options),
    remove: (name) =>
      reactor.remove(name).catch((error: unknown) => {
        // It is gone; whoever wants its lines next waits for them.
        if (!(error instanceof LinesHeldError)) throw error;
        report(error.message);
      }),
    changeRules: (aggregators) => reactor.changeRules(aggregators),
    setInterlocks: (interlocks) => reactor.setInterlocks(interlocks),
  };
}
