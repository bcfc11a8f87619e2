/**
 * The settings that a chip's line can be given by the specification of a line.
 *
 * @module
 */
import type { LineSpecification } from "../../config/specification.ts";
import type { Value } from "../../line/value.ts";
import type { LineInfo, LineSettings } from "../../gpio/mod.ts";
import { Edges } from "../../line/port.ts";

/** All settings that a line can be given, so that no request makes any. */
export interface SettingsOfLine {
  /** Takes the line as it is. */
  readonly asFound: LineSettings;
  /** By the value that is driven. */
  readonly outputs: Readonly<Record<Value, LineSettings>>;
  /** By the edges that are reported. */
  readonly inputs: Readonly<Record<Edges, LineSettings>>;
}

const EDGE_NAMES = ["none", "rising", "falling", "both"] as const;

/** Returns the settings for a specification. */
export function deriveSettings(
  { activeLow, bias, debounceUs, drive }: LineSpecification,
): SettingsOfLine {
  const common = { activeLow, ...(bias === undefined ? {} : { bias }) };
  const output = (outputValue: Value): LineSettings => ({
    ...common,
    direction: "output",
    outputValue,
    ...(drive === undefined ? {} : { drive }),
  });
  const input = (edges: Edges): LineSettings => ({
    ...common,
    direction: "input",
    edge: EDGE_NAMES[edges],
    ...(debounceUs === 0 ? {} : { debouncePeriodUs: debounceUs }),
  });
  return {
    asFound: { direction: "as-is", activeLow },
    outputs: { 0: output(0), 1: output(1) },
    inputs: {
      [Edges.None]: input(Edges.None),
      [Edges.Rising]: input(Edges.Rising),
      [Edges.Falling]: input(Edges.Falling),
      [Edges.Both]: input(Edges.Both),
    },
  };
}

/** Returns the edges that a line reports, by the kernel's description. */
export function toEdges({ edge }: LineInfo): Edges {
  return EDGE_NAMES.indexOf(edge) as Edges;
}

/**
 * Returns true if the kernel has a line as these settings say, but for its
 * value.
 */
export function hasSettings(info: LineInfo, settings: LineSettings): boolean {
  return info.activeLow === settings.activeLow &&
    info.bias === (settings.bias ?? "as-is") &&
    (settings.direction === "output"
      ? info.drive === (settings.drive ?? "push-pull")
      : info.debouncePeriodUs === (settings.debouncePeriodUs ?? 0));
}
