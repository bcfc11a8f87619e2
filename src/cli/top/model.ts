/**
 * State of `gpioagg top`: what the service reported and the keys chose. Pure;
 * times come from outside.
 *
 * @module
 */
import type { Edge } from "../../client/edges.ts";
import type { AggregatorState, Line } from "../../client/protocol.ts";
import { nearbyStep } from "./steps.ts";
import type { SignalValue } from "../../recording/recording.ts";
import type { LiveEvent } from "../live/edge_source.ts";
import { displayName } from "../live/line_names.ts";
import { lineKey } from "../live/selection.ts";
import type { Key } from "./keys.ts";
import { LineWave } from "./wave.ts";

/** Messages that are kept. */
const KEPT_MESSAGES = 100;
const FIRST_WINDOW_MS = 10_000;
/** Longest filter. **Units**: characters. */
const MAX_FILTER = 100;

/** A line, as it is shown. */
export interface TopLine {
  readonly aggregator: string;
  readonly lineNumber: number;
  readonly name: string;
  readonly isSimulated: boolean;
  direction: "input" | "output";
  wave: LineWave;
  /** Number of changes since the beginning. */
  changes: number;
  /** Cause of the last change; empty without one. */
  cause: string;
  /** Time of the last change; undefined without one. **Units**: ms since 1970. */
  sinceMs: number | undefined;
  /** The line as the service described it last: source, rules, interlocks. */
  line: Line;
}

/** An aggregator, as it is shown. */
export interface TopAggregator {
  readonly name: string;
  isConnected: boolean;
  /** Set for a chip of the kernel, whose values are not known. */
  readonly isKernelChip: boolean;
  readonly lines: readonly TopLine[];
}

/** Something to be done for a key. */
export type TopAction =
  | { readonly kind: "quit" }
  | { readonly kind: "save" }
  | {
    readonly kind: "pull" | "pulse";
    readonly aggregator: string;
    readonly line: string;
    /** Level of a pull, or of a pulse until its end. */
    readonly level: 0 | 1;
  };

/** Chosen by keys. */
interface TopView {
  /** Time that the waves show. **Units**: milliseconds. */
  windowMs: number;
  /** Time at which the view stands still; undefined: it is live. */
  pausedMs: number | undefined;
  filter: string;
  isFiltering: boolean;
  /** True if lines are sorted by their last change. */
  isByChange: boolean;
  /** Key of the selected line. */
  selected: string | undefined;
  isHelpShown: boolean;
  /** True if all about the selected line is shown. */
  isDetailShown: boolean;
}

/** The state. */
export class TopModel {
  readonly view: TopView = {
    windowMs: FIRST_WINDOW_MS,
    pausedMs: undefined,
    filter: "",
    isFiltering: false,
    isByChange: false,
    selected: undefined,
    isHelpShown: false,
    isDetailShown: false,
  };
  readonly #only: string | undefined;
  readonly #aggregators = new Map<string, TopAggregator>();
  readonly #lines = new Map<string, TopLine>();
  readonly #messages: string[] = [];

  /** Shows all aggregators, or the one of this name. */
  constructor(only?: string) {
    this.#only = only;
  }

  /** Aggregators in their order. */
  get aggregators(): TopAggregator[] {
    return [...this.#aggregators.values()];
  }

  /** Messages of what happened, the newest last. */
  get messages(): readonly string[] {
    return this.#messages;
  }

  /** Lines that pass the filter, in the order in which they are shown. */
  get lines(): TopLine[] {
    const { filter, isByChange } = this.view;
    const wanted = filter.toLowerCase();
    const lines = [...this.#lines.values()].filter(({ aggregator, name }) =>
      `${aggregator}.${name}`.toLowerCase().includes(wanted)
    );
    return isByChange
      ? lines.sort((a, b) => (b.wave.lastMs ?? 0) - (a.wave.lastMs ?? 0))
      : lines;
  }

  /** Names of the lines that follow a line. */
  followers({ aggregator, name }: TopLine): string[] {
    const title = `${aggregator}.${name}`;
    return [...this.#lines.values()]
      .filter(({ line }) => line.origin?.of === title)
      .map((one) => `${one.aggregator}.${one.name}`);
  }

  /** The selected line; the first one if that is not shown. */
  get selected(): TopLine | undefined {
    const { lines } = this;
    return lines.find((line) => topLineKey(line) === this.view.selected) ??
      lines[0];
  }

  /** Adds a message. */
  tell(text: string): void {
    this.#messages.push(text);
    if (this.#messages.length > KEPT_MESSAGES) this.#messages.shift();
  }

  /**
   * Shows an aggregator from now on.
   *
   * @param nowMs Present time. **Units**: milliseconds since 1970.
   */
  add(state: AggregatorState, nowMs: number): void {
    if (this.#only !== undefined && state.name !== this.#only) return;
    this.remove(state.name);
    const lines = state.lines.map((line) => topLine(state.name, line, nowMs));
    for (const line of lines) this.#lines.set(topLineKey(line), line);
    this.#aggregators.set(state.name, {
      name: state.name,
      isConnected: state.connected,
      isKernelChip: state.kernelChip !== undefined,
      lines,
    });
  }

  /** Shows an aggregator no more. */
  remove(name: string): void {
    for (const line of this.#aggregators.get(name)?.lines ?? []) {
      this.#lines.delete(topLineKey(line));
    }
    this.#aggregators.delete(name);
  }

  /** Takes edges; those that are older than what a line has are passed over. */
  edges(edges: readonly Edge[]): void {
    for (const edge of edges) {
      const line = this.#lines.get(lineKey(edge.aggregator, edge.lineNumber));
      if (line === undefined) continue;
      line.direction = edge.direction;
      const value = edge.present ? edge.value : undefined;
      if (line.wave.value === value) continue;
      const timeMs = Number(BigInt(edge.time) / 1000n) / 1000;
      line.wave.push(timeMs, value);
      line.changes++;
      line.cause = edge.rule ?? edge.cause;
      line.sinceMs = timeMs;
    }
  }

  /** Begins the waves with values that the lines had in the past. */
  begin(
    levels: readonly { key: string; value: SignalValue; sinceMs: number }[],
  ): void {
    for (const { key, value, sinceMs } of levels) {
      const line = this.#lines.get(key);
      if (line !== undefined) line.wave = new LineWave(value, sinceMs);
    }
  }

  /**
   * Shows lines as they are now where the past does not have their values: the
   * last edge of a quiet line is not kept any more.
   */
  settle(nowMs: number): void {
    for (const line of this.#lines.values()) {
      const { wave, line: { value } } = line;
      const isKnown = wave.value !== undefined || wave.lastMs !== undefined;
      if (!isKnown && (value === 0 || value === 1)) {
        line.wave = new LineWave(value, nowMs);
      }
    }
  }

  /** Counts changes from now on: those of the past may not be all. */
  forgetCounts(): void {
    for (const line of this.#lines.values()) line.changes = 0;
  }

  /** Takes rules and forces that were looked up. */
  describe({ name, lines }: AggregatorState): void {
    for (const line of lines) {
      const known = this.#lines.get(lineKey(name, line.lineNumber));
      if (known !== undefined) known.line = line;
    }
  }

  /** Takes values that were looked up, after edges were lost. */
  correct(states: readonly AggregatorState[], nowMs: number): void {
    for (const { name, lines } of states) {
      for (const { lineNumber, value, direction } of lines) {
        const line = this.#lines.get(lineKey(name, lineNumber));
        if (line === undefined) continue;
        line.direction = direction;
        line.wave.push(nowMs, undefined);
        line.wave.push(nowMs, value === 0 || value === 1 ? value : undefined);
      }
    }
  }

  /** Takes an event, except a snapshot and a created aggregator. */
  event(event: LiveEvent, timeText: string): void {
    if (event.event === "edges") return this.edges(event.edges);
    if (event.event === "lost") {
      this.tell(`${timeText} ${event.count} events were lost`);
      return;
    }
    if (event.event === "snapshot" || event.event === "lines") return;
    const { aggregator, detail } = event;
    if (this.#only !== undefined && aggregator !== this.#only) return;
    const known = this.#aggregators.get(aggregator);
    if (event.event === "connected" && known) known.isConnected = true;
    if (event.event === "disconnected" && known) known.isConnected = false;
    if (event.event === "removed") this.remove(aggregator);
    this.tell(
      `${timeText} ${aggregator}: ${event.event}${detail && `: ${detail}`}`,
    );
  }

  /** Takes a key. */
  key(key: Key, nowMs: number): TopAction | undefined {
    const { view } = this;
    if (view.isFiltering) return this.#filterKey(key);
    view.isHelpShown = false;
    switch (key) {
      case "up":
        return this.#select(-1);
      case "down":
        return this.#select(1);
      case "page-up":
        return this.#select(-10);
      case "page-down":
        return this.#select(10);
      case "home":
        return this.#select(-Infinity);
      case "end":
        return this.#select(Infinity);
      case "enter":
        view.isDetailShown = !view.isDetailShown;
        return;
      case "escape":
        view.filter = "";
        view.isDetailShown = false;
        return;
    }
    if (typeof key === "string") return;
    switch (key.character) {
      case "q":
        return { kind: "quit" };
      case "k":
        return this.#select(-1);
      case "j":
        return this.#select(1);
      case "/":
        view.isFiltering = true;
        return;
      case " ":
        view.pausedMs = view.pausedMs === undefined ? nowMs : undefined;
        return;
      case "+":
        view.windowMs = nearbyStep(view.windowMs, -1);
        return;
      case "-":
        view.windowMs = nearbyStep(view.windowMs, 1);
        return;
      case "r":
        view.isByChange = !view.isByChange;
        return;
      case "s":
        return { kind: "save" };
      case "?":
      case "h":
        view.isHelpShown = true;
        return;
      case "0":
        return this.#pull("pull", 0);
      case "1":
        return this.#pull("pull", 1);
      case "p":
        return this.#pull("pulse", this.selected?.wave.value === 1 ? 0 : 1);
    }
  }

  #filterKey(key: Key): undefined {
    const { view } = this;
    if (key === "enter") view.isFiltering = false;
    else if (key === "escape") {
      view.isFiltering = false;
      view.filter = "";
    } else if (key === "backspace") {
      view.filter = [...view.filter].slice(0, -1).join("");
    } else if (typeof key !== "string" && view.filter.length < MAX_FILTER) {
      view.filter += key.character;
    }
  }

  #select(step: number): undefined {
    const { lines, selected } = this;
    if (selected === undefined) return;
    const at = lines.indexOf(selected) + step;
    const index = Math.max(0, Math.min(lines.length - 1, at));
    this.view.selected = topLineKey(lines[index]!);
  }

  #pull(kind: "pull" | "pulse", level: 0 | 1): TopAction | undefined {
    const line = this.selected;
    if (line === undefined) return;
    const { aggregator, name, isSimulated } = line;
    if (!isSimulated) {
      this.tell(`${aggregator}.${name} is not a simulated line`);
      return;
    }
    return { kind, aggregator, line: name, level };
  }
}

function topLine(aggregator: string, line: Line, nowMs: number): TopLine {
  const { lineNumber, source, direction, value } = line;
  return {
    aggregator,
    lineNumber,
    name: displayName(line),
    isSimulated: /^simulated/.test(source),
    direction,
    wave: new LineWave(value === 0 || value === 1 ? value : undefined, nowMs),
    changes: 0,
    cause: line.drivenBy ?? "",
    sinceMs: line.since,
    line,
  };
}

function topLineKey({ aggregator, lineNumber }: TopLine): string {
  return lineKey(aggregator, lineNumber);
}
