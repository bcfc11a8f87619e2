/**
 * Messages of the control API about edges, see `messages.ts`.
 *
 * @module
 */
import type { Edge, History, HistoryLine } from "./edges.ts";
import {
  type Describes,
  enumeration,
  flag,
  integer,
  list,
  object,
  optional,
  reference,
  text,
} from "./message_schema.ts";

/** Causes of a change of a line. */
export const CAUSES = ["world", "guest", "rule", "operator", "follow"] as const;
/** Number of a line in its aggregator. */
export const LINE_NUMBER = integer({ minimum: 0 });
/** Direction of a line. */
export const DIRECTION = enumeration(["input", "output"]);

const nanoseconds = (description: string) =>
  text({
    description: `${description}, in nanoseconds since 1970`,
    pattern: "^\\d+$",
    examples: ["1764428400123456789"],
  });

/** Keys of a line at one moment. */
const LEVEL_FIELDS = {
  aggregator: text(),
  line: text({ description: "Name of the line; its number if it has none" }),
  lineNumber: LINE_NUMBER,
  value: optional(enumeration([0, 1], {
    description:
      "1 is active; absent if it is not known, or the chip is absent",
  })),
  direction: DIRECTION,
  present: flag({ description: "False while the chip is absent" }),
};

/** A line in an answer of the past. */
export const HISTORY_LINE = object({
  ...LEVEL_FIELDS,
  begins: optional(nanoseconds(
    "Time when the line begins, if that is after the begin of the answer: it " +
      "is absent before",
  )),
  ends: optional(nanoseconds(
    "Time when the line ends, if that is before the end of the answer: it is " +
      "absent from then on",
  )),
}, {
  notes: {
    description: "A line from its creation to its removal; one that was " +
      "removed and made again is there twice",
  },
}) satisfies Describes<HistoryLine>;

/** A change of a line. */
export const EDGE = object({
  number: integer({
    minimum: 0,
    description: "Order number: rises by 1 from edge to edge of one process, " +
      "the service or that of an isolated aggregator",
  }),
  time: nanoseconds("Time of the edge, the kernel's where it has one"),
  ...LEVEL_FIELDS,
  kind: enumeration(["presence", "direction", "value"], {
    description: "Change; the first that applies",
  }),
  cause: enumeration(CAUSES, {
    description: "Origin: the hardware, the guest, a rule of the line, a " +
      "request of an operator, or a line that this one follows",
  }),
  rule: optional(text({
    description: "Rule that changed the line",
    examples: ["safe-after", "on-disconnect", "interlock", "start"],
  })),
}, {
  notes: { description: "A change of a line, with its state afterwards" },
}) satisfies Describes<Edge>;

/** Changes of lines. */
export const EDGES = list(reference("Edge", EDGE));

/** Changes of the past. */
export const HISTORY = object({
  from: nanoseconds("Begin of what the answer covers"),
  to: nanoseconds("End of what was asked for, or the time of the answer"),
  lines: list(reference("HistoryLine", HISTORY_LINE), {
    description:
      "State of each line at the begin, or where the line begins later",
  }),
  edges: EDGES,
  lost: integer({
    minimum: 0,
    description: "Number of edges that are not kept any more, some of which " +
      "may belong here; 0 if the answer is complete",
  }),
  notes: optional(list(text(), {
    description: "Remarks on what could not be read of the file of edges",
  })),
  next: optional(nanoseconds(
    "Begin of the next request, if there are more edges than its limit; edges " +
      "of that very time may come twice, with the same number",
  )),
}) satisfies Describes<History>;
