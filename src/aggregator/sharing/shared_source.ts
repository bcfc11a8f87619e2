/**
 * A source that several users ask: their operations wait for each other.
 *
 * @module
 */
import type { LineSource, SourceListener } from "../line_source.ts";
import { SourceTurns } from "./source_turns.ts";

/** Common part of shared and combined lines. */
export abstract class SharedSource implements SourceListener {
  /** The source behind all users. */
  protected readonly source: LineSource;
  protected readonly turns: SourceTurns = new SourceTurns();

  /** Stands before `source`. */
  constructor(source: LineSource) {
    this.source = source;
    source.attach(this);
  }

  completed(result: number): void {
    this.turns.completed(result);
  }

  abstract edge(value: number): void;
  abstract presence(isPresent: boolean): void;
  abstract restored(): void;
}
