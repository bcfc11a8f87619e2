/**
 * Lines that lanes have, and who uses them: so that a line that is on its way
 * out is not shared any more, and is waited for by whoever wants it next.
 *
 * @module
 */
import { within } from "./within.ts";

/** How long a slow chip gets to let its lines go. **Units**: milliseconds. */
export const LET_GO_MS = 2000;

/** What a lane says of one of its lines. */
export interface LaneLineTitle {
  name: string;
  description: string;
}

/** Aggregators on their way to the reactor, which may not take them. */
export class Addition {
  readonly #ended = Promise.withResolvers<void>();
  readonly #uses: Use[] = [];
  #isUnderWay = true;

  /** Whether it is not known yet what becomes of them. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Resolves once that is known. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** Lets `owner`, one of them, use a line. */
  use(line: HeldLine, owner: string): void {
    const use: Use = { owner, line, addition: this };
    this.#uses.push(use);
    line.uses.add(use);
  }

  /** They are served, or they are not. */
  end(isServed: boolean): void {
    this.#isUnderWay = false;
    for (const use of isServed ? [] : this.#uses) use.line.uses.delete(use);
    this.#ended.resolve();
  }
}

/** One aggregator's use of a line. */
interface Use {
  readonly owner: string;
  readonly line: HeldLine;
  readonly addition: Addition;
}

/** One line of a lane. */
export class HeldLine {
  /** The host line in words; undefined if its chip was away. */
  readonly place: string | undefined;
  readonly uses = new Set<Use>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #opened = Promise.withResolvers<void>();
  readonly #isShared: boolean;
  #title: LaneLineTitle | undefined;

  /** A line that is about to be opened; `isShared`: for whoever wants it. */
  constructor(place: string | undefined, isShared: boolean) {
    this.place = place;
    this.#isShared = isShared;
  }

  /** What the lane calls it; undefined until it is open. */
  get title(): LaneLineTitle | undefined {
    return this.#title;
  }

  /** Whether another aggregator may use it too. */
  get isJoinable(): boolean {
    return this.#isShared && this.#title !== undefined && this.uses.size > 0;
  }

  /** Resolves once its lane has let it go. */
  get gone(): Promise<void> {
    return this.#gone.promise;
  }

  /** Resolves once it neither comes nor goes; undefined if that is so. */
  get settled(): Promise<void> | undefined {
    if (this.uses.size === 0) return this.#gone.promise;
    return this.#title === undefined
      ? Promise.race([this.#opened.promise, this.#gone.promise])
      : undefined;
  }

  /** Its lane has it. */
  open(title: LaneLineTitle): void {
    this.#title = title;
    this.#opened.resolve();
  }

  /** Its lane does not have it, or not any more. */
  close(): void {
    this.#gone.resolve();
  }
}

/** All lines that lanes of one service have. */
export class HeldLines {
  readonly #lines = new Set<HeldLine>();

  /** Has one more line, until it is closed. */
  add(line: HeldLine): void {
    this.#lines.add(line);
    line.gone.then(() => this.#lines.delete(line));
  }

  /** The line at `place`, if another aggregator may use it too. */
  joinable(place: string | undefined): HeldLine | undefined {
    if (place === undefined) return undefined;
    return [...this.#lines].find((line) =>
      line.place === place && line.isJoinable
    );
  }

  /**
   * Whether a line at one of `places` comes or goes just now: what resolves when
   * that is over, or undefined.
   */
  moving(places: ReadonlySet<string>): Promise<void> | undefined {
    for (const { place, settled } of this.#lines) {
      if (place !== undefined && places.has(place) && settled !== undefined) {
        return settled;
      }
    }
    return undefined;
  }

  /**
   * Ends what the aggregator `owner` uses. Whoever is about to use one of its
   * lines with it is waited for: he counts on it.
   *
   * @returns Lines that nobody uses any more.
   */
  async leave(owner: string): Promise<HeldLine[]> {
    for (;;) {
      const addition = this.#usesOf(owner)
        .flatMap(({ line }) => [...line.uses])
        .find(({ addition }) => addition.isUnderWay)?.addition;
      if (addition === undefined) break;
      // One whose other chip does not answer is not waited for: he has his line.
      if (!await within(addition.ended, LET_GO_MS)) break;
    }
    const left: HeldLine[] = [];
    for (const use of this.#usesOf(owner)) {
      use.line.uses.delete(use);
      if (use.line.uses.size === 0) left.push(use.line);
    }
    return left;
  }

  /** What `owner` uses, without what he is only about to use. */
  #usesOf(owner: string): Use[] {
    return [...this.#lines].flatMap(({ uses }) => [...uses])
      .filter((use) => use.owner === owner && !use.addition.isUnderWay);
  }
}
