/**
 * Conditions on lines, as `gpioagg wait` takes them: `press.READY=1`,
 * `press.START=rising`. Pure: fed with what happens.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import { listSplits } from "./line_names.ts";

/** Words after the equals sign. */
export const CONDITION_WORDS = [
  "0",
  "1",
  "rising",
  "falling",
  "edge",
] as const;

/** Condition on a line: a value that it has, or an edge that happens. */
type Wanted = typeof CONDITION_WORDS[number];

/** A condition as it was given. */
export interface ConditionText {
  /** The line, as `NAME.LINE`. */
  readonly line: string;
  readonly wanted: Wanted;
}

/** State of a condition. */
export interface ConditionState extends ConditionText {
  /** Last value; undefined if it is not known. */
  readonly value: 0 | 1 | undefined;
  readonly isMet: boolean;
}

/**
 * Reads `NAME.LINE=VALUE`.
 *
 * @throws {ConfigError} If it is not a condition.
 */
export function parseCondition(text: string): ConditionText {
  const equals = text.lastIndexOf("=");
  const line = text.slice(0, Math.max(0, equals));
  const word = text.slice(equals + 1);
  const wanted = CONDITION_WORDS.find((known) => known === word);
  if (wanted === undefined || listSplits(line).length === 0) {
    throw new ConfigError(`"${text}" is not a condition`, {
      hint: `Write NAME.LINE=VALUE; VALUE is 0, 1, rising, falling or edge`,
    });
  }
  return { line, wanted };
}

/**
 * Conditions that are waited for. All values must be there at one moment; an
 * edge counts once it has happened.
 */
export class Conditions {
  readonly #texts: readonly ConditionText[];
  readonly #needsAll: boolean;
  readonly #values: (0 | 1 | undefined)[];
  readonly #isMet: boolean[];

  /** Begins without values; one condition is enough unless `needsAll`. */
  constructor(texts: readonly ConditionText[], needsAll: boolean) {
    this.#texts = texts;
    this.#needsAll = needsAll;
    this.#values = texts.map(() => undefined);
    this.#isMet = texts.map(() => false);
  }

  /** Takes the value of a condition's line. */
  set(index: number, value: 0 | 1 | undefined): void {
    const before = this.#values[index];
    this.#values[index] = value;
    const { wanted } = this.#texts[index]!;
    if (wanted === "0" || wanted === "1") {
      this.#isMet[index] = String(value) === wanted;
      return;
    }
    if (before === undefined || value === undefined || before === value) return;
    const edge = value === 1 ? "rising" : "falling";
    if (wanted === "edge" || wanted === edge) this.#isMet[index] = true;
  }

  /** True if what is waited for has happened. */
  get areMet(): boolean {
    return this.#needsAll
      ? this.#isMet.every((isMet) => isMet)
      : this.#isMet.some((isMet) => isMet);
  }

  /** The conditions with their state. */
  get states(): ConditionState[] {
    return this.#texts.map((text, i) => ({
      ...text,
      value: this.#values[i],
      isMet: this.#isMet[i]!,
    }));
  }
}
