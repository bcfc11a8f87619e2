/**
 * Simulated lines: a pin that the guest may drive and that the outside pulls,
 * so that everything runs on a machine without GPIO.
 *
 * @module
 */
import type { LineSpecification } from "../../config/specification.ts";
import type { Value } from "../../line/value.ts";
import type { EventLoop, Timer } from "../../reactor/event_loop.ts";
import { Direction, Edges, FAILED, UNSPECIFIED } from "../../line/port.ts";
import { levelOfValue, valueOfLevel } from "../level.ts";
import {
  type LineSource,
  type SourceListener,
  SourceOperation,
} from "../line_source.ts";

/**
 * One simulated pin. The outside pulls it (`pull`), weakly: a driven output
 * wins, an input or an open-drain output that is let go follows the pull.
 */
export class SimLine implements LineSource {
  readonly description: string;
  readonly name = "";
  readonly #activeLow: boolean;
  readonly #drive: NonNullable<LineSpecification["drive"]>;
  readonly #debounceMs: number;
  readonly #loop: EventLoop;
  #direction: Direction = Direction.Input;
  #edges: Edges = Edges.None;
  #driven: Value = 0;
  #pull: Value;
  /** Value of an input: the pin's level, after debouncing. */
  #settled: Value;
  #settling: Timer | undefined;
  #listener: SourceListener | undefined;

  /** Makes the pin as an input, pulled as `bias` says (low without one). */
  constructor(specification: LineSpecification, loop: EventLoop) {
    this.description = `simulated line ${specification.name ?? ""}`.trim();
    this.#activeLow = specification.activeLow;
    this.#drive = specification.drive ?? "push-pull";
    this.#debounceMs = specification.debounceUs / 1000;
    this.#loop = loop;
    this.#pull = specification.bias === "pull-up" ? 1 : 0;
    this.#settled = this.#pull;
  }

  get direction(): Direction {
    return this.#direction;
  }

  /** The level that the outside pulls the pin to. */
  get pulled(): Value {
    return this.#pull;
  }

  /** The level of the pin as a probe on it would show. */
  get level(): Value {
    return this.isDriven
      ? levelOfValue(this.#driven, this.#activeLow)
      : this.#pull;
  }

  /** True while the pin is driven, so that a pull has no effect on its level. */
  get isDriven(): boolean {
    if (this.#direction !== Direction.Output) return false;
    const level = levelOfValue(this.#driven, this.#activeLow);
    const released = this.#drive === "open-drain"
      ? 1
      : this.#drive === "open-source"
      ? 0
      : undefined;
    return level !== released;
  }

  attach(listener: SourceListener): void {
    this.#listener = listener;
  }

  /** Returns the level that means a value. */
  levelFor(value: Value): Value {
    return levelOfValue(value, this.#activeLow);
  }

  /** Pulls the pin from the outside, as a switch or sensor on it would. */
  pull(level: Value): void {
    this.#pull = level;
    this.#levelChanged();
  }

  submit(operation: SourceOperation, argument: number): number {
    switch (operation) {
      case SourceOperation.GetValue:
        return this.peek();
      case SourceOperation.SetValue:
        if (this.#direction !== Direction.Output) return FAILED;
        this.#driven = argument as Value;
        return 0;
      case SourceOperation.Output:
        // Taken over without a glitch: an unspecified value keeps the level.
        this.#driven = argument === UNSPECIFIED
          ? valueOfLevel(this.level, this.#activeLow)
          : argument as Value;
        this.#direction = Direction.Output;
        this.#edges = Edges.None;
        return 0;
      case SourceOperation.Input:
        if (this.#direction !== Direction.Input) {
          this.#direction = Direction.Input;
          this.#settled = this.level;
        }
        return 0;
      case SourceOperation.SetEdges:
        if (this.#direction !== Direction.Input) return FAILED;
        this.#edges = argument as Edges;
        return 0;
      case SourceOperation.Deactivate:
        this.#edges = Edges.None;
        return 0;
      case SourceOperation.Release:
        this.#edges = Edges.None;
        return this.submit(SourceOperation.Input, 0);
    }
  }

  get shown(): Value {
    return this.peek();
  }

  peek(): Value {
    return valueOfLevel(
      this.#direction === Direction.Input ? this.#settled : this.level,
      this.#activeLow,
    );
  }

  [Symbol.dispose](): void {
    this.#settling?.[Symbol.dispose]();
  }

  #levelChanged(): void {
    if (this.#direction !== Direction.Input) return;
    this.#settling?.[Symbol.dispose]();
    this.#settling = undefined;
    if (this.level === this.#settled) return;
    if (this.#debounceMs === 0) this.#settle();
    else {
      this.#settling = this.#loop.after(
        this.#debounceMs,
        () => this.#settle(),
      );
    }
  }

  #settle(): void {
    this.#settling = undefined;
    if (this.#direction !== Direction.Input) return;
    const level = this.level;
    if (level === this.#settled) return;
    this.#settled = level;
    const value = valueOfLevel(level, this.#activeLow);
    const wanted = value === 1 ? Edges.Rising : Edges.Falling;
    if ((this.#edges & wanted) !== 0) this.#listener?.edge(value);
    else this.#listener?.moved?.(value);
  }
}
