/**
 * What can be asked of a line, and how the kernel is told.
 *
 * @module
 */
import { LineFlag } from "../../ffi/gpio_v2.ts";
import type { PackedLine } from "../../ffi/gpio_v2_config.ts";

/** A logical value: 1 is active, 0 inactive, whatever the level is. */
export type Value = 0 | 1;

/** Which way a line goes; `"as-is"` leaves it as it is. */
export type DirectionSetting = "as-is" | "input" | "output";
/** Which changes of the logical value are reported; needs direction `"input"`. */
export type EdgeSetting = "none" | "rising" | "falling" | "both";
/** What pulls a line; needs a direction. `"as-is"` leaves it as it is. */
export type BiasSetting = "as-is" | "disabled" | "pull-up" | "pull-down";
/** How an output is driven; all but `"push-pull"` need direction `"output"`. */
export type DriveSetting = "push-pull" | "open-drain" | "open-source";
/**
 * The clock of event timestamps: `"monotonic"` (CLOCK_MONOTONIC), `"realtime"`
 * (since Linux 5.11) or `"hte"`, the hardware timestamp engine (since 5.19, on
 * few machines).
 */
export type EventClock = "monotonic" | "realtime" | "hte";

/**
 * The settings of a line. Everything can be left out: then the line is taken as
 * it is, active is the high level, and no edges are reported.
 *
 * @example A push button to ground, and a relay that is off at first
 * ```ts
 * import type { LineSettings } from "@gpioagg/gpioagg";
 *
 * const BUTTON: LineSettings = {
 *   direction: "input",
 *   bias: "pull-up",
 *   activeLow: true,
 *   edge: "rising",
 *   debouncePeriodUs: 5000,
 * };
 * const RELAY: LineSettings = { direction: "output", outputValue: 0 };
 * console.log(BUTTON.edge, RELAY.outputValue);
 * ```
 */
export interface LineSettings {
  /** Which way the line goes; `"as-is"` unless said otherwise. */
  readonly direction?: DirectionSetting | undefined;
  /** Which changes are reported; `"none"` unless said otherwise. */
  readonly edge?: EdgeSetting | undefined;
  /** What pulls the line; `"as-is"` unless said otherwise. */
  readonly bias?: BiasSetting | undefined;
  /** How an output is driven; `"push-pull"` unless said otherwise. */
  readonly drive?: DriveSetting | undefined;
  /** Whether active is the low level; false unless said otherwise. */
  readonly activeLow?: boolean | undefined;
  /**
   * How long a new value must last before it counts, in microseconds; needs
   * direction `"input"`. 0, or nothing, for no debouncing.
   */
  readonly debouncePeriodUs?: number | undefined;
  /** The clock of event timestamps; `"monotonic"` unless said otherwise. */
  readonly eventClock?: EventClock | undefined;
  /**
   * What an output is set to. When it is left out, a new request begins with 0,
   * and a line that is reconfigured keeps its value.
   */
  readonly outputValue?: Value | undefined;
}

const DIRECTION_FLAGS: Readonly<Record<DirectionSetting, number>> = {
  "as-is": 0,
  input: LineFlag.Input,
  output: LineFlag.Output,
};
const EDGE_FLAGS: Readonly<Record<EdgeSetting, number>> = {
  none: 0,
  rising: LineFlag.EdgeRising,
  falling: LineFlag.EdgeFalling,
  both: LineFlag.EdgeRising | LineFlag.EdgeFalling,
};
const BIAS_FLAGS: Readonly<Record<BiasSetting, number>> = {
  "as-is": 0,
  disabled: LineFlag.BiasDisabled,
  "pull-up": LineFlag.BiasPullUp,
  "pull-down": LineFlag.BiasPullDown,
};
const DRIVE_FLAGS: Readonly<Record<DriveSetting, number>> = {
  "push-pull": 0,
  "open-drain": LineFlag.OpenDrain,
  "open-source": LineFlag.OpenSource,
};
const CLOCK_FLAGS: Readonly<Record<EventClock, number>> = {
  monotonic: 0,
  realtime: LineFlag.EventClockRealtime,
  hte: LineFlag.EventClockHte,
};

/** The settings as a word of {@linkcode LineFlag}s. Allocates nothing. */
export function flagsOf(settings: LineSettings): number {
  return DIRECTION_FLAGS[settings.direction ?? "as-is"] |
    EDGE_FLAGS[settings.edge ?? "none"] |
    BIAS_FLAGS[settings.bias ?? "as-is"] |
    DRIVE_FLAGS[settings.drive ?? "push-pull"] |
    CLOCK_FLAGS[settings.eventClock ?? "monotonic"] |
    (settings.activeLow ? LineFlag.ActiveLow : 0);
}

/** One line's settings in the words of the uAPI; `value` where it says none. */
export function packedOf(settings: LineSettings, value: Value): PackedLine {
  return {
    flags: flagsOf(settings),
    debounceUs: settings.debouncePeriodUs ?? 0,
    value: settings.direction === "output" ? settings.outputValue ?? value : 0,
  };
}

const MAX_DEBOUNCE_US = 2 ** 32 - 1;

function oneOf(
  key: string,
  value: string | undefined,
  table: Readonly<Record<string, number>>,
): string | undefined {
  if (value === undefined || Object.hasOwn(table, value)) return undefined;
  return `${key} "${value}" is not one of ${Object.keys(table).join(", ")}`;
}

/**
 * What is wrong with settings, in the words of a message; undefined if nothing.
 *
 * Contradictions that the kernel would answer with a bare EINVAL are found here.
 */
export function problemOf(settings: LineSettings): string | undefined {
  const {
    direction = "as-is",
    edge,
    bias,
    drive,
    debouncePeriodUs = 0,
    eventClock,
    outputValue,
  } = settings;
  const unknown = oneOf("direction", direction, DIRECTION_FLAGS) ??
    oneOf("edge", edge, EDGE_FLAGS) ??
    oneOf("bias", bias, BIAS_FLAGS) ??
    oneOf("drive", drive, DRIVE_FLAGS) ??
    oneOf("eventClock", eventClock, CLOCK_FLAGS);
  if (unknown !== undefined) return unknown;
  if (edge !== undefined && edge !== "none" && direction !== "input") {
    return `edge "${edge}" needs direction "input", not "${direction}"`;
  }
  if (bias !== undefined && bias !== "as-is" && direction === "as-is") {
    return `bias "${bias}" needs direction "input" or "output"`;
  }
  if (drive !== undefined && drive !== "push-pull" && direction !== "output") {
    return `drive "${drive}" needs direction "output", not "${direction}"`;
  }
  if (
    !Number.isInteger(debouncePeriodUs) || debouncePeriodUs < 0 ||
    debouncePeriodUs > MAX_DEBOUNCE_US
  ) {
    return `debouncePeriodUs ${debouncePeriodUs} is not a whole number of microseconds from 0 to ${MAX_DEBOUNCE_US}`;
  }
  if (debouncePeriodUs > 0 && direction !== "input") {
    return `debouncing needs direction "input", not "${direction}"`;
  }
  if (outputValue !== undefined) {
    if (outputValue !== 0 && outputValue !== 1) {
      return `outputValue ${outputValue} is neither 0 nor 1`;
    }
    if (direction !== "output") {
      return `outputValue ${outputValue} needs direction "output", not "${direction}"`;
    }
  }
  return undefined;
}

/** Lines that get the same settings: one, or several. */
export type LineSelection =
  & (
    | {
      /** The line's offset on its chip. */
      readonly offset: number;
    }
    | {
      /** The lines' offsets on their chip. */
      readonly offsets: readonly number[];
    }
  )
  & {
    /** Their settings; the lines are taken as they are if there are none. */
    readonly settings?: LineSettings | undefined;
  };

/** One line with its settings. */
export interface LineWithSettings {
  readonly offset: number;
  readonly settings: LineSettings;
}

/** A selection as a list of single lines, in the order given. */
export function linesOf(
  selections: readonly LineSelection[],
): LineWithSettings[] {
  return selections.flatMap((selection) => {
    const { settings = {} } = selection;
    const offsets = "offsets" in selection
      ? selection.offsets
      : [selection.offset];
    return offsets.map((offset) => ({ offset, settings }));
  });
}
