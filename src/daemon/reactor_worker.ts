/**
 * Entry of the reactor Worker: takes one message with the fd of its command
 * socket, then runs its loop until it is told to shut down.
 *
 * @module
 */
import { EPOLLIN } from "../../ffi/epoll.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { receive } from "../../ffi/unix_socket.ts";
import { Reactor } from "../reactor/reactor.ts";
import { FrameAssembler } from "./command_channel.ts";
import { FdStore } from "./fd_store.ts";
import {
  type Answer,
  type Command,
  errorReport,
  type Report,
} from "./messages.ts";
import { ReactorHost } from "./reactor_host.ts";

/** What a reactor is started with. */
export interface ReactorStart {
  /** **Ownership**: the reactor's. */
  commandFd: number;
  /** The socket of the manager that keeps fds across restarts, if any does. */
  notifySocket?: string;
}

/** The parts of a Worker's global scope that are used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ReactorStart>) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = (event) => {
  runReactor(event.data, (report) => scope.postMessage(report));
  scope.close();
};

function runReactor(
  { commandFd, notifySocket }: ReactorStart,
  tell: (report: Report) => void,
): void {
  using commands = new OwnedFd(commandFd, "command socket");
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
  });
  using keeper = notifySocket === undefined
    ? undefined
    : new FdStore(notifySocket, (text) => tell({ kind: "problem", text }));
  using host = new ReactorHost(reactor, {
    service: (event) => tell({ kind: "event", event }),
    changes: (changes) => tell({ kind: "changes", changes }),
    idle: () => tell({ kind: "idle" }),
  }, keeper);
  const frames = new FrameAssembler();
  const piece = new Uint8Array(64 * 1024);
  using _watch = reactor.watch(commands.fd, EPOLLIN, () => {
    const count = receive(commands.fd, piece, []);
    if (count < 0) return;
    // The main isolate is gone: so are we, with the lines in order.
    if (count === 0) return reactor.stop();
    for (const { id, command } of frames.push(piece.subarray(0, count))) {
      try {
        tell({ kind: "done", id, ...obey(command) });
      } catch (error) {
        tell({ kind: "failed", id, error: errorReport(error) });
      }
    }
  });

  function obey(command: Command): Answer {
    switch (command.kind) {
      case "add": {
        const { aggregators, lanes, isTimed, kept } = command;
        keeper?.offer(kept ?? []);
        try {
          return { aggregators: host.add(aggregators, lanes, isTimed) };
        } finally {
          keeper?.dropRest();
        }
      }
      case "remove":
        return { aggregators: host.remove(command.name, command.isWhole) };
      case "describe":
        return command.name === undefined
          ? host.describeAll(command.after)
          : { aggregators: host.describe(command.name) };
      case "pull":
        return { aggregators: [host.pull(command.name, command.changes)] };
      case "observe":
        host.observe(command.on);
        return { aggregators: [] };
      case "count":
        return { aggregators: [], ...host.countAll(command.after) };
      case "interlocks":
        host.setInterlocks(command.interlocks);
        return { aggregators: [] };
      case "rules":
        return { aggregators: host.changeRules(command.aggregators) };
      case "taken-over":
        host.takenOver();
        return { aggregators: [] };
      case "shutdown":
        host[Symbol.dispose]();
        reactor.stop();
        return { aggregators: [] };
    }
  }

  tell({ kind: "ready" });
  reactor.run();
}
