/**
 * The lane's side: runs the operations of a slow chip's lines, each of which
 * may take milliseconds, in a thread that keeps no other waiting.
 *
 * @module
 */
import { EPOLLET, EPOLLIN } from "../../../ffi/epoll.ts";
import { EIO } from "../../../ffi/errno.ts";
import { signalFd } from "../../../ffi/event_fd.ts";
import type { EventLoop, Timer, Watch } from "../../reactor/event_loop.ts";
import type { AggregatorLine } from "../aggregator_line.ts";
import type { LaneConnection } from "./lane_line.ts";
import { LaneClosing, LaneSlot, SlotState } from "./lane_memory.ts";
import { noteUse } from "./lost_lane.ts";
import { Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import { type SourceListener, SourceOperation } from "../line_source.ts";

/** Reports of a lane. */
interface LaneEvents {
  /** The reactor has closed the line of this slot, which is free now. */
  letGo(slot: number): void;
  /** That was the last one. */
  empty(): void;
  /** A line threw: what was asked of it has failed, the others go on. */
  lineBroke(name: string, error: unknown): void;
}

/** Longest retry of the rules of a line that was never used. **Units**: ms. */
const UNUSED_LIMIT_MS = 5000;
/** Interval at which such a line is looked at. **Units**: milliseconds. */
const UNUSED_LOOK_MS = 20;

/** Serves the slots of one lane. **Ownership**: owns its lines. */
export class Lane implements Disposable {
  readonly #lines: LaneLine[];
  readonly #watch: Watch;
  readonly #events: LaneEvents;

  /**
   * Serves `lines` until the reactor has closed all of them.
   *
   * @param slots The slot of each; absent: all slots in order.
   */
  constructor(
    loop: EventLoop,
    connection: LaneConnection,
    lines: readonly AggregatorLine[],
    events: LaneEvents,
    slots: readonly number[] = lines.map((_, slot) => slot),
  ) {
    this.#events = events;
    this.#lines = lines.map((line, i) =>
      new LaneLine(
        line,
        new LaneSlot(connection.memory.buffer, slots[i]!),
        connection.doneFd,
        loop,
        () => this.#closed(slots[i]!),
      )
    );
    // One that takes the place of another: its lines are there again.
    signalFd(connection.doneFd);
    this.#watch = loop.watch(
      connection.wakeFd,
      EPOLLIN | EPOLLET,
      () => this.#serve(),
    );
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    // One that throws is let go as it is, and the others are closed.
    for (const line of this.#lines) line.end();
  }

  #serve(): void {
    for (const line of this.#lines) {
      if (line.isClosed) continue;
      try {
        line.serve();
      } catch (error) {
        line.fail();
        this.#events.lineBroke(line.description, error);
      }
    }
  }

  /** Reported at once for each line: the others may take their time. */
  #closed(slot: number): void {
    this.#events.letGo(slot);
    if (this.#lines.every((line) => line.isClosed)) this.#events.empty();
  }
}

class LaneLine implements SourceListener {
  isClosed = false;
  readonly #line: AggregatorLine;
  readonly #slot: LaneSlot;
  readonly #doneFd: number;
  readonly #loop: EventLoop;
  readonly #onClosed: () => void;
  #isEnding = false;
  #ending: Timer | undefined;

  constructor(
    line: AggregatorLine,
    slot: LaneSlot,
    doneFd: number,
    loop: EventLoop,
    onClosed: () => void,
  ) {
    this.#line = line;
    this.#slot = slot;
    this.#doneFd = doneFd;
    this.#loop = loop;
    this.#onClosed = onClosed;
    line.source.attach(this);
    slot.set("value", line.source.peek());
    slot.set("direction", line.source.direction);
    slot.set("absent", line.source.isAbsent === true ? 1 : 0);
    slot.set("kept", line.source.isKept === true ? 1 : 0);
    slot.set("keptEdges", line.source.keptEdges ?? Edges.None);
    this.#showInterrupt();
    // Another lane was here before: the line goes on, its start is the lane's.
    const isFirst = slot.get("unserved") === 0;
    slot.set("unstarted", isFirst && line.handStartOver() ? 1 : 0);
    slot.set("unserved", 0);
  }

  /** Name in messages. */
  get description(): string {
    return this.#line.source.description;
  }

  /** Answers that what is asked has failed: nothing may wait for it for ever. */
  fail(): void {
    const slot = this.#slot;
    if (slot.get("state") !== SlotState.Asked) return;
    slot.set("value", FAILED);
    slot.set("errno", EIO);
    slot.set("result", FAILED);
    slot.set("state", SlotState.Answered);
    signalFd(this.#doneFd);
  }

  serve(): void {
    const slot = this.#slot;
    if (slot.get("remember") === 1) {
      slot.set("remember", 0);
      const operation = slot.get("rememberOperation") as SourceOperation;
      const argument = slot.get("rememberArgument");
      noteUse(slot, operation, argument);
      this.#line.source.remember?.(operation, argument);
    }
    if (slot.get("state") === SlotState.Asked) {
      const operation = slot.get("operation") as SourceOperation;
      const argument = slot.get("argument");
      const { source } = this.#line;
      const result = source.submit(operation, argument);
      slot.set("value", valueAfter(operation, argument, result));
      slot.set("direction", source.direction);
      if (result === FAILED) slot.set("errno", source.errno ?? 0);
      else noteUse(slot, operation, argument);
      slot.set("result", result);
      slot.set("state", SlotState.Answered);
      signalFd(this.#doneFd);
    }
    const closing = slot.get("closing");
    if (closing === LaneClosing.Served) this.#end();
    else if (closing === LaneClosing.Unused && !this.#isEnding) {
      this.#isEnding = true;
      this.#line.withdraw();
      this.#endOnceSafe(UNUSED_LIMIT_MS);
    }
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
    this.#showInterrupt();
    signalFd(this.#doneFd);
  }

  restored(): void {
    // A lane has chip lines only, which tell of their chip's presence.
  }

  /** Applies the line's rule for a missing guest and lets it go. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#ending?.[Symbol.dispose]();
    this.#line[Symbol.dispose]();
  }

  /** Closes the line even if its rule throws. */
  end(): void {
    try {
      this.close();
    } catch {
      // The lane ends by an exception already, which is reported.
      this.#line.drop();
    }
  }

  #showInterrupt(): void {
    const isUsed = this.#line.source.isUsedAsInterrupt === true;
    this.#slot.set("interrupt", isUsed ? 1 : 0);
  }

  #end(): void {
    this.close();
    this.#onClosed();
  }

  /** Closes the line when its rules hold, or after so long. */
  #endOnceSafe(leftMs: number): void {
    if (this.#line.unsafe?.isRetried !== true || leftMs <= 0) {
      return this.#end();
    }
    this.#ending = this.#loop.after(
      UNUSED_LOOK_MS,
      () => this.#endOnceSafe(leftMs - UNUSED_LOOK_MS),
    );
  }
}

/** Returns what is known of a line's value without another slow look at it. */
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
