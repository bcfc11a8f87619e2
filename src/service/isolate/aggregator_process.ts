/**
 * The process that serves one aggregator of a service (`isolate: process`). It
 * has a reactor and lanes of its own, and executes the service's commands.
 *
 * It ends when the service dies. If a service manager keeps the lines for the
 * next process, it leaves them as they are; otherwise it first puts them into
 * their declared state.
 *
 * @module
 */
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { dropStartUpPages, returnLargeMemory } from "../../../ffi/memory.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { ManagerFdStore } from "../restart/manager_fd_store.ts";
import { declaredState, ReactorClient } from "../reactor/reactor_client.ts";
import { ChangesOutbox } from "./changes_outbox.ts";
import {
  CALLS,
  type FromProcess,
  packError,
  type ToProcess,
  unpackFds,
} from "./messages.ts";
import { ProcessChannel } from "./process_channel.ts";

/** Signals to the whole group: the service decides what they mean. */
const IGNORED = [
  "SIGTERM",
  "SIGINT",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
] as const;

/**
 * Serves until the service ends.
 *
 * @param socketFd The end of the channel to the service. **Ownership**: taken
 * over.
 * @returns The exit status.
 */
export async function serveIsolated(socketFd: number): Promise<number> {
  for (const signal of IGNORED) Deno.addSignalListener(signal, () => {});
  surviveFileSizeLimit();
  const over = Promise.withResolvers<number>();
  const socket = new OwnedFd(socketFd, "the channel to the service");
  let server: Server | undefined;
  returnLargeMemory();
  const channel = new ProcessChannel(socket, {
    message: (value, fds) => {
      const message = value as ToProcess;
      if (message.kind === "start") {
        Server.start(message, fds[0], tell, over.reject).then(
          (started) => {
            server = started;
            tell({ kind: "ready" });
          },
          over.reject,
        );
      } else if (message.kind === "hand-over") {
        // The guest's next message is for the next process.
        (server?.handOver() ?? Promise.resolve()).catch(() => {})
          .then(() => Deno.exit(0));
      } else if (server === undefined) {
        for (const fd of fds) fd.close();
      } else if (message.kind === "kept") server.offer(message.names, fds);
      else void server.answer(message, fds, tell);
    },
    ended: () => {
      if (server === undefined) over.resolve(0);
      else server.end().then(() => over.resolve(0), over.reject);
    },
  });
  const tell: Tell = (message, sent) => channel.send(message, [], sent);
  return await over.promise;
}

/** Sends a message; `sent` runs once the service has it. */
type Tell = (message: FromProcess, sent?: () => void) => void;

/** The reactor and its channel, for as long as the service lives. */
class Server {
  readonly #reactor: ReactorClient;
  readonly #store: ManagerFdStore | undefined;
  /** Set once the service has requested the lines' declared state. */
  #isShutDown = false;

  private constructor(
    reactor: ReactorClient,
    store: ManagerFdStore | undefined,
  ) {
    this.#reactor = reactor;
    this.#store = store;
  }

  static async start(
    { notifySocket, record }: ToProcess & { kind: "start" },
    recordFd: OwnedFd | undefined,
    tell: Tell,
    crashed: (error: Error) => void,
  ): Promise<Server> {
    using memory = recordFd;
    const problem = (text: string) => tell({ kind: "problem", text });
    const store = notifySocket === undefined
      ? undefined
      : new ManagerFdStore(notifySocket, problem);
    const outbox = new ChangesOutbox((changes, sent) =>
      tell({ kind: "changes", changes }, sent)
    );
    const reactor = await ReactorClient.start(
      {
        service: (event) => tell({ kind: "event", event }),
        changes: (changes) => outbox.add(changes),
        recorded: (lines) => tell({ kind: "recorded", lines }),
        unrecorded: (firstId, count) =>
          tell({ kind: "unrecorded", firstId, count }),
        removedLate: (name) => tell({ kind: "removed-late", name }),
        idle: () => {},
        problem,
        crashed,
      },
      store,
      undefined,
      memory && record && { ...record, fd: memory.fd },
    );
    return new Server(reactor, store);
  }

  /** Receives more fds that an earlier process kept. */
  offer(names: readonly string[], fds: OwnedFd[]): void {
    if (this.#store === undefined) { for (const fd of fds) fd.close(); }
    else this.#store.offer(fds.map((fd, i) => [names[i]!, fd.release()]));
  }

  async answer(
    message: ToProcess & { kind: "call" },
    fds: OwnedFd[],
    tell: (message: FromProcess) => void,
  ): Promise<void> {
    const { id, name, args } = message;
    try {
      if (!CALLS.includes(name)) throw new RangeError(`No command ${name}`);
      const call = this.#reactor[name].bind(this.#reactor) as (
        ...args: unknown[]
      ) => Promise<unknown>;
      const result = await call(...this.#withDescriptors(name, args, fds));
      if (name === "add") dropStartUpPages();
      if (name === "shutdown") this.#isShutDown = true;
      tell({ kind: "done", id, result: result ?? null });
    } catch (error) {
      for (const fd of fds) fd.close();
      tell({ kind: "failed", id, error: packError(error) });
    }
  }

  /** Serves nothing from now on, and leaves all as it is. */
  async handOver(): Promise<void> {
    await this.#reactor.handOver();
  }

  /** The service has ended. */
  async end(): Promise<void> {
    if (this.#store !== undefined || this.#isShutDown) return;
    await declaredState(this.#reactor.shutdown());
  }

  #withDescriptors(name: string, args: unknown[], fds: OwnedFd[]): unknown[] {
    if (name !== "add") return args;
    const [aggregators, ...others] = args;
    return [
      unpackFds(
        aggregators as AggregatorSpecification[],
        fds.splice(0).map((fd) => fd.release()),
      ),
      ...others,
    ];
  }
}
