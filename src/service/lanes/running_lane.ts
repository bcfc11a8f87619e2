/**
 * One lane, seen from the main isolate: its Worker, and the one that takes its
 * place when it dies.
 *
 * A Worker that dies costs its own lines only: they fail as if their chip were
 * away, go where their rules say (the dying lane sees to that), and are taken up
 * again by the next Worker, which is started with back-off.
 *
 * @module
 */
import { createEventFd, signalFd } from "../../../ffi/event_fd.ts";
import { Mapping } from "../../../ffi/mapping.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import {
  LaneClosing,
  laneMemoryBytes,
  LaneSlot,
} from "../../aggregator/lane/lane_memory.ts";
import { isSlotClosing, loseSlots } from "../../aggregator/lane/lost_lane.ts";
import { sleep } from "../../async/wait.ts";
import { printable } from "../../text/printable.ts";
import { type LaneHandover, toError } from "../messages/messages.ts";
import type { HeldLine, LaneLineTitle } from "./held_lines.ts";
import type { LaneReport, LaneStart, LaneStartLine } from "./lane_worker.ts";

/** First and longest time until a dead Worker is replaced. **Units**: ms. */
const FIRST_REST_MS = 100;
const MAX_REST_MS = 30_000;
/** A Worker that lived so long has not died of its start. **Units**: ms. */
const LASTING_MS = 60_000;
/** Interval of looks for lines that the reactor closes meanwhile. */
const LOOK_MS = 20;

/** Receiver of what lanes tell. */
export interface LaneEvents {
  /** The lane that serves lines of `owners` has died, or its successor has. */
  lost(owners: readonly string[], text: string): void;
  /** A line threw, and the others are served on. */
  fault(text: string): void;
  /** An fd of an earlier process cannot be used. */
  problem(text: string): void;
}

/** Needs of a lane. */
interface LanePlan {
  /** Program of the Worker. */
  readonly program: URL;
  /** The lines, in slot order. */
  readonly lines: readonly HeldLine[];
  readonly start: Omit<LaneStart, "handover" | "isSecond">;
}

/** A lane that runs, or is about to run again. */
export class RunningLane {
  readonly handover: LaneHandover;
  readonly #plan: LanePlan;
  readonly #events: LaneEvents;
  readonly #fds: DisposableStack;
  readonly #over = Promise.withResolvers<void>();
  #isOver = false;
  #isServed = false;
  #restMs = FIRST_REST_MS;
  #isTold = false;

  private constructor(
    handover: LaneHandover,
    fds: DisposableStack,
    plan: LanePlan,
    events: LaneEvents,
  ) {
    this.handover = handover;
    this.#fds = fds;
    this.#plan = plan;
    this.#events = events;
  }

  /** Makes what the lane and the reactor share; it runs once it is started. */
  static create(plan: LanePlan, events: LaneEvents): RunningLane {
    using fds = new DisposableStack();
    const memoryBytes = laneMemoryBytes(plan.lines.length);
    const handover: LaneHandover = {
      memoryFd: fds.use(createMemFd("lane", memoryBytes)).fd,
      memoryBytes,
      wakeFd: fds.use(createEventFd()).fd,
      doneFd: fds.use(createEventFd()).fd,
    };
    return new RunningLane(handover, fds.move(), plan, events);
  }

  /** Resolves when it has let all its lines go. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  /** True once it has let all its lines go. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Starts the first Worker, and opens the lines.
   *
   * @throws {Error} If a line cannot be had. The lane is over then.
   */
  async start(): Promise<void> {
    const { lines, start } = this.#plan;
    const titles = await this.#run({ ...start, handover: this.handover });
    this.#isServed = true;
    for (const [slot, line] of lines.entries()) line.open(titles[slot]!);
  }

  /** Lets go all lines that the reactor has not taken over. */
  abandon(): void {
    // One that is over has closed its lines; its fds may be others' by now.
    if (this.#isOver) return;
    using memory = this.#map();
    for (const [slot] of this.#plan.lines.entries()) {
      new LaneSlot(memory.buffer, slot).set("closing", LaneClosing.Unused);
    }
    signalFd(this.handover.wakeFd);
  }

  /** Runs a Worker; resolves once it has opened its lines. */
  #run(start: LaneStart): Promise<LaneLineTitle[]> {
    const { lines, program } = this.#plan;
    const worker = new Worker(program, { type: "module", name: "lane" });
    const opened = Promise.withResolvers<LaneLineTitle[]>();
    let failure: Error | undefined;
    let readyAt: number | undefined;
    const died = (error: Error) => {
      worker.terminate();
      if (readyAt === undefined) {
        if (start.isSecond !== true) this.#end();
        opened.reject(error);
        return;
      }
      if (performance.now() - readyAt >= LASTING_MS) {
        this.#restMs = FIRST_REST_MS;
      }
      this.#lose(error);
    };
    worker.onmessage = ({ data }: MessageEvent<LaneReport | "closed">) => {
      if (data === "closed") {
        if (failure === undefined) this.#end();
        else died(failure);
      } else if (data.kind === "let-go") lines[data.slot]?.close();
      else if (data.kind === "problem") this.#events.problem(data.text);
      else if (data.kind === "fault") this.#events.fault(data.text);
      else if (data.kind === "ready") {
        readyAt = performance.now();
        opened.resolve(data.lines);
      } else failure = toError(data.error);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      died(new Error(event.message));
    };
    worker.postMessage(start);
    return opened.promise;
  }

  /** The Worker is dead: its lines fail, until another one serves them. */
  #lose(error: Error): void {
    {
      using memory = this.#map();
      loseSlots(memory.buffer, this.#plan.lines.length);
    }
    signalFd(this.handover.doneFd);
    this.#tellLoss(error);
    void this.#replace();
  }

  /** Reported once until another one serves the lines. */
  #tellLoss(error: Error): void {
    if (this.#isTold) return;
    this.#isTold = true;
    const { lines, start } = this.#plan;
    const owners = new Set(
      lines.flatMap(({ uses }) => [...uses].map(({ owner }) => owner)),
    );
    const [first] = start.lines;
    const more = lines.length > 1 ? ` and ${lines.length - 1} more` : "";
    this.#events.lost(
      [...owners],
      `the lane of ${
        lines[0]?.hostLine ?? first?.specification.origin
      }${more} ` +
        `has ended: ${printable(error.message, 512)}; its lines fail until ` +
        `another one serves them, which is tried with back-off`,
    );
  }

  /** Starts Workers until one serves the lines, or none is wanted any more. */
  async #replace(): Promise<void> {
    while (!await this.#rest()) {
      const wanted = this.#wanted();
      if (wanted.length === 0) break;
      const { kept: _, ...start } = this.#plan.start;
      try {
        await this.#run({
          ...start,
          lines: wanted,
          handover: this.handover,
          isSecond: true,
        });
        this.#isTold = false;
        return;
      } catch (error) {
        this.#tellLoss(error as Error);
      }
    }
    this.#end();
  }

  /** Waits before the next attempt; true if no line is wanted any more. */
  async #rest(): Promise<boolean> {
    const end = performance.now() + this.#restMs;
    this.#restMs = Math.min(2 * this.#restMs, MAX_REST_MS);
    while (performance.now() < end) {
      if (this.#wanted().length === 0) return true;
      await sleep(LOOK_MS);
    }
    return false;
  }

  /** The lines that the reactor has not closed; the others are free. */
  #wanted(): LaneStartLine[] {
    const { lines, start } = this.#plan;
    using memory = this.#map();
    return start.lines.filter(({ slot }) => {
      if (!isSlotClosing(memory.buffer, slot)) return true;
      lines[slot]!.close();
      return false;
    });
  }

  #map(): Mapping {
    const { memoryFd, memoryBytes } = this.handover;
    return Mapping.map(memoryFd, {
      length: memoryBytes,
      writable: true,
      subject: "lane memory",
    });
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const line of this.#plan.lines) line.close();
    this.#fds.dispose();
    this.#over.resolve();
  }
}
