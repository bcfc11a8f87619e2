/**
 * The aggregator: one synthetic controller made of lines from anywhere.
 *
 * @module
 */
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../config/specification.ts";
import { AggregatorLine, startLine } from "./aggregator_line.ts";
import type { LineSource } from "./line_source.ts";
import { guestNames } from "./names.ts";

/** Opens the source of one line. @throws If it cannot be had. */
export type SourceOpener = (specification: LineSpecification) => LineSource;

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

  private constructor(name: string, lines: readonly AggregatorLine[]) {
    this.name = name;
    this.lines = lines;
  }

  /**
   * Takes all lines, names them, and puts each where its specification starts
   * it. When one cannot be had, none is kept.
   *
   * @throws {ConfigError} If two lines ask for one name.
   * @throws {Error} If a line cannot be had; the message quotes its SPEC.
   */
  static open(
    specification: AggregatorSpecification,
    openSource: SourceOpener,
  ): Aggregator {
    using opened = new DisposableStack();
    const sources = specification.lines.map((line) =>
      opened.use(openSource(line))
    );
    const names = guestNames(specification.lines.map((line, i) => ({
      origin: line.origin,
      asked: line.name,
      own: sources[i]!.name,
    })));
    const lines = specification.lines.map((line, i) =>
      new AggregatorLine(names[i]!, line, sources[i]!)
    );
    for (const line of lines) {
      // A lane has started its lines before it handed them over.
      if (line.specification.source.kind !== "lane") startLine(line);
    }
    opened.move();
    return new Aggregator(specification.name, lines);
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
  }

  [Symbol.dispose](): void {
    for (const line of this.lines) line[Symbol.dispose]();
  }
}
