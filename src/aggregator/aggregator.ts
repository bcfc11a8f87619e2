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
import type { EventLoop } from "../reactor/event_loop.ts";
import { Direction, UNSPECIFIED } from "../virtio/line_port.ts";
import { AggregatorLine, type LineReporter } from "./aggregator_line.ts";
import { Guards } from "./guards.ts";
import type { Interlocks } from "./interlock.ts";
import type { LineDirectory } from "./follow.ts";
import { innermost, type LineSource, SourceOperation } from "./line_source.ts";
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
}

/** Who is told of what the rules of an aggregator's lines did. */
export interface AggregatorReporter extends LineReporter {
  /** A line got its safe value because the guest said nothing for too long. */
  silent(line: AggregatorLine): void;
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

  /** The guest is gone: every line goes where its rule says. */
  guestGone(): void {
    for (const line of this.lines) line.guestGone();
    this.#guards.guestGone();
  }

  [Symbol.dispose](): void {
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
  if (innermost(line.source).isKept === true) {
    // It goes on as it is: nothing changes on its wire.
    if (line.source.direction === Direction.Output) {
      line.source.submit(SourceOperation.Output, UNSPECIFIED);
    }
    return;
  }
  try {
    line.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new Error(`${lineTitle(line.specification)}: ${error.message}`, {
      cause: error,
    });
  }
}
