/**
 * Edges in memory: what files of edges are read into and compared as.
 *
 * @module
 */

/** Most edges of a recording, which are 130 MB. */
const MAX_EDGES = 10_000_000;
/** Most signals of a recording. */
export const MAX_SIGNALS = 100_000;

/** Value of a signal; undefined while it is unknown, as of an absent line. */
export type SignalValue = 0 | 1 | undefined;

/** A signal of a recording: a line of an aggregator. */
export interface Signal {
  /** Name of the aggregator, or scopes of a dump joined by dots; may be empty. */
  readonly scope: string;
  /** Name of the line. */
  readonly name: string;
}

/** A file of edges that cannot be read. */
export class RecordingError extends Error {
  /** Distinguishes it from other errors. */
  override readonly name = "RecordingError";
}

/** Returns a signal's name with its scope: `press.START`. */
export function signalText({ scope, name }: Signal): string {
  return scope === "" ? name : `${scope}.${name}`;
}

const FIRST_CAPACITY = 1024;
const UNKNOWN = 2;

/** Edges in the order in which they were added. */
export class EdgeList {
  #times = new Float64Array(FIRST_CAPACITY);
  /** The signal's index times four, and the value. */
  #changes = new Uint32Array(FIRST_CAPACITY);
  #length = 0;

  /** Number of edges. */
  get length(): number {
    return this.#length;
  }

  /**
   * Adds an edge.
   *
   * @param timeNs Time since the beginning of the recording. **Units**: ns.
   * @param signal Index of the signal.
   * @throws {RecordingError} Beyond {@linkcode MAX_EDGES}.
   */
  push(timeNs: number, signal: number, value: SignalValue): void {
    if (this.#length === this.#times.length) this.#grow();
    this.#times[this.#length] = timeNs;
    this.#changes[this.#length++] = signal * 4 + (value ?? UNKNOWN);
  }

  /** Returns the time of the `index`-th edge. **Units**: nanoseconds. */
  timeNs(index: number): number {
    return this.#times[index]!;
  }

  /** Returns the index of the signal of the `index`-th edge. */
  signal(index: number): number {
    return this.#changes[index]! >>> 2;
  }

  /** Returns the value from the `index`-th edge on. */
  value(index: number): SignalValue {
    const value = this.#changes[index]! & 3;
    return value === UNKNOWN ? undefined : value as 0 | 1;
  }

  #grow(): void {
    if (this.#length >= MAX_EDGES) {
      throw new RecordingError(
        `it has more than ${MAX_EDGES} edges of the chosen signals`,
      );
    }
    const capacity = Math.min(MAX_EDGES, this.#length * 2);
    const times = new Float64Array(capacity);
    times.set(this.#times);
    this.#times = times;
    const changes = new Uint32Array(capacity);
    changes.set(this.#changes);
    this.#changes = changes;
  }
}

/** Signals, their first values and their edges. */
export interface Recording {
  readonly signals: readonly Signal[];
  /** In order of time; the first values are edges at the beginning. */
  readonly edges: EdgeList;
  /** Time up to which nothing else has changed. **Units**: nanoseconds. */
  readonly endNs: number;
}

/**
 * Collects the signals and edges of a file. Values that repeat the last one of
 * their signal are not edges, and left out.
 */
export class RecordingBuilder {
  readonly signals: Signal[] = [];
  readonly edges = new EdgeList();
  /** Indices by scope and name. */
  readonly #known = new Map<string, Map<string, number>>();
  readonly #values: (SignalValue | null)[] = [];
  #timeNs = 0;

  /** Returns the index of a signal, which is added if it is new. */
  signal(signal: Signal): number {
    let names = this.#known.get(signal.scope);
    if (names === undefined) {
      this.#known.set(signal.scope, names = new Map());
    }
    const known = names.get(signal.name);
    if (known !== undefined) return known;
    if (this.signals.length >= MAX_SIGNALS) {
      throw new RecordingError(`it has more than ${MAX_SIGNALS} signals`);
    }
    names.set(signal.name, this.signals.length);
    this.#values.push(null);
    return this.signals.push(signal) - 1;
  }

  /** Time of the last edge. **Units**: nanoseconds. */
  get timeNs(): number {
    return this.#timeNs;
  }

  /** Advances the time, which never goes back. **Units**: nanoseconds. */
  advance(timeNs: number): void {
    if (timeNs > this.#timeNs) this.#timeNs = timeNs;
  }

  /** Adds a value of the `signal`-th signal, at the time. */
  change(signal: number, value: SignalValue): void {
    if (this.#values[signal] === value) return;
    this.#values[signal] = value;
    this.edges.push(this.#timeNs, signal, value);
  }

  /** Returns what was collected. */
  recording(): Recording {
    const { signals, edges } = this;
    return { signals, edges, endNs: this.#timeNs };
  }
}
