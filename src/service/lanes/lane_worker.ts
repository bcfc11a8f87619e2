/**
 * Entry of a lane Worker: opens the lines of one slow chip, then serves them
 * to the reactor until it has closed them all.
 *
 * @module
 */
import { Mapping } from "../../../ffi/mapping.ts";
import { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { LaneSlot } from "../../aggregator/lane/lane_memory.ts";
import { takeUp } from "../../aggregator/lane/lost_lane.ts";
import { Lane } from "../../aggregator/lane/lane.ts";
import { SourceFactory } from "../../aggregator/sources/source_factory.ts";
import type { LineSpecification } from "../../config/specification.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { printableError } from "../../text/printable.ts";
import { type KeptFd, ManagerFdStore } from "../restart/manager_fd_store.ts";
import {
  type ErrorReport,
  errorReport,
  type LaneHandover,
} from "../messages/messages.ts";

/** One line of a lane. */
export interface LaneStartLine {
  specification: LineSpecification;
  /** The aggregator that it belongs to. */
  owner: string;
  slot: number;
}

/** First message to a lane. */
export interface LaneStart {
  handover: LaneHandover;
  lines: LaneStartLine[];
  /** Set if it replaces a lane that has failed. */
  isSecond?: boolean;
  /** Socket of the manager that keeps fds across restarts, if any. */
  notifySocket?: string;
  /**
   * Fds of the lines that an earlier process kept. **Ownership**: the lane's.
   */
  kept?: KeptFd[];
  /** If its lines cannot be opened, leave them as they are. */
  leaves?: boolean;
}

/** Reports of a lane to the main isolate. */
export type LaneReport =
  | { kind: "ready"; lines: { name: string; description: string }[] }
  | { kind: "failed"; error: ErrorReport }
  /** The reactor has closed the line of this slot, which is free now. */
  | { kind: "let-go"; slot: number }
  /** A kept fd cannot be used, with the reason. */
  | { kind: "problem"; text: string }
  | { kind: "fault"; text: string };

/** The parts of a Worker's global scope that are used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<LaneStart>) => void) | null;
  postMessage(report: LaneReport | "closed"): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }) => {
  try {
    runLane(data, (report) => scope.postMessage(report));
  } catch (error) {
    scope.postMessage({ kind: "failed", error: errorReport(error) });
  }
  scope.postMessage("closed");
  scope.close();
};

/**
 * Opens the lines of a lane and serves them until the reactor has closed all.
 *
 * @throws {Error} If they cannot be opened or served; they are let go in the
 * state that their rules declare.
 */
export function runLane(
  { handover, lines, notifySocket, kept, isSecond, leaves }: LaneStart,
  tell: (report: LaneReport) => void,
): void {
  const { memoryFd, memoryBytes, wakeFd, doneFd } = handover;
  using memory = Mapping.map(memoryFd, {
    length: memoryBytes,
    writable: true,
    subject: "lane memory",
  });
  const fault = (text: string) => tell({ kind: "fault", text });
  // An exception in a handler ends one line; the others are served on.
  using reactor = new Reactor({
    onError: (error) =>
      fault(`internal error in a lane: ${printableError(error)}`),
  });
  using store = notifySocket === undefined ? undefined : new ManagerFdStore(
    notifySocket,
    (text) => tell({ kind: "problem", text }),
  );
  store?.offer(kept ?? []);
  if (store !== undefined) store.leaves = leaves === true;
  const sources = new SourceFactory(reactor, store);
  using opened = new DisposableStack();
  let served: AggregatorLine[];
  try {
    served = lines.map(({ specification, owner, slot }) => {
      const source = sources.open(specification, owner);
      const line = new AggregatorLine(
        source.name,
        specification,
        source,
        reactor,
      );
      // Falls back to the state that its rules declare.
      if (store?.leaves !== true) opened.use(line);
      const isTakenUp = isSecond === true &&
        takeUp(new LaneSlot(memory.buffer, slot), source);
      if (!isTakenUp) line.start();
      return line;
    });
  } finally {
    store?.dropRest();
  }
  if (store !== undefined) store.leaves = false;
  using _lane = new Lane(
    reactor,
    { memory, wakeFd, doneFd },
    served,
    {
      letGo: (slot) => tell({ kind: "let-go", slot }),
      empty: () => reactor.stop(),
      lineBroke: (name, error) =>
        fault(`${name}: internal error: ${printableError(error)}`),
    },
    lines.map(({ slot }) => slot),
  );
  // They are the lane's from here on.
  opened.move();
  tell({
    kind: "ready",
    lines: served.map(({ source: { name, description } }) => ({
      name,
      description,
    })),
  });
  reactor.run();
}
