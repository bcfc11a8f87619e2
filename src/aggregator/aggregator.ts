/**
 * The aggregator: one synthetic controller made of lines from anywhere.
 *
 * @module
 */
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../config/specification.ts";
import { lineTitle } from "../config/specification.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import type { EventLoop, Timer } from "../reactor/event_loop.ts";
import { AggregatorLine, type LineReporter } from "./aggregator_line.ts";
import { type FdKeeper, guestFdName } from "./fd_keeper.ts";
import { Guards } from "./guards.ts";
import type { Interlocks } from "./interlock.ts";
import type { LineDirectory } from "./follow.ts";
import type { LineSource } from "./line_source.ts";
import { guestNames } from "./names.ts";

/** Opens the source of one line. @throws If it cannot be had. */
export type SourceOpener = (specification: LineSpecification) => LineSource;

/** What an aggregator finds around it. */
export interface AggregatorContext {
  loop: EventLoop;
  openSource: SourceOpener;
  /** Where its lines can be followed. */
  directory: LineDirectory;
  /** The interlocks that its lines are in. */
  interlocks: Interlocks;
  /** Told of what the rules did. */
  reporter: AggregatorReporter;
  /** Keeps across a restart of this process that a guest was served. */
  keeper?: FdKeeper | undefined;
}

/** How long the guest of an earlier process has to come back. */
const RETURN_LIMIT_MS = 60_000;

/** Who is told of what the rules of an aggregator's lines did. */
export interface AggregatorReporter extends LineReporter {
  /** A line got its safe value because the guest said nothing for too long. */
  silent(line: AggregatorLine): void;
  /** The guest of an earlier process did not come back. */
  notBack(limitMs: number): void;
}

/**
 * An ordered set of lines with names and rules.
 *
 * **Ownership**: owns its lines; disposing applies their rules for a missing
 * guest and lets the host lines go.
 */
export class Aggregator implements Disposable {
  readonly name: string;
  /** In lineNumber order. */
  readonly lines: readonly AggregatorLine[];
  readonly #context: AggregatorContext;
  readonly #guards: Guards;
  /** Whether it is kept that a guest is served. */
  #isGuestKept = false;
  /** Waits for the guest of an earlier process. */
  #wait: Timer | undefined;

  private constructor(
    name: string,
    lines: readonly AggregatorLine[],
    context: AggregatorContext,
  ) {
    this.name = name;
    this.lines = lines;
    this.#context = context;
    const { loop, reporter } = context;
    this.#guards = new Guards(lines, loop, (line) => reporter.silent(line));
    this.#guards.update();
    this.#awaitGuest();
  }

  /**
   * Takes all lines, names them, and puts each where its specification starts
   * it. When one cannot be had, none is kept.
   *
   * @throws {ConfigError} If two lines ask for one name.
   * @throws {Error} If a line cannot be had; the message quotes its SPEC.
   */
  static open(
    { name: aggregator, lines: specifications }: AggregatorSpecification,
    context: AggregatorContext,
  ): Aggregator {
    const { openSource, directory, interlocks, reporter } = context;
    using opened = new DisposableStack();
    const sources = specifications.map((line) => opened.use(openSource(line)));
    const names = guestNames(specifications.map((line, i) => ({
      line,
      own: sources[i]!.name,
    })));
    const lines = specifications.map((line, i) =>
      new AggregatorLine(names[i]!, line, sources[i]!)
    );
    opened.defer(() => interlocks.remove(aggregator));
    interlocks.add(aggregator, lines);
    for (const line of lines) {
      line.reporter = reporter;
      start(line);
    }
    opened.move();
    directory.add(aggregator, lines);
    return new Aggregator(aggregator, lines, context);
  }

  /**
   * Has other rules from now on: one specification per line, in order.
   *
   * @throws {Error} If a lane would go on with the old ones.
   */
  changeRules(specifications: readonly LineSpecification[]): void {
    for (const [i, { specification }] of this.lines.entries()) {
      const next = specifications[i]!;
      const isOwn = next.safe === specification.safe &&
        next.onDisconnect === specification.onDisconnect;
      if (specification.source.kind === "lane" && !isOwn) {
        throw new Error(
          `${lineTitle(next)}: safe and on-disconnect cannot change while ` +
            `the chip's own thread has the line`,
        );
      }
    }
    for (const [i, line] of this.lines.entries()) {
      line.changeRules(specifications[i]!);
    }
    this.#guards.update();
  }

  /** The line with this guest-visible name or lineNumber, if there is one. */
  find(nameOrNumber: string): AggregatorLine | undefined {
    return this.lines.find((line) => line.name === nameOrNumber) ??
      (/^\d+$/.test(nameOrNumber)
        ? this.lines[Number(nameOrNumber)]
        : undefined);
  }

  /** Whether the guest of an earlier process may yet come back. */
  get awaitsGuest(): boolean {
    return this.#wait !== undefined;
  }

  /** A guest is served from now on. */
  guestBegan(): void {
    this.#endWait();
    const { keeper } = this.#context;
    if (keeper === undefined || this.#isGuestKept) return;
    const name = guestFdName(this.name);
    using marker = createMemFd(name, 1, { seal: true });
    keeper.keep(name, marker.fd);
    this.#isGuestKept = true;
  }

  /** The guest is gone: every line goes where its rule says. */
  guestGone(): void {
    this.#endWait();
    if (this.#isGuestKept) this.#context.keeper?.drop(guestFdName(this.name));
    this.#isGuestKept = false;
    for (const line of this.lines) line.guestGone();
    this.#guards.guestGone();
  }

  /**
   * A guest that was served when this process was restarted holds its lines as
   * they are: it is not gone. Its VMM connects again, or it is gone after all.
   */
  #awaitGuest(): void {
    const { keeper, loop, reporter } = this.#context;
    const markers = keeper?.take(guestFdName(this.name)) ?? [];
    if (markers.length === 0) return;
    for (const marker of markers) marker.close();
    this.#isGuestKept = true;
    this.#guards.awaitGuest();
    this.#wait = loop.after(RETURN_LIMIT_MS, () => {
      this.guestGone();
      reporter.notBack(RETURN_LIMIT_MS);
    });
  }

  #endWait(): void {
    this.#wait?.[Symbol.dispose]();
    this.#wait = undefined;
  }

  [Symbol.dispose](): void {
    this.#endWait();
    if (this.#isGuestKept) this.#context.keeper?.drop(guestFdName(this.name));
    this.#guards[Symbol.dispose]();
    this.#context.directory.remove(this.name);
    for (const line of this.lines) line[Symbol.dispose]();
    this.#context.interlocks.remove(this.name);
  }
}

function start(line: AggregatorLine): void {
  const { source, combine } = line.specification;
  // A lane has started its lines before it handed them over.
  if (source.kind === "lane" && combine === undefined) return;
  try {
    line.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(`${lineTitle(line.specification)}: ${error.message}`, {
      cause: error,
    });
  }
}
