/**
 * Lines that lanes hold, and the aggregators that use them. A line that is
 * being released is not shared any more, and its next user waits for it.
 *
 * @module
 */
import { settlesWithin } from "../../async/wait.ts";

/** Time that a slow chip gets to release its lines. **Units**: milliseconds. */
export const LET_GO_MS = 2000;

/**
 * Time that a line which is being opened gets before others request it too: its
 * lane loads a program first, which takes seconds on a slow host. **Units**:
 * milliseconds.
 */
export const OPEN_MS = 10_000;

/** Report of a lane on one of its lines. */
export interface LaneLineTitle {
  name: string;
  description: string;
}

/** Aggregators on their way to the reactor, which may reject them. */
export class PendingAdd {
  readonly #ended = Promise.withResolvers<void>();
  readonly #uses: LineUse[] = [];
  #isUnderWay = true;

  /** True until the outcome is known. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Resolves once the outcome is known. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Lets `owner`, one of them, use a line. */
  use(line: HeldLine, owner: string): void {
    const use: LineUse = { owner, line, addition: this };
    this.#uses.push(use);
    line.uses.add(use);
  }

  /** Settles the outcome: they are served, or not. */
  end(isServed: boolean): void {
    this.#isUnderWay = false;
    for (const use of isServed ? [] : this.#uses) use.line.uses.delete(use);
    this.#ended.resolve();
  }
}

/** One aggregator's use of a line. */
interface LineUse {
  readonly owner: string;
  readonly line: HeldLine;
  readonly addition: PendingAdd;
}

/** One line of a lane. */
export class HeldLine {
  /** The host line as text; undefined if its chip was absent. */
  readonly hostLine: string | undefined;
  readonly uses = new Set<LineUse>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #isShared: boolean;
  #title: LaneLineTitle | undefined;

  /** A line that is about to be opened; `isShared`: for all users. */
  constructor(hostLine: string | undefined, isShared: boolean) {
    this.hostLine = hostLine;
    this.#isShared = isShared;
  }

  /** Name of the line within its lane; undefined until it is open. */
  get title(): LaneLineTitle | undefined {
    return this.#title;
  }

  /** True if another aggregator may use it too. */
  get isJoinable(): boolean {
    return this.#isShared && this.#title !== undefined && this.isUsed;
  }

  /** False if it is being released, or has been. */
  get isUsed(): boolean {
    return this.uses.size > 0;
  }

  /** Resolves once its lane has released it. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /**
   * Resolves once it is neither being opened nor released; undefined if so now.
   */
  get settled(): Promise<void> | undefined {
    if (!this.isUsed) return this.#gone.promise;
    return this.#title === undefined
      ? Promise.race([this.#opened.promise, this.#gone.promise])
      : undefined;
  }

  /** Its lane has opened it. */
  open(title: LaneLineTitle): void {
    this.#title = title;
    this.#opened.resolve();
  }

  /** Its lane does not hold it, or not any more. */
  close(): void {
    this.#gone.resolve();
  }
}

/** All lines that lanes of one service have. */
export class HeldLines {
  readonly #lines = new Set<HeldLine>();

  /** Adds a line, until it is closed. */
  add(line: HeldLine): void {
    this.#lines.add(line);
    line.gone.then(() => this.#lines.delete(line));
  }

  /** Returns the line at `hostLine` if another aggregator may use it too. */
  joinable(hostLine: string | undefined): HeldLine | undefined {
    if (hostLine === undefined) return undefined;
    return [...this.#lines].find((line) =>
      line.hostLine === hostLine && line.isJoinable
    );
  }

  /** Returns a line at one of `hostLines` that is being opened or released. */
  moving(hostLines: ReadonlySet<string>): HeldLine | undefined {
    for (const line of this.#lines) {
      const { hostLine, settled } = line;
      if (
        hostLine !== undefined && hostLines.has(hostLine) &&
        settled !== undefined
      ) {
        return line;
      }
    }
    return undefined;
  }

  /**
   * Ends the uses of aggregator `owner`. Waits for pending additions that share
   * one of its lines.
   *
   * @returns Lines that are not in use any more.
   */
  async leave(owner: string): Promise<HeldLine[]> {
    for (;;) {
      const addition = this.#findUses(owner)
        .flatMap(({ line }) => [...line.uses])
        .find(({ addition }) => addition.isUnderWay)?.addition;
      if (addition === undefined) break;
      // An addition is not waited for if only its other chip does not answer:
      // this line is settled.
      if (!await settlesWithin(addition.ended, LET_GO_MS)) break;
    }
    const left: HeldLine[] = [];
    for (const use of this.#findUses(owner)) {
      use.line.uses.delete(use);
      if (use.line.uses.size === 0) left.push(use.line);
    }
    return left;
  }

  /** Uses of `owner`, without those of pending additions. */
  #findUses(owner: string): LineUse[] {
    return [...this.#lines].flatMap(({ uses }) => [...uses])
      .filter((use) => use.owner === owner && !use.addition.isUnderWay);
  }
}
