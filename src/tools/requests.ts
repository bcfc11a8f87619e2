/**
 * Requesting the lines that a tool works on: one request per chip, or several
 * where a chip has more lines than fit one.
 *
 * @module
 */
import { LineError } from "../gpio/errors.ts";
import type { LineRequest } from "../gpio/line_request.ts";
import type { LineSettings, Value } from "../gpio/line_settings.ts";
import { devicePath } from "./chips.ts";
import { consumerOf } from "./line_text.ts";
import type { SelectedLine } from "./selection.ts";
import { errnoCodeOf, reasonOf, ToolError } from "./tool_error.ts";

/** The uAPI's limit. */
const LINES_PER_REQUEST = 64;
/** The most events that the kernel buffers for a request. */
const MOST_EVENTS = 1024;

/** Lines of one chip that were requested together. */
export interface RequestGroup {
  readonly request: LineRequest;
  /** The positions of the request's lines in the user's order. */
  readonly indices: readonly number[];
}

/** How lines are requested. */
export interface RequestHow {
  readonly consumer: string;
  /** The settings of the line at `index` in the user's order. */
  readonly settings: (index: number) => LineSettings;
}

/** The lines in groups of one chip each, by their positions. */
function groupByChip(lines: readonly SelectedLine[]): number[][] {
  const groups = Map.groupBy(lines.keys(), (index) => lines[index]!.chip);
  return [...groups.values()].flatMap((indices) =>
    Array.from(
      { length: Math.ceil(indices.length / LINES_PER_REQUEST) },
      (_, i) =>
        indices.slice(i * LINES_PER_REQUEST, (i + 1) * LINES_PER_REQUEST),
    )
  );
}

/**
 * Requests lines.
 *
 * @throws {ToolError} If the kernel refuses, with who holds a busy line.
 *
 * **Ownership**: `stack` lets them go.
 */
export function requestLines(
  lines: readonly SelectedLine[],
  how: RequestHow,
  stack: DisposableStack,
): RequestGroup[] {
  return groupByChip(lines).map((indices) => {
    const { chip } = lines[indices[0]!]!;
    try {
      const request = chip.requestLines({
        consumer: how.consumer,
        lines: indices.map((index) => ({
          offset: lines[index]!.info.offset,
          settings: how.settings(index),
        })),
        eventBufferSize: MOST_EVENTS,
      });
      return { request: stack.use(request), indices };
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      throw new ToolError(
        `unable to request lines on chip '${devicePath(chip.name)}': ${
          requestReason(error, indices.map((index) => lines[index]!))
        }`,
        { cause: error },
      );
    }
  });
}

/** libgpiod's words for why, and what is known beyond them. */
function requestReason(
  error: LineError,
  wanted: readonly SelectedLine[],
): string {
  const code = errnoCodeOf(error);
  if (code === undefined) return error.message;
  if (code !== "EBUSY") return `${reasonOf(error)} (${error.message})`;
  const holders = wanted.map(({ id, chip, info: { offset } }) => {
    const holder = consumerOf(chip.lineInfo(offset));
    return holder === undefined ? "" : `, '${id}' is held by "${holder}"`;
  });
  return reasonOf(error) + holders.join("");
}

/**
 * Reads all lines, at the same time as far as they are of one chip.
 *
 * @returns The values in the user's order.
 * @throws {ToolError} If a chip cannot be read.
 */
export function readValues(groups: readonly RequestGroup[]): Value[] {
  const values: Value[] = [];
  for (const { request, indices } of groups) {
    try {
      for (const [bit, value] of request.getValues().entries()) {
        values[indices[bit]!] = value;
      }
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      throw new ToolError(
        `unable to read GPIO line values on chip '${
          devicePath(request.chipName)
        }': ${reasonOf(error)}`,
        { cause: error },
      );
    }
  }
  return values;
}

/**
 * The label that requested lines get: the name the tool was called by, in one
 * word, unless another is asked for.
 */
export function consumerLabel(
  asked: string | undefined,
  programName: string,
): string {
  return asked ?? programName.replaceAll(" ", "-");
}
