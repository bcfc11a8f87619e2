/**
 * Queue of lines for an output that may be slow, full or gone. The writer
 * neither waits for the output nor fails because of it.
 *
 * @module
 */

/** Accepts bytes, with a delay; rejects with the reason if it cannot. */
export interface LineSink {
  /** Returns the number of accepted bytes. */
  write(bytes: Uint8Array): Promise<number>;
}

/** Settings of a {@linkcode LineQueue}; the defaults are a service's. */
interface LineQueueOptions {
  /** Returns the line that reports the number of lost lines. */
  lost: (count: number) => string;
  /** Size limit of waiting lines. **Units**: bytes. */
  maxBytes?: number;
  /** First and longest pause after a failure. **Units**: milliseconds. */
  retryMs?: { first: number; most: number };
}

const MAX_BYTES = 256 * 1024;
const RETRY_MS = { first: 20, most: 1000 };
/** Size that a pipe accepts whole or not at all. */
const PIPE_BUF = 4096;

/**
 * A bounded queue of lines for one sink. A write that hangs occupies only a
 * thread of the runtime's pool; one that fails is retried, since a full disk
 * may have space later. Lines that do not fit are counted, and the count is
 * written in their place.
 */
export class LineQueue {
  readonly #sink: LineSink;
  readonly #options: Required<LineQueueOptions>;
  #lines: Uint8Array[] = [];
  #bytes = 0;
  #lost = 0;
  #lostInAll = 0;
  #accepted = 0;
  #isWriting = false;
  /** The reader has ended permanently. */
  #isGone = false;
  #idle = Promise.withResolvers<void>();

  /** Makes an empty queue. */
  constructor(sink: LineSink, options: LineQueueOptions) {
    this.#sink = sink;
    this.#options = { maxBytes: MAX_BYTES, retryMs: RETRY_MS, ...options };
  }

  /** Number of lines that were never written. */
  get lost(): number {
    return this.#lostInAll;
  }

  /** Bytes of all lines that it has had, those that report lost ones too. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Adds a line, without its line feed. Never throws, never waits. */
  push(line: string): void {
    if (this.#isGone) return;
    const bytes = encoder.encode(`${line}\n`);
    // A line that is larger than the queue is written if it is alone.
    if (
      this.#bytes > 0 && this.#bytes + bytes.length > this.#options.maxBytes
    ) {
      this.#lost++;
      this.#lostInAll++;
      return;
    }
    this.#tellLost();
    this.#add(bytes);
    if (!this.#isWriting) void this.#writeAll();
  }

  /**
   * Waits until all is written, or for `limitMs` at most.
   *
   * @returns True if all is written.
   */
  async flush(limitMs: number): Promise<boolean> {
    if (!this.#isWriting) return this.#bytes === 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, limitMs);
    });
    await Promise.race([this.#idle.promise, limit]);
    clearTimeout(timer);
    return this.#bytes === 0;
  }

  #add(bytes: Uint8Array): void {
    this.#lines.push(bytes);
    this.#bytes += bytes.length;
    this.#accepted += bytes.length;
  }

  #tellLost(): void {
    if (this.#lost === 0) return;
    this.#add(encoder.encode(`${this.#options.lost(this.#lost)}\n`));
    this.#lost = 0;
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    this.#idle = Promise.withResolvers();
    const { first, most } = this.#options.retryMs;
    let pauseMs = first;
    while (this.#lines.length > 0) {
      try {
        await this.#writeSome();
        pauseMs = first;
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) {
          this.#giveUp();
          break;
        }
        await pause(pauseMs);
        pauseMs = Math.min(2 * pauseMs, most);
      }
      if (this.#lines.length === 0) this.#tellLost();
    }
    this.#isWriting = false;
    this.#idle.resolve();
  }

  /** Writes whole lines at once, as many as a pipe does not split. */
  async #writeSome(): Promise<void> {
    let count = 1;
    let length = this.#lines[0]!.length;
    while (count < this.#lines.length) {
      const more = this.#lines[count]!.length;
      if (length + more > PIPE_BUF) break;
      length += more;
      count++;
    }
    const batch = new Uint8Array(length);
    let at = 0;
    for (const line of this.#lines.splice(0, count)) {
      batch.set(line, at);
      at += line.length;
    }
    // Joined again: what was not accepted is written next.
    this.#lines.unshift(batch);
    const taken = await this.#sink.write(batch);
    if (taken <= 0) throw new Deno.errors.WriteZero("nothing was taken");
    this.#bytes -= taken;
    if (taken === length) this.#lines.shift();
    else this.#lines[0] = batch.subarray(taken);
  }

  #giveUp(): void {
    this.#isGone = true;
    this.#lines = [];
    this.#bytes = 0;
  }
}

const encoder = new TextEncoder();

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    // A process does not stay alive for lines that it cannot write.
    Deno.unrefTimer(setTimeout(resolve, ms));
  });
}
