/**
 * Settings of a line, and their encoding for the kernel.
 *
 * @module
 */
import { LineFlag } from "../../ffi/gpio_v2.ts";
import type { PackedLine } from "../../ffi/gpio_v2_config.ts";
import type { Value } from "../line/value.ts";
import {
  requireArray,
  requireBoolean,
  requireKeys,
  requireNumber,
  requireString,
  requireValue,
} from "../text/arguments.ts";

/** Which way a line goes; `"as-is"` leaves it as it is. */
export type DirectionSetting = "as-is" | "input" | "output";
/** Which changes of the logical value are reported; needs direction `"input"`. */
export type EdgeSetting = "none" | "rising" | "falling" | "both";
/** Bias of a line; needs a direction. `"as-is"` leaves it unchanged. */
export type BiasSetting = "as-is" | "disabled" | "pull-up" | "pull-down";
/** Drive of an output; all but `"push-pull"` need direction `"output"`. */
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
  /** Which way the line goes; `"as-is"` by default. */
  readonly direction?: DirectionSetting | undefined;
  /** Which changes are reported; `"none"` by default. */
  readonly edge?: EdgeSetting | undefined;
  /** Bias of the line; default `"as-is"`. */
  readonly bias?: BiasSetting | undefined;
  /** Drive of the output; default `"push-pull"`. */
  readonly drive?: DriveSetting | undefined;
  /** True if the low level is active; default false. */
  readonly activeLow?: boolean | undefined;
  /**
   * Time that a new value must last before it counts, in microseconds; needs
   * direction `"input"`. Default 0: no debouncing.
   */
  readonly debouncePeriodUs?: number | undefined;
  /** The clock of event timestamps; `"monotonic"` by default. */
  readonly eventClock?: EventClock | undefined;
  /**
   * Value of an output. Without it a new request begins with 0, and a line that
   * is reconfigured keeps its value.
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
export function encodeFlags(settings: LineSettings): number {
  return DIRECTION_FLAGS[settings.direction ?? "as-is"] |
    EDGE_FLAGS[settings.edge ?? "none"] |
    BIAS_FLAGS[settings.bias ?? "as-is"] |
    DRIVE_FLAGS[settings.drive ?? "push-pull"] |
    CLOCK_FLAGS[settings.eventClock ?? "monotonic"] |
    (settings.activeLow ? LineFlag.ActiveLow : 0);
}

/** One line's settings in the words of the uAPI; `value` where it says none. */
export function packLine(settings: LineSettings, value: Value): PackedLine {
  return {
    flags: encodeFlags(settings),
    debounceUs: settings.debouncePeriodUs ?? 0,
    value: settings.direction === "output" ? settings.outputValue ?? value : 0,
  };
}

const MAX_DEBOUNCE_US = 2 ** 32 - 1;

function checkOption(
  key: string,
  value: string | undefined,
  table: Readonly<Record<string, number>>,
): string | undefined {
  if (value === undefined || Object.hasOwn(table, value)) return undefined;
  return `${key} "${value}" is not one of ${Object.keys(table).join(", ")}`;
}

/**
 * Returns the problem of settings, as part of a message; undefined if there is
 * none.
 *
 * Contradictions that the kernel would answer with a bare EINVAL are found here.
 */
export function findProblem(settings: LineSettings): string | undefined {
  const {
    direction = "as-is",
    edge,
    bias,
    drive,
    debouncePeriodUs = 0,
    eventClock,
    outputValue,
  } = settings;
  const unknown = checkOption("direction", direction, DIRECTION_FLAGS) ??
    checkOption("edge", edge, EDGE_FLAGS) ??
    checkOption("bias", bias, BIAS_FLAGS) ??
    checkOption("drive", drive, DRIVE_FLAGS) ??
    checkOption("eventClock", eventClock, CLOCK_FLAGS);
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

const SETTING_CHECKS: Readonly<
  Record<keyof LineSettings, (what: string, value: unknown) => void>
> = {
  direction: requireString,
  edge: requireString,
  bias: requireString,
  drive: requireString,
  activeLow: requireBoolean,
  debouncePeriodUs: requireNumber,
  eventClock: requireString,
  outputValue: requireValue,
};
const SETTING_KEYS = Object.keys(SETTING_CHECKS);

/** Names of other GPIO libraries for the same settings. */
const MEANT_SETTINGS: Readonly<Record<string, keyof LineSettings>> = {
  value: "outputValue",
  initial: "outputValue",
  initialValue: "outputValue",
  edges: "edge",
  edgeDetection: "edge",
  clock: "eventClock",
  pull: "bias",
  debounce: "debouncePeriodUs",
  debouncePeriod: "debouncePeriodUs",
  invert: "activeLow",
};

/**
 * Refuses settings with unknown keys or values of another type.
 *
 * @throws {TypeError} That names what was given.
 */
function checkSettings(what: string, settings: unknown): void {
  requireKeys(what, settings, SETTING_KEYS, MEANT_SETTINGS);
  for (const [key, value] of Object.entries(settings as object)) {
    if (value === undefined) continue;
    SETTING_CHECKS[key as keyof LineSettings](`${what}.${key}`, value);
  }
}

/**
 * Returns false for what has unknown keys or is not an object, without allocating.
 * The values are checked by {@linkcode findProblem}.
 */
export function areSettings(settings: LineSettings): boolean {
  if (typeof settings !== "object" || settings === null) return false;
  for (const key in settings) {
    if (!Object.hasOwn(SETTING_CHECKS, key)) return false;
  }
  const { activeLow } = settings;
  return activeLow === undefined || typeof activeLow === "boolean";
}

const SELECTION_KEYS = ["offset", "offsets", "settings"];
const MEANT_SELECTIONS: Readonly<Record<string, string>> = {
  line: "offset",
  lines: "offsets",
  // Settings beside the offset instead of inside.
  ...Object.fromEntries(SETTING_KEYS.map((key) => [key, `settings.${key}`])),
};

/**
 * Refuses selections of lines with unknown keys or values of another type.
 *
 * @throws {TypeError} That names what was given.
 */
export function checkSelections(
  selections: unknown,
): asserts selections is readonly LineSelection[] {
  requireArray("lines", selections);
  for (const [index, selection] of selections.entries()) {
    const what = `lines[${index}]`;
    requireKeys(what, selection, SELECTION_KEYS, MEANT_SELECTIONS);
    const { offset, offsets, settings } = selection as Readonly<
      Record<string, unknown>
    >;
    if (offset !== undefined && offsets !== undefined) {
      throw new TypeError(`${what} has both offset and offsets`);
    }
    if (offsets === undefined) requireNumber(`${what}.offset`, offset);
    else {
      requireArray(`${what}.offsets`, offsets);
      for (const each of offsets) requireNumber(`${what}.offsets`, each);
    }
    if (settings !== undefined) checkSettings(`${what}.settings`, settings);
  }
}

/** A selection as a list of single lines, in the order given. */
export function flattenSelections(
  selections: readonly LineSelection[],
): LineWithSettings[] {
  return selections.flatMap((selection) => {
    const { settings = {} } = selection;
    const offsets = "offsets" in selection && selection.offsets !== undefined
      ? selection.offsets
      : [(selection as { offset: number }).offset];
    return offsets.map((offset) => ({ offset, settings }));
  });
}
