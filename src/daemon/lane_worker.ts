/**
 * Entry of a lane Worker: opens the lines of one slow chip, then serves them
 * to the reactor until it has closed them all.
 *
 * @module
 */
import { Mapping } from "../../ffi/mapping.ts";
import { AggregatorLine } from "../aggregator/aggregator_line.ts";
import { Lane } from "../aggregator/lane.ts";
import { SourceFactory } from "../aggregator/source_factory.ts";
import type { LineSpecification } from "../config/specification.ts";
import { Reactor } from "../reactor/reactor.ts";
import { FdStore, type KeptFd } from "./fd_store.ts";
import {
  type ErrorReport,
  errorReport,
  type LaneHandover,
} from "./messages.ts";

/** What a lane is started with. */
export interface LaneStart {
  handover: LaneHandover;
  /** In slot order, with the name of the aggregator each belongs to. */
  lines: { specification: LineSpecification; owner: string }[];
  /** The socket of the manager that keeps fds across restarts, if any does. */
  notifySocket?: string;
  /** What an earlier process kept of the lines. **Ownership**: the lane's. */
  kept?: KeptFd[];
}

/** What a lane tells the main isolate. */
export type LaneReport =
  | { kind: "ready"; lines: { name: string; description: string }[] }
  | { kind: "failed"; error: ErrorReport }
  /** The reactor has closed the line of this slot, which is free now. */
  | { kind: "let-go"; slot: number }
  /** What an earlier process kept is of no use, and why. */
  | { kind: "problem"; text: string };

/** The parts of a Worker's global scope that are used here. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<LaneStart>) => void) | null;
  postMessage(report: LaneReport | "closed"): void;
  close(): void;
}

const scope = globalThis as unknown as WorkerScope;

scope.onmessage = ({ data }) => {
  try {
    runLane(data);
  } catch (error) {
    scope.postMessage({ kind: "failed", error: errorReport(error) });
  }
  scope.postMessage("closed");
  scope.close();
};

function runLane({ handover, lines, notifySocket, kept }: LaneStart): void {
  const { memoryFd, memoryBytes, wakeFd, doneFd } = handover;
  using memory = Mapping.map(memoryFd, {
    length: memoryBytes,
    writable: true,
    subject: "lane memory",
  });
  using reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
  });
  using keeper = notifySocket === undefined ? undefined : new FdStore(
    notifySocket,
    (text) => scope.postMessage({ kind: "problem", text }),
  );
  keeper?.offer(kept ?? []);
  const sources = new SourceFactory(reactor, keeper);
  using opened = new DisposableStack();
  let served: AggregatorLine[];
  try {
    served = lines.map(({ specification, owner }) => {
      const source = opened.use(sources.open(specification, owner));
      const line = new AggregatorLine(source.name, specification, source);
      line.start();
      return line;
    });
  } finally {
    keeper?.dropRest();
  }
  opened.move();
  using _lane = new Lane(
    reactor,
    { memory, wakeFd, doneFd },
    served,
    {
      letGo: (slot) => scope.postMessage({ kind: "let-go", slot }),
      empty: () => reactor.stop(),
    },
  );
  scope.postMessage({
    kind: "ready",
    lines: served.map(({ source: { name, description } }) => ({
      name,
      description,
    })),
  });
  reactor.run();
}
