/**
 * Requests the lines that a tool works on: one request per chip, or several
 * where a chip has more lines than fit one.
 *
 * @module
 */
import { LineError } from "../../gpio/errors.ts";
import type { LineRequest } from "../../gpio/line_request.ts";
import type { LineSettings } from "../../gpio/line_settings.ts";
import type { Value } from "../../line/value.ts";
import { formatConsumer } from "./line_text.ts";
import type { SelectedLine } from "./selection.ts";
import {
  explainError,
  findErrnoCode,
  ToolError,
} from "../program/tool_error.ts";
import { nameText } from "../../text/names.ts";
import { printable } from "../../text/printable.ts";

/** The uAPI's limit. */
const LINES_PER_REQUEST = 64;
/** The most events that the kernel buffers for a request. */
const MOST_EVENTS = 1024;

/** Lines of one chip that were requested together. */
export interface RequestGroup {
  readonly request: LineRequest;
  /** The path of the chip's device file. */
  readonly chipPath: string;
  /** The positions of the request's lines in the user's order. */
  readonly indices: readonly number[];
}

/** Options of line requests. */
interface RequestHow {
  readonly consumer: string;
  /** Returns the settings of the line at `index` in the user's order. */
  readonly settings: (index: number) => LineSettings;
}

/** Groups the lines by chip, by their positions. */
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
 * @throws {ToolError} If the kernel refuses; the text names the consumer of a
 * busy line.
 *
 * **Ownership**: `stack` releases them.
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
      return { request: stack.use(request), chipPath: chip.path, indices };
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      throw new ToolError(
        `unable to request lines on chip '${chip.path}': ${
          requestReason(error, indices.map((index) => lines[index]!))
        }`,
        { cause: error },
      );
    }
  });
}

/** Returns libgpiod's text for the reason, and further details. */
function requestReason(
  error: LineError,
  wanted: readonly SelectedLine[],
): string {
  const code = findErrnoCode(error);
  if (code === undefined) return error.message;
  if (code !== "EBUSY") return explainError(error) + extractDetail(error, code);
  const holders = wanted.map(({ id, chip, info: { offset } }) => {
    const holder = formatConsumer(chip.lineInfo(offset));
    return holder === undefined
      ? ""
      : `, '${printable(id)}' is held by "${nameText(holder)}"`;
  });
  return explainError(error) + (holders.join("") || extractDetail(error, code));
}

/** Returns the part of a message beyond its error number; empty for none. */
function extractDetail({ message }: LineError, code: string): string {
  const mark = `(${code})`;
  const at = message.lastIndexOf(mark);
  return at < 0 ? ` (${message})` : message.slice(at + mark.length);
}

/**
 * Reads all lines; those of one chip at the same time.
 *
 * @returns The values in the user's order.
 * @throws {ToolError} If a chip cannot be read.
 */
export function readValues(groups: readonly RequestGroup[]): Value[] {
  const values: Value[] = [];
  for (const { request, chipPath, indices } of groups) {
    try {
      for (const [bit, value] of request.getValues().entries()) {
        values[indices[bit]!] = value;
      }
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      throw new ToolError(
        `unable to read GPIO line values on chip '${chipPath}': ${
          explainError(error)
        }`,
        { cause: error },
      );
    }
  }
  return values;
}

/**
 * Returns the label of requested lines: the name by which the tool was called,
 * as one word, unless another is given.
 */
export function consumerLabel(
  asked: string | undefined,
  programName: string,
): string {
  return asked ?? programName.replaceAll(" ", "-");
}
