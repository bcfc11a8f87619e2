/**
 * Results of the benchmarks, as a table and as JSON.
 *
 * @module
 */

/** One measure. */
export interface Measure {
  /** Name of the measure. */
  readonly name: string;
  /** In `unit`. */
  readonly value: number;
  /** Unit of `value`: "µs", "MB", … */
  readonly unit: string;
  /**
   * Floor that it stands on, in the same unit; absent where nothing compares.
   */
  readonly floor?: number;
  /** Median of the ratios of the rounds, where it was measured in rounds. */
  readonly ratio?: number;
  /** The largest value that is good; in `unit`, or `x` for the ratio. */
  readonly target?: { readonly most: number; readonly of: "value" | "ratio" };
  /** Exact meaning of `value` and `floor`. */
  readonly note?: string;
}

/** Returns true if a measure is within its target, or has none. */
export function isGood({ value, ratio, target }: Measure): boolean {
  if (target === undefined) return true;
  const measured = target.of === "value" ? value : ratio;
  return measured !== undefined && measured <= target.most;
}

/** The table that a person reads. */
export function formatTable(measures: readonly Measure[]): string {
  const rows = [
    ["MEASURE", "VALUE", "FLOOR", "RATIO", "TARGET", ""],
    ...measures.map((measure) => {
      const { name, value, unit, floor, ratio, target } = measure;
      return [
        name,
        amount(value, unit),
        floor === undefined ? "" : amount(floor, unit),
        ratio === undefined ? "" : ratio.toFixed(2),
        target === undefined
          ? ""
          : target.of === "value"
          ? `≤ ${amount(target.most, unit)}`
          : `ratio ≤ ${target.most}`,
        target === undefined ? "" : isGood(measure) ? "good" : "MISSED",
      ];
    }),
  ];
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length))
  );
  const table = rows.map((row) =>
    row.map((cell, column) =>
      column >= 1 && column <= 3
        ? cell.padStart(widths[column]!)
        : cell.padEnd(widths[column]!)
    ).join("  ").trimEnd()
  );
  const notes = measures.filter(({ note }) => note !== undefined)
    .map(({ name, note }) => `${name}: ${note}`);
  return [...table, "", ...notes].join("\n");
}

/** A number with three digits that count, and its unit. */
function amount(value: number, unit: string): string {
  const digits = value === 0 || Number.isInteger(value)
    ? 0
    : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return `${value.toFixed(Math.min(digits, 3))} ${unit}`.trimEnd();
}
