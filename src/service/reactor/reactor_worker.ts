/**
 * Entry of the reactor Worker: takes one message with the fd of its command
 * socket, then runs its loop until it is shut down.
 *
 * @module
 */
import { readMonotonicNs } from "../../../ffi/clock.ts";
import { EPOLLIN } from "../../../ffi/epoll.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receiveBytes } from "../../../ffi/socket_message.ts";
import { ThreadPriority } from "../../../ffi/thread_priority.ts";
import { EdgeRecorder } from "../../edges/edge_recorder.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { FrameAssembler } from "../messages/command_channel.ts";
import { mapRecord, type RecordMemory } from "../record/record_memory.ts";
import { ManagerFdStore } from "../restart/manager_fd_store.ts";
import {
  type Command,
  errorReport,
  type Report,
} from "../messages/messages.ts";
import { ListenSocket } from "../sockets/listen_socket.ts";
import { CommandQueue, type Steps } from "./command_queue.ts";
import { reportLeaks } from "./leaks.ts";
import { printableError } from "../../text/printable.ts";
import { ReactorHost } from "./reactor_host.ts";

/** First message to a reactor. */
export interface ReactorStart {
  /** **Ownership**: the reactor's. */
  commandFd: number;
  /** Set if another reactor runs in this Worker afterwards. */
  isWarmUp?: boolean;
  /** Socket of the manager that keeps fds across restarts, if any. */
  notifySocket?: string;
  /** Memory for edges; absent: they are not recorded. */
  record?: RecordMemory;
}

/** The parts of a Worker's global scope that are used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ReactorStart>) => void) | null;
  postMessage(report: Report): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = (event) => {
  try {
    runReactor(event.data, (report) => scope.postMessage(report));
  } catch (error) {
    // Deno would write it to standard error first, which may block.
    scope.postMessage({ kind: "crashed", error: errorReport(error) });
  }
  if (event.data.isWarmUp !== true) scope.close();
};

scope.postMessage({ kind: "loaded" });

/** Steps of nice before other threads, where that is allowed. */
const PRIORITY_STEPS = 10;
/** Interval of reports of failures. **Units**: milliseconds. */
const FAILURE_REST_MS = 1000;

/**
 * Waits for the end of the process: what comes from here on is for the next one,
 * and nothing is left half done.
 */
function waitForEnd(): never {
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (;;) Atomics.wait(never, 0, 0);
}

function runReactor(
  { commandFd, notifySocket, record }: ReactorStart,
  tell: (report: Report) => void,
): void {
  let toldAt = -FAILURE_REST_MS;
  const tellFailure = (error: unknown) => {
    const now = performance.now();
    if (now - toldAt < FAILURE_REST_MS) return;
    toldAt = now;
    const text = `internal error in the reactor: ${printableError(error)}`;
    tell({ kind: "problem", text });
  };
  reportLeaks((text) => tell({ kind: "problem", text }));
  const priority = new ThreadPriority();
  using commands = new OwnedFd(commandFd, "command socket");
  using reactor = new Reactor({
    // Not an aggregator's: reported, and all are served on.
    onError: (error) => tellFailure(error),
    setRaised: (isRaised) => priority.set(isRaised ? PRIORITY_STEPS : 0),
  });
  using store = notifySocket === undefined
    ? undefined
    : new ManagerFdStore(notifySocket, (text) =>
      tell({ kind: "problem", text }));
  using memory = record === undefined ? undefined : mapRecord(record);
  using host = new ReactorHost(
    reactor,
    {
      service: (event) => tell({ kind: "event", event }),
      changes: (changes) => tell({ kind: "changes", changes }),
      recorded: (lines) => tell({ kind: "recorded", lines }),
      unrecorded: (firstId, count) =>
        tell({ kind: "unrecorded", firstId, count }),
      idle: () => tell({ kind: "idle" }),
    },
    store,
    memory && record && {
      recorder: new EdgeRecorder(memory.buffer, readMonotonicNs),
      withInputs: record.withInputs,
    },
  );
  const frames = new FrameAssembler();
  const piece = new Uint8Array(64 * 1024);
  let isHandedOver = false;
  const answer = (report: Report) => {
    tell(report);
    if (isHandedOver) waitForEnd();
  };
  // A client that changes much does not delay those that only look.
  const share = reactor.share();
  const partner = () => reactor.share(undefined, { partner: share });
  const questions = new CommandQueue(partner(), obey, answer);
  const changes = new CommandQueue(partner(), obey, answer);
  using _watch = reactor.watch(commands.fd, EPOLLIN, () => {
    const count = receiveBytes(commands.fd, piece);
    if (count < 0) return;
    // The main isolate has ended: so does the reactor, with the lines as
    // declared.
    if (count === 0) return reactor.stop();
    for (const frame of frames.push(piece.subarray(0, count))) {
      (frame.isQuestion ? questions : changes).add(frame);
    }
  }, share);

  function* obey(command: Command): Steps {
    switch (command.kind) {
      case "add": {
        const { aggregators, lanes, isTimed, kept, leaves } = command;
        store?.offer(kept ?? []);
        if (store !== undefined) store.leaves = leaves === true;
        try {
          const isRestart = kept !== undefined && kept.length > 0;
          yield* host.add(aggregators, lanes, isTimed, isRestart);
          if (store !== undefined) store.leaves = false;
          return;
        } finally {
          store?.dropRest();
        }
      }
      case "remove":
        return yield* host.remove(command.name, command.isWhole);
      case "withdraw":
        return yield* host.withdraw(command.name, command.isWhole ?? false);
      case "pending":
        return yield* host.pending();
      case "describe":
        return yield* host.describe(command.name);
      case "pull":
        return yield* host.pull(command.name, command.changes);
      case "play":
        return yield* host.play(command.name, command.play);
      case "force":
        return yield* host.force(command.name, command.force);
      case "observe":
        return yield* host.observe(command.on);
      case "count":
        return yield* host.count();
      case "interlocks":
        return host.setInterlocks(command.interlocks);
      case "rules":
        return yield* host.changeRules(command.aggregators);
      case "taken-over":
        return host.takenOver();
      case "hand-over":
        isHandedOver = true;
        host.handOver();
        return ListenSocket.leaveAll();
      case "shutdown":
        try {
          return host[Symbol.dispose]();
        } finally {
          reactor.stop();
        }
    }
  }
  tell({ kind: "ready" });
  reactor.run();
  // The main isolate is gone in the midst of it: what is half made is undone.
  for (const queue of [questions, changes]) queue.abandon();
}
