/**
 * The lane's side: runs the operations of a slow chip's lines, each of which
 * may take milliseconds, in a thread that keeps nobody else waiting.
 *
 * @module
 */
import { EPOLLET, EPOLLIN } from "../../ffi/epoll.ts";
import { signalFd } from "../../ffi/event_fd.ts";
import type { EventLoop, Watch } from "../reactor/event_loop.ts";
import type { AggregatorLine } from "./aggregator_line.ts";
import type { LaneConnection } from "./lane_line.ts";
import { LaneSlot, SlotState } from "./lane_memory.ts";
import { Edges, FAILED, UNSPECIFIED } from "../virtio/line_port.ts";
import { type SourceListener, SourceOperation } from "./line_source.ts";

/** What a lane tells of itself. */
export interface LaneEvents {
  /** The reactor has closed the line of this slot, which is free now. */
  letGo(slot: number): void;
  /** That was the last one. */
  empty(): void;
}

/** Serves the slots of one lane. **Ownership**: owns its lines. */
export class Lane implements Disposable {
  readonly #lines: LaneServedLine[];
  readonly #watch: Watch;
  readonly #events: LaneEvents;

  /** Serves `lines`, in slot order, until the reactor has closed all of them. */
  constructor(
    loop: EventLoop,
    connection: LaneConnection,
    lines: readonly AggregatorLine[],
    events: LaneEvents,
  ) {
    this.#events = events;
    this.#lines = lines.map((line, index) =>
      new LaneServedLine(
        line,
        new LaneSlot(connection.memory.buffer, index),
        connection.doneFd,
      )
    );
    this.#watch = loop.watch(
      connection.wakeFd,
      EPOLLIN | EPOLLET,
      () => this.#serve(),
    );
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    for (const line of this.#lines) line.close();
  }

  #serve(): void {
    for (let slot = 0; slot < this.#lines.length; slot++) {
      const line = this.#lines[slot]!;
      if (line.isClosed) continue;
      line.serve();
      // Each at once: the others may take their time.
      if (line.isClosed) this.#events.letGo(slot);
    }
    if (this.#lines.every((line) => line.isClosed)) this.#events.empty();
  }
}

class LaneServedLine implements SourceListener {
  isClosed = false;
  readonly #line: AggregatorLine;
  readonly #slot: LaneSlot;
  readonly #doneFd: number;

  constructor(line: AggregatorLine, slot: LaneSlot, doneFd: number) {
    this.#line = line;
    this.#slot = slot;
    this.#doneFd = doneFd;
    line.source.attach(this);
    slot.set("value", line.source.peek());
    slot.set("direction", line.source.direction);
    slot.set("absent", line.source.isAbsent === true ? 1 : 0);
    slot.set("kept", line.source.isKept === true ? 1 : 0);
    slot.set("keptEdges", line.source.keptEdges ?? Edges.None);
  }

  serve(): void {
    const slot = this.#slot;
    if (slot.get("remember") === 1) {
      slot.set("remember", 0);
      this.#line.source.remember?.(
        slot.get("rememberOperation") as SourceOperation,
        slot.get("rememberArgument"),
      );
    }
    if (slot.get("state") === SlotState.Asked) {
      const operation = slot.get("operation") as SourceOperation;
      const argument = slot.get("argument");
      const { source } = this.#line;
      const result = source.submit(operation, argument);
      slot.set("value", valueAfter(operation, argument, result));
      slot.set("direction", source.direction);
      slot.set("result", result);
      slot.set("state", SlotState.Answered);
      signalFd(this.#doneFd);
    }
    if (slot.get("closing") === 1) this.close();
  }

  completed(): void {
    // A lane's own sources answer at once.
  }

  edge(value: number): void {
    this.#slot.set("value", value);
    this.#slot.set("lastEdge", value);
    this.#slot.set("lost", this.#line.source.lostEdges ?? 0);
    this.#slot.count(value === 1 ? "rises" : "falls");
    signalFd(this.#doneFd);
  }

  presence(isPresent: boolean): void {
    const slot = this.#slot;
    const { source } = this.#line;
    slot.set("value", isPresent ? source.peek() : FAILED);
    slot.set("direction", source.direction);
    slot.set("absent", isPresent ? 0 : 1);
    signalFd(this.#doneFd);
  }

  restored(): void {
    // A lane has chip lines only, which tell of their chip's presence.
  }

  /** Applies the line's rule for a missing guest and lets it go. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#line[Symbol.dispose]();
  }
}

/** What is known of a line's value without another slow look at it. */
function valueAfter(
  operation: SourceOperation,
  argument: number,
  result: number,
): number {
  if (result < 0) return FAILED;
  if (operation === SourceOperation.GetValue) return result;
  const isDriven = operation === SourceOperation.SetValue ||
    operation === SourceOperation.Output;
  return isDriven && argument !== UNSPECIFIED ? argument : FAILED;
}
