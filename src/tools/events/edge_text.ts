/**
 * Formats edges: in libgpiod's form or a custom one, as JSON, as CSV.
 *
 * @module
 */
import { csvRow } from "../../recording/csv.ts";
import type { Edge } from "./edge_reader.ts";
import { compileFormat } from "./event_format.ts";
import { timeFormatter, type TimeStyle } from "./event_options.ts";
import {
  addressMembers,
  jsonLine,
  quoted,
  type ShownLine,
  UNNAMED,
} from "../lines/line_text.ts";
import { secondsText, utcText } from "../../recording/time_text.ts";
import { localText, wallClock } from "./timestamps.ts";
import { nameText } from "../../text/names.ts";

/** Format of edges. */
interface EdgeTextOptions {
  readonly style: "text" | "json" | "csv";
  /** The custom format, which overrides the other forms. */
  readonly format: string | undefined;
  readonly time: TimeStyle;
  readonly unquoted: boolean;
  /** Monotonic timestamps are to be shown as those of the wall clock. */
  readonly toWall?: boolean;
}

/** Prints one edge: whole lines. */
export type EdgeText = (edge: Edge) => string;

/** CSV header of the rows of {@linkcode edgeFormatter}. */
export const CSV_HEADER = csvRow([
  "timestamp",
  "event",
  "value",
  "chip",
  "offset",
  "name",
  "line_seqno",
]);

const KINDS = ["falling", "rising"] as const;

/** Returns the function that formats edges of these lines. */
export function edgeFormatter(
  lines: readonly ShownLine[],
  options: EdgeTextOptions,
): EdgeText {
  const text = selectFormatter(lines, options);
  return options.toWall === true
    ? (edge) => text({ ...edge, timestampNs: wallClock(edge.timestampNs) })
    : text;
}

function selectFormatter(
  lines: readonly ShownLine[],
  { style, format, time, unquoted }: EdgeTextOptions,
): EdgeText {
  const timeText = timeFormatter(time);
  if (format !== undefined) {
    const text = compileFormat<Edge>(format, {
      o: ({ line }) => `${lines[line]!.info.offset}`,
      l: ({ line }) => nameText(lines[line]!.info.name) || UNNAMED,
      c: ({ line }) => lines[line]!.chip.name,
      e: ({ value }) => value === 1 ? "1" : "2",
      E: ({ value }) => KINDS[value],
      S: ({ timestampNs }) => secondsText(timestampNs),
      U: ({ timestampNs }) => utcText(timestampNs),
      L: ({ timestampNs }) => localText(timestampNs),
    });
    return (edge) => `${text(edge)}\n`;
  }
  if (style === "json") return (edge) => edgeJson(lines[edge.line]!, edge);
  if (style === "csv") {
    return ({ line, value, timestampNs, lineSeqno }) => {
      const { chip, info } = lines[line]!;
      return csvRow([
        timeText(timestampNs),
        KINDS[value],
        value,
        chip.name,
        info.offset,
        nameText(info.name),
        lineSeqno,
      ]);
    };
  }
  const places = lines.map((line) => placeText(line, unquoted));
  return ({ line, value, timestampNs }) =>
    `${timeText(timestampNs)}\t${KINDS[value]}\t${places[line]}\n`;
}

/**
 * Returns the line's name, or its chip and offset if the name is not
 * sufficient.
 */
export function placeText(
  { chip, info, knownByName }: ShownLine,
  unquoted: boolean,
): string {
  const name = quoted(info.name, unquoted);
  if (knownByName) return name;
  const place = `${chip.name} ${info.offset}`;
  return info.name === "" ? place : `${place} ${name}`;
}

function edgeJson(line: ShownLine, edge: Edge): string {
  const place = {
    line: line.id,
    ...addressMembers(line.chip.name, line.info),
  };
  const lost = edge.lost === 0
    ? ""
    : jsonLine({ event: "lost", count: edge.lost, ...place });
  return lost + jsonLine({
    event: KINDS[edge.value],
    timestampNs: edge.timestampNs,
    ...place,
    value: edge.value,
    seqno: edge.seqno,
    lineSeqno: edge.lineSeqno,
  });
}
