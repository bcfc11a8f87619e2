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
import { EdgeRecorder } from "../../edges/edge_recorder.ts";
import { abandon } from "../../reactor/pieces.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { FrameAssembler } from "../messages/command_channel.ts";
import { mapRecord, type RecordMemory } from "../record/record_memory.ts";
import { ManagerFdStore } from "../restart/manager_fd_store.ts";
import {
  type Answer,
  type Command,
  type CommandFrame,
  errorReport,
  type Report,
} from "../messages/messages.ts";
import { reportLeaks } from "./leaks.ts";
import { printableError } from "../../text/printable.ts";
import { ReactorHost } from "./reactor_host.ts";

/** First message to a reactor. */
export interface ReactorStart {
  /** **Ownership**: the reactor's. */
  commandFd: number;
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
  scope.close();
};

/** Pieces of a command, some of which are parts of its answer. */
type Steps = Generator<Answer | void, void>;

const NOTHING: Answer = { aggregators: [] };
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
  using commands = new OwnedFd(commandFd, "command socket");
  using reactor = new Reactor({
    // Not an aggregator's: reported, and all are served on.
    onError: (error) => tellFailure(error),
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
  const share = reactor.share();
  const waiting: CommandFrame[] = [];
  let current: { id: number; parts: Steps } | undefined;
  let isPutOff = false;
  let isHandedOver = false;
  using _watch = reactor.watch(commands.fd, EPOLLIN, () => {
    const count = receiveBytes(commands.fd, piece);
    if (count < 0) return;
    // The main isolate has ended: so does the reactor, with the lines as
    // declared.
    if (count === 0) return reactor.stop();
    for (const frame of frames.push(piece.subarray(0, count))) {
      waiting.push(frame);
    }
    if (!isPutOff) serve();
  }, share);

  /** Executes commands one after another while the share has time left. */
  function serve(): void {
    isPutOff = false;
    while (serveOne()) {
      if (!share.isSpent) continue;
      isPutOff = true;
      share.defer(serve);
      return;
    }
  }

  /** Executes a piece of a command; false if there is none. */
  function serveOne(): boolean {
    if (current === undefined) {
      const next = waiting.shift();
      if (next === undefined) return false;
      current = { id: next.id, parts: obey(next.command) };
    }
    const { id, parts } = current;
    try {
      const { done, value } = parts.next();
      if (done === true) current = undefined;
      if (done === true) tell({ kind: "done", id, ...NOTHING });
      if (isHandedOver) waitForEnd();
      else if (value !== undefined) tell({ kind: "part", id, ...value });
    } catch (error) {
      current = undefined;
      tell({ kind: "failed", id, error: errorReport(error) });
    }
    return true;
  }

  function* obey(command: Command): Steps {
    switch (command.kind) {
      case "add": {
        const { aggregators, lanes, isTimed, kept } = command;
        store?.offer(kept ?? []);
        try {
          const isRestart = kept !== undefined && kept.length > 0;
          return yield* host.add(aggregators, lanes, isTimed, isRestart);
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
        return yield host.play(command.name, command.play);
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
        return;
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
  if (current !== undefined) abandon(current.parts);
}
