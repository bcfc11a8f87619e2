/**
 * The lines that `set` holds: what they are set to, and setting them.
 *
 * @module
 */
import { LineError } from "../gpio/errors.ts";
import type { LineSettings, Value } from "../gpio/line_settings.ts";
import { devicePath } from "./chips.ts";
import type { OutputLines } from "./output_lines.ts";
import type { RequestGroup } from "./requests.ts";
import { reasonOf, ToolError } from "./tool_error.ts";

/** Lines that are requested as outputs. */
export class Outputs implements OutputLines {
  /** How the user named them. */
  readonly ids: readonly string[];
  /** The requests that hold them. */
  readonly groups: readonly RequestGroup[];
  readonly #values: Value[];
  readonly #places: { readonly chip: string; readonly offset: number }[] = [];

  /** Takes lines that have these values. */
  constructor(
    ids: readonly string[],
    groups: readonly RequestGroup[],
    values: readonly Value[],
  ) {
    this.ids = ids;
    this.groups = groups;
    this.#values = [...values];
    for (const { request, indices } of groups) {
      for (const [bit, index] of indices.entries()) {
        this.#places[index] = {
          chip: request.chipName,
          offset: request.offsets[bit]!,
        };
      }
    }
  }

  /** What all lines are set to. */
  get values(): readonly Value[] {
    return this.#values;
  }

  /** Where the `index`-th line is. */
  placeOf(index: number): { readonly chip: string; readonly offset: number } {
    return this.#places[index]!;
  }

  /** What the `index`-th line is set to. */
  valueOf(index: number): Value {
    return this.#values[index]!;
  }

  /**
   * Sets some lines, those of one chip at the same time.
   *
   * @throws {ToolError} If a chip refuses.
   */
  setValues(values: ReadonlyMap<number, Value>): void {
    for (const { request, indices } of this.groups) {
      const own = new Map<number, Value>();
      for (const [bit, index] of indices.entries()) {
        const value = values.get(index);
        if (value === undefined) continue;
        own.set(request.offsets[bit]!, value);
        this.#values[index] = value;
      }
      refusable("set values", request.chipName, () => request.setValues(own));
    }
  }

  /** Sets all lines to their opposites. */
  toggle(): void {
    this.setValues(
      new Map(this.#values.map((value, index) => [index, value === 1 ? 0 : 1])),
    );
  }

  /**
   * Gives some lines other settings.
   *
   * @throws {ToolError} If a chip refuses.
   */
  reconfigure(settings: ReadonlyMap<number, LineSettings>): void {
    for (const { request, indices } of this.groups) {
      const own = [...indices.entries()].flatMap(([bit, index]) => {
        const wanted = settings.get(index);
        return wanted === undefined
          ? []
          : [{ offset: request.offsets[bit]!, settings: wanted }];
      });
      if (own.length === 0) continue;
      refusable(
        "reconfigure lines",
        request.chipName,
        () => request.reconfigure(own),
      );
    }
  }
}

function refusable(what: string, chipName: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    throw new ToolError(
      `unable to ${what} on '${devicePath(chipName)}': ${reasonOf(error)}`,
      { cause: error },
    );
  }
}
