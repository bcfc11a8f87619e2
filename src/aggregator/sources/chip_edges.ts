/**
 * The edges of a chip's line: read from the kernel, in order, each once, and
 * those that were missed while it looked away.
 *
 * @module
 */
import type { Value } from "../../line/value.ts";
import { EPOLLERR, EPOLLHUP, EPOLLIN } from "../../../ffi/epoll.ts";
import { EdgeEventBatch, type LineRequest } from "../../gpio/mod.ts";
import { Edges, UNSPECIFIED } from "../../line/port.ts";
import type { EventLoop, TimeShare, Watch } from "../../reactor/event_loop.ts";
import { edgeStamp } from "../../edges/edge_recorder.ts";
import { LostEdges } from "./lost_edges.ts";

/** Receiver of a line's edges. */
interface EdgeListener {
  /** The line changed to `value`, and such edges are wanted. */
  edge(value: number): void;
  /** The line's chip has gone. */
  gone(): void;
}

/**
 * Kernel event buffer size. The uAPI allows 1024, but the kfifo is one
 * contiguous allocation, and 512 events (24 KB) rarely fail.
 */
export const BUFFERED_EVENTS = 512;
const KIND_RISING = 1;
/**
 * Longest delay of the kernel's report of an edge, generously. **Units**: ms.
 */
const LOOK_AGAIN_MS = 30;
/**
 * As many are read at once, some 20 µs with what they lead to; then others have
 * their turn. The kernel keeps the rest.
 */
const EVENTS_PER_READ = 16;
const events = new EdgeEventBatch(EVENTS_PER_READ);
/** Reads that empty the kernel's queue, if nothing is added meanwhile. */
const MAX_READS = BUFFERED_EVENTS / EVENTS_PER_READ;

/** Edges of the request that a line has at a time. */
export class ChipEdges implements Disposable {
  /** The edges that are wanted. */
  wanted: Edges = Edges.None;
  readonly #loop: EventLoop;
  readonly #share: TimeShare | undefined;
  readonly #listener: EdgeListener;
  readonly #lost = new LostEdges();
  #request: LineRequest | undefined;
  #watch: Watch | undefined;
  /** The value that an armed input had when it was last looked at. */
  #seen: number = UNSPECIFIED;

  /** Reports to `listener` from `loop`, in the time of `share` if given. */
  constructor(loop: EventLoop, listener: EdgeListener, share?: TimeShare) {
    this.#loop = loop;
    this.#share = share;
    this.#listener = listener;
  }

  /** Edges that the kernel dropped, its buffer being full, so far. */
  get lost(): number {
    return this.#lost.total;
  }

  /** There is another request; `isKept` if an earlier process had it. */
  begin(request: LineRequest, isKept: boolean): void {
    this.#request = request;
    this.#lost.begin(isKept);
  }

  /** Notes the line's value: a change since then is an edge. */
  look(): void {
    this.#seen = this.#request!.readBit(0);
  }

  /** Reports edges from now on. */
  listen(): void {
    this.#watch ??= this.#loop.watch(
      this.#request!.fd,
      EPOLLIN,
      (ready) => this.#onReady(ready),
      this.#share,
    );
  }

  /**
   * Reports an edge that the kernel missed while it watched for others.
   * Those that it did see come first, so that no edge is reported twice.
   */
  lookAgain(): void {
    const request = this.#request;
    this.#loop.after(LOOK_AGAIN_MS, () => {
      if (this.#request === request && this.wanted !== Edges.None) {
        this.reportMissed();
      }
    });
  }

  /** Reports an edge if the line has another value than at the last look. */
  reportMissed(): void {
    const value = this.#request!.readBit(0);
    const before = this.#seen;
    if (value < 0 || value === before) return;
    this.#seen = value;
    // Where the last look failed, there is nothing that it has changed from.
    if (before >= 0 && this.#isWanted(value)) this.#listener.edge(value);
  }

  /** Drops what the kernel has seen: it must not fire a later interrupt. */
  drain(): void {
    for (let i = 0; i < MAX_READS && this.#read() > 0; i++);
  }

  /**
   * Reports edges that came while no process served the line and lie in the
   * kernel's queue, before any guest can come and ask for newer ones. Newer
   * edges are read once these were reported.
   */
  hearKept(): void {
    const request = this.#request!;
    const kept: { value: Value; stamp: number }[] = [];
    for (let i = 0; i < MAX_READS; i++) {
      const count = this.#read();
      if (count <= 0) break;
      for (let i = 0; i < count; i++) {
        const value = valueAfter(events.kindAt(i));
        kept.push({ value, stamp: Number(events.timestampAt(i)) });
      }
    }
    this.#loop.defer(() => {
      for (const { value, stamp } of kept) {
        if (this.#request !== request) return;
        if (this.#isWanted(value)) this.#tell(value, stamp);
      }
      if (this.#request === request && this.wanted !== Edges.None) {
        this.listen();
      }
    });
  }

  /** Reports no more edges. */
  rest(): void {
    this.#watch?.[Symbol.dispose]();
    this.#watch = undefined;
  }

  /** Lets the request go. **Ownership**: it stays its owner's. */
  [Symbol.dispose](): void {
    this.rest();
    this.#request = undefined;
  }

  #isWanted(value: number): boolean {
    const edge = value === 1 ? Edges.Rising : Edges.Falling;
    return (this.wanted & edge) !== 0;
  }

  #tell(value: number, stamp: number): void {
    edgeStamp[0] = stamp;
    try {
      this.#listener.edge(value);
    } finally {
      edgeStamp[0] = 0;
    }
  }

  /** Reads edges into `events`: how many, or what went wrong. */
  #read(): number {
    const count = this.#request!.readEvents(events);
    this.#lost.note(events, count);
    return count;
  }

  #onReady(ready: number): void {
    const watch = this.#watch;
    const count = this.#read();
    for (let i = 0; i < count; i++) {
      const value = valueAfter(events.kindAt(i));
      this.#seen = value;
      // More may have been asked for when it was queued, by an observer.
      if (!this.#isWanted(value)) continue;
      events.readStamp(i, edgeStamp);
      try {
        this.#listener.edge(value);
      } finally {
        edgeStamp[0] = 0;
      }
      // An edge may make a rule drive or release this very line.
      if (this.#watch !== watch) return;
    }
    // The chip is gone: nothing will ever come, and epoll would never rest.
    if (count < 0 && (ready & (EPOLLHUP | EPOLLERR)) !== 0) {
      this.#listener.gone();
    }
  }
}

function valueAfter(kind: number): Value {
  return kind === KIND_RISING ? 1 : 0;
}
