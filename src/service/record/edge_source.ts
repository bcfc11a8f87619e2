/**
 * The record of one reactor: its ring of edges, and the lines that the ids in it
 * stand for.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import type { Mapping } from "../../../ffi/mapping.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { EdgeReader, ringBytes } from "../../edges/edge_ring.ts";
import type { LineState } from "../../edges/record.ts";
import type { RecordedLines } from "../messages/messages.ts";
import { mapRecord, type RecordMemory } from "./record_memory.ts";

/** Names that are kept of lines that ended, for the edges that remain. */
const MAX_ENDED_LINES = 100_000;

/** One line of a record. */
export interface RecordedLine {
  readonly aggregator: string;
  readonly lineNumber: number;
  /** Name; its number if it has none. */
  readonly title: string;
  /** State at the beginning. */
  readonly first: LineState;
}

/** Lines with ids in a row. Times are nanoseconds, monotonic. */
export interface RecordedBlock {
  readonly lines: readonly RecordedLine[];
  readonly firstId: number;
  /** Time from which on they have been recorded. */
  readonly begin: number;
  /** Time of their end; undefined while they are there. */
  readonly end: number | undefined;
}

interface Block extends RecordedBlock {
  end: number | undefined;
  /** Number of the next edge when they ended. */
  endedAt: number | undefined;
}

/** The record of one reactor. **Ownership**: of its memory. */
export class EdgeSource {
  /** Number among the sources of a service, never used again. */
  readonly serial: number;
  readonly #file: OwnedFd;
  readonly #bytes: number;
  readonly #withInputs: boolean;
  readonly #mapping: Mapping;
  readonly #reader: EdgeReader;
  readonly #onClosed: () => void;
  /** By first id, ascending. */
  readonly #blocks: Block[] = [];
  #endedLines = 0;
  #isClosed = false;

  /**
   * Makes room for `keep` edges.
   *
   * @throws {OsError} If there is no memory or no fd for it.
   */
  constructor(
    serial: number,
    keep: number,
    withInputs: boolean,
    onClosed: () => void,
  ) {
    this.serial = serial;
    this.#bytes = ringBytes(keep);
    this.#withInputs = withInputs;
    this.#onClosed = onClosed;
    this.#file = createMemFd("gpioagg edges", this.#bytes, { seal: true });
    try {
      this.#mapping = mapRecord(this.memory);
    } catch (error) {
      this.#file.close();
      throw error;
    }
    this.#reader = new EdgeReader(this.#mapping.buffer);
  }

  /** Memory for its reactor. **Ownership**: the fd is lent. */
  get memory(): RecordMemory {
    return {
      fd: this.#file.fd,
      bytes: this.#bytes,
      withInputs: this.#withInputs,
    };
  }

  /** Its edges; none once its memory is free. */
  get reader(): EdgeReader | undefined {
    return this.#mapping.disposed ? undefined : this.#reader;
  }

  /** All lines that it has names of. */
  get blocks(): readonly RecordedBlock[] {
    return this.#blocks;
  }

  /** The line of an id; undefined if it is not known (yet, or any more). */
  findLine(id: number): RecordedLine | undefined {
    const block = this.#findBlock(id);
    return block?.lines[id - block.firstId];
  }

  /** Returns true for an id that will be known: its report is on its way. */
  isToCome(id: number): boolean {
    const last = this.#blocks.at(-1);
    return last === undefined || id >= last.firstId + last.lines.length;
  }

  /** Edges of these lines are recorded. */
  began(
    { aggregator, firstLine, firstId, names, states, time }: RecordedLines,
  ): void {
    if (!this.isToCome(firstId)) return;
    // Their end is reported with the time at which it came here.
    for (const block of this.#blocks) {
      const isBefore = block.end !== undefined && block.end > time &&
        block.lines[0]?.aggregator === aggregator;
      if (isBefore) block.end = time;
    }
    this.#blocks.push({
      firstId,
      begin: time,
      end: undefined,
      endedAt: undefined,
      lines: names.map((name, i) => ({
        aggregator,
        lineNumber: firstLine + i,
        title: name === "" ? String(firstLine + i) : name,
        first: states[i] ?? 0,
      })),
    });
  }

  /** Edges of so many lines are not recorded any more. */
  ended(firstId: number, count: number): void {
    const { head } = this.#reader;
    const now = Number(clockNs("monotonic"));
    for (const block of this.#blocks) {
      const { firstId: id, lines, endedAt } = block;
      if (endedAt !== undefined || id < firstId || id >= firstId + count) {
        continue;
      }
      block.endedAt = head;
      block.end = now;
      this.#endedLines += lines.length;
    }
    this.#forget();
  }

  /** None of its lines is recorded any more: its process has ended. */
  allEnded(): void {
    this.ended(0, Infinity);
  }

  /** Its reactor has ended for good; what it has can be read on. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.allEnded();
    this.#file.close();
    this.#onClosed();
  }

  /** Frees its memory. */
  [Symbol.dispose](): void {
    if (!this.#isClosed) this.#file.close();
    this.#isClosed = true;
    this.#mapping[Symbol.dispose]();
  }

  /** Forgets the names of lines that no edge is left of, or that are too many. */
  #forget(): void {
    const { tail } = this.#reader;
    for (let i = 0; i < this.#blocks.length;) {
      const { endedAt, lines } = this.#blocks[i]!;
      const isNeeded = endedAt === undefined ||
        endedAt > tail && this.#endedLines <= MAX_ENDED_LINES;
      if (isNeeded) i++;
      else {
        this.#endedLines -= lines.length;
        this.#blocks.splice(i, 1);
      }
    }
  }

  #findBlock(id: number): Block | undefined {
    let low = 0;
    let high = this.#blocks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const { firstId, lines } = this.#blocks[middle]!;
      if (id < firstId) high = middle;
      else if (id >= firstId + lines.length) low = middle + 1;
      else return this.#blocks[middle];
    }
    return undefined;
  }
}
