/**
 * The reactor's side of lines that a lane serves.
 *
 * @module
 */
import { EPOLLET, EPOLLIN } from "../../../ffi/epoll.ts";
import { signalFd } from "../../../ffi/event_fd.ts";
import type { Mapping } from "../../../ffi/mapping.ts";
import type { EventLoop, Watch } from "../../reactor/event_loop.ts";
import {
  type Direction,
  type Edges,
  FAILED,
  PENDING,
} from "../../line/port.ts";
import {
  LaneClosing,
  laneMemoryBytes,
  LaneSlot,
  SlotState,
} from "./lane_memory.ts";
import type {
  LineSource,
  SourceListener,
  SourceOperation,
} from "../line_source.ts";

/** Connection of the reactor to one lane. All fds stay their owners'. */
export interface LaneConnection {
  /** The shared slots. **Ownership**: the maker's of the mapping. */
  memory: Mapping;
  /** Signalled when there is something to do for the lane. */
  wakeFd: number;
  /** Signalled by the lane when there is something to see. */
  doneFd: number;
}

/**
 * The lines of one lane; receives for all of them while any is open.
 *
 * **Ownership**: owns its mapping of the shared memory, until it is complete
 * and the last line is closed.
 */
export class LaneEndpoint {
  readonly #connection: LaneConnection;
  readonly #lines = new Set<LaneSource>();
  /** Slots that were not asked for. */
  readonly #unopened: Set<number>;
  readonly #watch: Watch;
  #isComplete = false;

  /** Listens to the lane in `loop`, in a share of its time. */
  constructor(loop: EventLoop, connection: LaneConnection) {
    this.#connection = connection;
    const slots = Math.floor(connection.memory.length / laneMemoryBytes(1));
    this.#unopened = new Set(Array.from({ length: slots }, (_, slot) => slot));
    this.#watch = loop.watch(
      connection.doneFd,
      EPOLLIN | EPOLLET,
      () => this.#look(),
      loop.share(),
    );
  }

  /** The line in slot `index`; each is asked for once. */
  open(index: number, name: string, description: string): LineSource {
    const { memory, wakeFd } = this.#connection;
    const slot = new LaneSlot(memory.buffer, index);
    const line = new LaneSource(
      slot,
      wakeFd,
      name,
      description,
      () => this.#close(line, slot),
    );
    this.#lines.add(line);
    this.#unopened.delete(index);
    return line;
  }

  /** No more will be asked for: lets those go that were not asked for. */
  complete(): void {
    if (this.#isComplete) return;
    this.#isComplete = true;
    const slots = [...this.#unopened];
    this.#letGo(
      slots.map((slot) => new LaneSlot(this.#connection.memory.buffer, slot)),
      LaneClosing.Unused,
    );
  }

  #look(): void {
    const thrown: unknown[] = [];
    for (const line of this.#lines) {
      try {
        line.look();
      } catch (error) {
        thrown.push(error);
      }
    }
    // Reported by the loop, once the other lines' answers are taken.
    if (thrown.length > 0) throw thrown[0];
  }

  #close(line: LaneSource, slot: LaneSlot): void {
    if (this.#lines.delete(line)) this.#letGo([slot], LaneClosing.Served);
  }

  #letGo(slots: readonly LaneSlot[], how: number): void {
    const { memory, wakeFd } = this.#connection;
    const isOver = this.#isComplete && this.#lines.size === 0;
    // Before the lane is notified: its fds are closed after its last line.
    if (isOver) this.#watch[Symbol.dispose]();
    for (const slot of slots) slot.set("closing", how);
    if (slots.length > 0) signalFd(wakeFd);
    if (isOver) memory[Symbol.dispose]();
  }
}

/** One line of a lane: every operation is answered later. */
class LaneSource implements LineSource {
  readonly name: string;
  readonly description: string;
  #slot: LaneSlot;
  readonly #wakeFd: number;
  readonly #onDispose: () => void;
  #listener: SourceListener | undefined;
  #rises = 0;
  #falls = 0;
  #merged = 0;
  #wasAbsent: boolean;
  #isClosed = false;

  constructor(
    slot: LaneSlot,
    wakeFd: number,
    name: string,
    description: string,
    onDispose: () => void,
  ) {
    this.#slot = slot;
    this.#wakeFd = wakeFd;
    this.name = name;
    this.description = description;
    this.#onDispose = onDispose;
    this.#wasAbsent = this.isAbsent;
  }

  get isAbsent(): boolean {
    return this.#slot.get("absent") === 1;
  }

  get isKept(): boolean {
    return this.#slot.get("kept") === 1;
  }

  get keptEdges(): Edges {
    return this.#slot.get("keptEdges") as Edges;
  }

  get errno(): number {
    return this.#slot.get("errno");
  }

  get isUsedAsInterrupt(): boolean {
    return this.#slot.get("interrupt") === 1;
  }

  get isUnstarted(): boolean {
    return this.#slot.get("unstarted") === 1;
  }

  get lostEdges(): number {
    return this.#slot.get("lost");
  }

  get mergedEdges(): number {
    return this.#merged;
  }

  get direction(): Direction {
    return this.#slot.get("direction") as Direction;
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  submit(operation: SourceOperation, argument: number): number {
    const slot = this.#slot;
    slot.set("operation", operation);
    slot.set("argument", argument);
    slot.set("state", SlotState.Asked);
    // Nothing serves it: the one that lost the lane answers it, or we do.
    if (
      slot.get("unserved") === 1 &&
      slot.exchange("state", SlotState.Asked, SlotState.Idle)
    ) return FAILED;
    return signalFd(this.#wakeFd) ? PENDING : FAILED;
  }

  peek(): number {
    return this.#slot.get("value");
  }

  remember(operation: SourceOperation, argument: number): void {
    if (this.#isClosed) return;
    const slot = this.#slot;
    slot.set("rememberOperation", operation);
    slot.set("rememberArgument", argument);
    slot.set("remember", 1);
    signalFd(this.#wakeFd);
  }

  /** Looks for an answer and for edges since the last look. */
  look(): void {
    const slot = this.#slot;
    const rises = slot.get("rises");
    const falls = slot.get("falls");
    const last = slot.get("lastEdge");
    const rose = rises !== this.#rises;
    const fell = falls !== this.#falls;
    if (rose) this.#merged += (rises - this.#rises - 1) >>> 0;
    if (fell) this.#merged += (falls - this.#falls - 1) >>> 0;
    this.#rises = rises;
    this.#falls = falls;
    // The device latches one edge at most, so one of each kind suffices.
    if (last === 1 ? fell : rose) this.#listener?.edge(1 - last);
    if (last === 1 ? rose : fell) this.#listener?.edge(last);
    if (slot.get("state") === SlotState.Answered) {
      slot.set("state", SlotState.Idle);
      this.#listener?.completed(slot.get("result"));
    }
    const { isAbsent } = this;
    if (isAbsent !== this.#wasAbsent) {
      this.#wasAbsent = isAbsent;
      this.#listener?.presence(!isAbsent);
    }
  }

  /**
   * Closes the line. Whatever asks for it afterwards finds it as it was, and
   * served by nothing: the memory and the fds may be others' by then.
   */
  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener = undefined;
    this.#slot = this.#slot.copy();
    this.#slot.set("unserved", 1);
    this.#onDispose();
  }
}
