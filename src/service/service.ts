/**
 * The service process: a reactor that serves aggregators until a signal, or
 * until nothing is left to serve.
 *
 * @module
 */
import { bootId } from "../../ffi/process.ts";
import { dropStartUpPages, returnLargeMemory } from "../../ffi/memory.ts";
import type { ConfigResult } from "../config/file/config_file.ts";
import type {
  AggregatorSpecification,
  Specification,
} from "../config/specification.ts";
import type {
  AggregatorDescription,
  PendingLine,
  ServiceEvent,
} from "./messages/messages.ts";
import type { ApiServer, ApiSettings } from "./api/server.ts";
import type { ManagerFdStore } from "./restart/manager_fd_store.ts";
import { FILE_LIMIT_MS, handOverService } from "./hand_over.ts";
import { GivenListeners } from "./sockets/given_listeners.ts";
import type { KeptCreations } from "./api/creations/kept_creations.ts";
import { LinesHeldError } from "./lanes/lanes.ts";
import { checkHttpRuntime } from "../http/runtime.ts";
import { reportLeaks } from "./reactor/leaks.ts";
import {
  type AggregatorServer,
  Reactors,
  type ServedCount,
} from "./isolate/reactors.ts";
import { DEFAULT_EDGES } from "../edges/edge_ring.ts";
import type { RecordSpecification } from "../config/specification.ts";
import { EdgeArchive } from "./record/edge_archive.ts";
import { EdgeFile } from "./record/edge_file.ts";
import type { EdgeSink } from "./record/edge_sink.ts";
import { EdgeStore } from "./record/edge_store.ts";
import { declaredState } from "./reactor/reactor_client.ts";
import { printableError } from "../text/printable.ts";
import { ServiceWords } from "./service_words.ts";
import { reportUnexpected } from "./unexpected.ts";
import { type ReloadAnswer, Reloader, type ReloadTarget } from "./reload.ts";
import { KeptStart } from "./kept_start.ts";
import { ListenSocket } from "./sockets/listen_socket.ts";
import {
  apiFiles,
  SharedDirectories,
  socketFiles,
} from "./sockets/shared_directories.ts";
import {
  type GivenManager,
  ServiceManager,
} from "./restart/service_manager.ts";

/** Sockets of a control API, as they are set. */
export interface ApiPaths {
  /** Socket with all rights. */
  readonly socket?: string;
  /** Socket for reading only. */
  readonly look?: string;
}

/** Events of the service. */
interface ServiceEvents {
  /**
   * All sockets are open and all lines are held.
   *
   * @param api Sockets of the control API; undefined if there is none.
   */
  ready(
    aggregators: readonly AggregatorDescription[],
    api?: ApiPaths,
  ): void;
  /** Something happened to an aggregator. */
  event(event: ServiceEvent): void;
  /** Another process has removed a kernel chip. */
  chipGone?(name: string): void;
  /** The configuration was read again. */
  reloaded(answer: ReloadAnswer): void;
  /**
   * A fd that a manager kept across a restart cannot be used, with the reason.
   */
  problem(text: string): void;
  /** Waits a moment until the reported events are written: the process ends. */
  flush?(): Promise<void>;
}

/** Configuration file of the service's aggregators. */
interface ServiceConfiguration {
  /** Its specification at the start of the service. */
  first: Specification;
  /** Reads the file in its present state. */
  read: () => ConfigResult;
}

/** Optional parts of a service. */
interface ServiceOptions {
  /** Serve a control API; the service then runs without aggregators too. */
  api?: ApiSettings;
  /** Source of the aggregators, which SIGHUP reads again. */
  configuration?: ServiceConfiguration;
  /** Ends the service, as SIGTERM does, once it resolves. */
  end?: Promise<void>;
  /** Its manager, if not that of the environment. */
  manager?: GivenManager;
  /**
   * Called before the process ends for the next one, if that need not wait for
   * the end: nothing is served or written any more but for what no reader took.
   */
  handedOver?: () => void;
  /** True if the same code runs again soon: its pages stay in memory. */
  isWarmUp?: boolean;
  /** Record of edges; absent: as by default. Needs a control API, or a file. */
  record?: RecordSpecification;
  /** The file of `record`, open. **Ownership**: the service's. */
  recordSink?: EdgeSink;
}

/**
 * Serves aggregators until SIGTERM or SIGINT (or SIGHUP, if there is no
 * configuration file), or until the last given connection has ended.
 *
 * Under a service manager that keeps fds, SIGUSR2 ends it too, but leaves all
 * lines as they are for the next process.
 *
 * @throws {ConfigError} If the specification is invalid.
 * @throws {Error} If a line or a socket cannot be obtained, the reactor fails, or
 * the runtime is too old for a control API.
 */
export async function serve(
  aggregators: AggregatorSpecification[],
  events: ServiceEvents,
  options: ServiceOptions = {},
): Promise<void> {
  const { api: settings, configuration, end, record, recordSink } = options;
  // Before any line is requested, and not at the first client.
  if (settings !== undefined) checkHttpRuntime();
  reportLeaks((text) => events.problem(text));
  returnLargeMemory();
  let api: ApiServer | undefined;
  const over = Promise.withResolvers<"end" | "hand-over">();
  using manager = new ServiceManager(
    (text) => events.problem(text),
    options.manager,
  );
  using listeners = new GivenListeners(manager.takeListeners());
  const keptStart = new KeptStart(manager.store);
  const onEnd = () => {
    keptStart.end();
    over.resolve("end");
  };
  void end?.then(onEnd);
  let count: ServedCount = { aggregators: 0, lines: 0 };
  let showHealth = () => {};
  let words: ServiceWords | undefined;
  const report = (event: ServiceEvent) => {
    events.event(event);
    api?.publish(event);
    if (HEALTH_EVENTS.has(event.event)) showHealth();
  };
  // Without the API or a file there is no way to read it.
  const { keep = DEFAULT_EDGES, withInputs = false, file } = record ?? {};
  const isRead = settings !== undefined || file !== undefined;
  using edges = keep === 0 || !isRead
    ? undefined
    : new EdgeStore({ keep, withInputs });
  const boot = file === undefined ? "" : bootId();
  const edgeFile =
    edges === undefined || file === undefined || recordSink === undefined
      ? undefined
      : new EdgeFile(edges, recordSink, {
        path: file.path,
        limit: file.size,
        ...(boot === "" ? {} : { boot }),
        tell: (text) => events.problem(text),
      });
  const archive = edgeFile &&
    new EdgeArchive(file!.path, edgeFile, recordSink!, edges!);
  // `add` reports a failure before its answer.
  over.promise.catch(() => {});
  using held = new DisposableStack();
  const reactor = held.use(
    await Reactors.start(
      {
        service: report,
        changes: (changes) => api?.publishChanges(changes),
        chipGone: (name) => {
          api?.chipGone(name);
          events.chipGone?.(name);
        },
        removedLate: (name) => api?.removedLate(name),
        servedChanged: (served) => {
          count = served;
          showHealth();
          words?.changed();
        },
        idle: () => {
          if (settings === undefined) over.resolve("end");
        },
        problem: (text) => events.problem(text),
        crashed: (error) => over.reject(error),
      },
      manager.store,
      edges,
    ),
  );
  const isTimed = settings !== undefined;
  const shared = new SharedDirectories();
  const warn = (files: Iterable<string>) => {
    for (const { warning } of shared.look(files)) events.problem(warning);
  };
  const reloader = configuration && new Reloader({
    target: reloadTarget(
      reactor,
      listeners,
      (text) => events.problem(text),
      warn,
    ),
    current: configuration.first,
    read: configuration.read,
    isTimed,
    isClients: (name) => api?.isClients(name) === true,
  });
  // Reported to all, whatever requested it.
  const reload = reloader && (async () => {
    const answer = await reloader.reload();
    events.reloaded(answer);
    if ("outcome" in answer) api?.publishReload(answer.outcome);
    return answer;
  });
  const onHangup = reload === undefined ? onEnd : () => {
    // Guests are served on in any case.
    reload().catch((error) =>
      events.problem(`cannot reload: ${printableError(error)}`)
    );
  };
  const signals = [
    ["SIGTERM", onEnd],
    ["SIGINT", onEnd],
    ["SIGHUP", onHangup],
    // Of use only with a manager that keeps the lines.
    ...(manager.store === undefined
      ? []
      : [["SIGUSR2", () => over.resolve("hand-over")] as const]),
  ] as const;
  for (const [signal, heard] of signals) Deno.addSignalListener(signal, heard);
  let isShutDown = false;
  const unexpected = reportUnexpected((text) => events.problem(text));
  try {
    const { interlocks = [] } = configuration?.first ?? {};
    if (interlocks.length > 0) await reactor.setInterlocks(interlocks);
    const added = await reactor.add(
      aggregators.map((one) => listeners.withInheritedSocket(one)),
      { isTimed, leaves: keptStart.leaves },
    );
    warn(aggregators.flatMap(socketFiles));
    const keeper = await keptCreations(manager.store, settings);
    const restored = await keeper?.restore(reactor) ?? [];
    await reactor.dropUnused();
    if (settings !== undefined) {
      // Loaded only when it is used: an HTTP server takes 8 MB.
      const { ApiServer } = await import("./api/server.ts");
      api = new ApiServer(reactor, settings, {
        ...(reload === undefined ? {} : { reload }),
        takeListener: (name) => listeners.copy(name),
        ...(keeper === undefined ? {} : { keeper }),
        restored,
        report,
        edges,
        archive,
      });
    }
    if (settings !== undefined) {
      const { change: socket, look, creation } = settings;
      warn(apiFiles({
        ...(socket === undefined ? {} : { socket }),
        ...(look === undefined ? {} : { look }),
        sockets: { path: creation.socketDirectory, access: {} },
        ...(creation.qemuSockets === undefined
          ? {}
          : { qemuSockets: creation.qemuSockets }),
      }));
    }
    for (const problem of listeners.closeUnused()) events.problem(problem);
    const served = [...added, ...restored];
    keptStart.end();
    events.ready(served, settings && apiPaths(settings));
    const status = () => formatStatus(count, settings !== undefined);
    manager.ready(status(), () => reactor.describe(""));
    showHealth = () => {
      reactor.pending().then(
        (pending) => manager.status(status() + pendingText(pending)),
        // Its end is reported elsewhere.
        () => {},
      );
    };
    words = settings && ServiceWords.begin({
      directory: settings.creation.socketDirectory,
      look: settings.look?.access,
      describe: () => reactor.describe(),
    });
    if (options.isWarmUp !== true) dropStartUpPages();
    const how = await over.promise;
    manager.stopping();
    showHealth = () => {};
    if (how === "hand-over") {
      // Ends what cannot be kept, such as kernel chips. The rest stays as it
      // is: the kernel closes our copies, and the manager's go to the
      // next process.
      await handOverService({
        endLeases: api && (() => api!.endLeases()),
        handOver: () => reactor.handOver(),
        edgeFile,
        leaveSockets: () => ListenSocket.leaveAll(),
        flush: async () => await events.flush?.(),
        handedOver: options.handedOver,
      });
      Deno.exit(0);
    }
    await api?.[Symbol.asyncDispose]();
    isShutDown = true;
    await declaredState(reactor.shutdown(), reactor.shutdownLimitMs);
  } catch (error) {
    if (keptStart.leaves) {
      await keptStart.leave(reactor, (text) => events.problem(text));
      // Until the end of this process, which is near.
      held.move();
    } else if (!isShutDown) {
      // On any end the lines come first: they go to their declared state.
      await declaredState(reactor.shutdown(), reactor.shutdownLimitMs)
        .catch(() => {});
    }
    throw error;
  } finally {
    words?.[Symbol.dispose]();
    await edgeFile?.close(FILE_LIMIT_MS);
    unexpected.dispose();
    for (const [signal, heard] of signals) {
      Deno.removeSignalListener(signal, heard);
    }
  }
}

/** Store of clients' aggregators, if there is a control API and a manager. */
async function keptCreations(
  store: ManagerFdStore | undefined,
  settings: ApiSettings | undefined,
): Promise<KeptCreations | undefined> {
  if (store === undefined || settings === undefined) return undefined;
  const { KeptCreations } = await import("./api/creations/kept_creations.ts");
  return new KeptCreations(store, settings.creation);
}

/** Returns a service's status text for its manager. */
function formatStatus(
  { aggregators, lines }: ServedCount,
  hasApi: boolean,
): string {
  if (hasApi && aggregators === 0) return "Serving the control API";
  const count = (n: number, what: string) =>
    `${n} ${what}${n === 1 ? "" : "s"}`;
  return `Serving ${count(aggregators, "aggregator")} with ` +
    count(lines, "line") + (hasApi ? ", and the control API" : "");
}

/** Events after which a rule may begin or cease to hold. */
const HEALTH_EVENTS: ReadonlySet<ServiceEvent["event"]> = new Set([
  "fault",
  "enforced",
  "plugged",
]);

/**
 * Returns the text about rules that do not hold, to be appended to the status.
 */
function pendingText(pending: readonly PendingLine[]): string {
  const [first, ...others] = pending;
  if (first === undefined) return "";
  const more = others.length === 0 ? "" : `, and ${others.length} more`;
  return `. RULES NOT IN FORCE: ${first.aggregator}.${first.line} ` +
    `(${first.rule}: ${first.reason})${more}`;
}

/** The reactor, with the manager's listening sockets for aggregators. */
function reloadTarget(
  reactor: AggregatorServer,
  listeners: GivenListeners,
  report: (text: string) => void,
  warn: (files: Iterable<string>) => void,
): ReloadTarget {
  return {
    describe: () => reactor.describe(),
    add: (aggregators, options) => {
      warn(aggregators.flatMap(socketFiles));
      return reactor.add(
        aggregators.map((one) => listeners.withInheritedSocket(one)),
        options,
      );
    },
    remove: (name) =>
      reactor.remove(name).catch((error: unknown) => {
        // It is removed; the next user of its lines waits for them.
        if (!(error instanceof LinesHeldError)) throw error;
        report(error.message);
      }),
    changeRules: (aggregators) => reactor.changeRules(aggregators),
    setInterlocks: (interlocks) => reactor.setInterlocks(interlocks),
  };
}

function apiPaths({ change, look }: ApiSettings): ApiPaths {
  return {
    ...(change === undefined ? {} : { socket: change.path }),
    ...(look === undefined ? {} : { look: look.path }),
  };
}
