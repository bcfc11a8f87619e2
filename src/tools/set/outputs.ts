/**
 * The lines that `set` holds, and their values.
 *
 * @module
 */
import { LineError } from "../../gpio/errors.ts";
import type { LineSettings } from "../../gpio/line_settings.ts";
import type { Value } from "../../line/value.ts";
import type { OutputLines } from "../lines/output_lines.ts";
import type { RequestGroup } from "../lines/requests.ts";
import { explainError, ToolError } from "../program/tool_error.ts";

/** Lines that are requested as outputs. */
export class Outputs implements OutputLines {
  /** Names that the user gave. */
  readonly ids: readonly string[];
  /** The requests that hold them. */
  readonly groups: readonly RequestGroup[];
  readonly #values: Value[];
  readonly #places: { readonly chip: string; readonly offset: number }[] = [];

  /** Takes requested lines with these values. */
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

  /** Values of all lines. */
  get values(): readonly Value[] {
    return this.#values;
  }

  /** Returns the chip and offset of the `index`-th line. */
  hostLine(index: number): { readonly chip: string; readonly offset: number } {
    return this.#places[index]!;
  }

  /** Returns the value of the `index`-th line. */
  outputValue(index: number): Value {
    return this.#values[index]!;
  }

  /**
   * Sets some lines; those of one chip at the same time.
   *
   * @throws {ToolError} If a chip refuses, after the other chips' lines are
   * set.
   */
  setValues(values: ReadonlyMap<number, Value>): void {
    const refusals: ToolError[] = [];
    for (const { request, chipPath, indices } of this.groups) {
      const own = new Map<number, Value>();
      for (const [bit, index] of indices.entries()) {
        const value = values.get(index);
        if (value === undefined) continue;
        own.set(request.offsets[bit]!, value);
      }
      if (own.size === 0) continue;
      try {
        refusable("set values", chipPath, () => request.setValues(own));
        for (const index of indices) {
          this.#values[index] = values.get(index) ?? this.#values[index]!;
        }
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        refusals.push(error);
      }
    }
    const [first, ...others] = refusals;
    if (first === undefined) return;
    throw new ToolError([first, ...others].flatMap(({ lines }) => lines), {
      cause: first.cause,
    });
  }

  /**
   * Inverts all lines. A line that could not be set counts as set: the sequence
   * stays in step.
   *
   * @throws {ToolError} If a chip refuses, after the other chips' lines are set.
   */
  toggle(): void {
    const next = this.#values.map((value): Value => value === 1 ? 0 : 1);
    try {
      this.setValues(new Map(next.entries()));
    } finally {
      for (const [index, value] of next.entries()) this.#values[index] = value;
    }
  }

  /**
   * Replaces the settings of some lines.
   *
   * @throws {ToolError} If a chip refuses.
   */
  reconfigure(settings: ReadonlyMap<number, LineSettings>): void {
    for (const { request, chipPath, indices } of this.groups) {
      const own = [...indices.entries()].flatMap(([bit, index]) => {
        const wanted = settings.get(index);
        return wanted === undefined
          ? []
          : [{ offset: request.offsets[bit]!, settings: wanted }];
      });
      if (own.length === 0) continue;
      refusable(
        "reconfigure lines",
        chipPath,
        () => request.reconfigure(own),
      );
    }
  }
}

function refusable(what: string, chipPath: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof LineError)) throw error;
    throw new ToolError(
      `unable to ${what} on '${chipPath}': ${explainError(error)}`,
      { cause: error },
    );
  }
}
