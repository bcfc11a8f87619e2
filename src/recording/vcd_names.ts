/**
 * Names of the wires of a dump: where several have one name, they are the bits
 * of a bus, and each has its index.
 *
 * @module
 */
import {
  MAX_SIGNALS,
  type RecordingBuilder,
  RecordingError,
  type Signal,
  signalText,
} from "./recording.ts";

/** A wire as it is declared. */
interface DeclaredWire extends Signal {
  readonly identifier: string;
  /** Index in brackets; empty without one. */
  readonly index: string;
}

/** Wires of one name. */
interface Group {
  readonly wires: DeclaredWire[];
  /** False while all have one identifier: one wire, declared again. */
  isBus: boolean;
}

/** Collects the wires of a dump until all of them are declared. */
export class VcdNames {
  readonly #isWanted: (signal: Signal) => boolean;
  readonly #groups = new Map<string, Map<string, Group>>();
  #count = 0;

  /** Begins; wires for which `isWanted` returns false are passed over. */
  constructor(isWanted: (signal: Signal) => boolean) {
    this.#isWanted = isWanted;
  }

  /** Adds a wire. @throws {RecordingError} If there are too many. */
  add(wire: DeclaredWire): void {
    const { scope, name, index } = wire;
    const isWanted = this.#isWanted({ scope, name }) ||
      index !== "" && this.#isWanted({ scope, name: name + index });
    if (!isWanted) return;
    if (++this.#count > MAX_SIGNALS) {
      throw new RecordingError(`it has more than ${MAX_SIGNALS} signals`);
    }
    let names = this.#groups.get(scope);
    if (names === undefined) this.#groups.set(scope, names = new Map());
    const group = names.get(name);
    if (group === undefined) names.set(name, { wires: [wire], isBus: false });
    else {
      if (wire.identifier !== group.wires[0]!.identifier) group.isBus = true;
      group.wires.push(wire);
    }
  }

  /**
   * Adds the signals of all wires to `builder`.
   *
   * @returns Signals by identifier; wires of several scopes may share one.
   * @throws {RecordingError} If two wires have the same name.
   */
  resolve(builder: RecordingBuilder): Map<string, Set<number>> {
    const signals = new Map<string, Set<number>>();
    const owners = new Map<number, string>();
    for (const names of this.#groups.values()) {
      for (const { wires, isBus } of names.values()) {
        for (const { scope, name, index, identifier } of wires) {
          const isWhole = !isBus && this.#isWanted({ scope, name });
          const signal = { scope, name: isWhole ? name : name + index };
          const number = builder.signal(signal);
          const owner = owners.get(number);
          if (owner !== undefined && owner !== identifier) {
            throw new RecordingError(
              `two wires have the name ${signalText(signal)}`,
            );
          }
          owners.set(number, identifier);
          const same = signals.get(identifier);
          if (same === undefined) signals.set(identifier, new Set([number]));
          else same.add(number);
        }
      }
    }
    return signals;
  }
}
