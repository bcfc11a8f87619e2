/**
 * The record of edges as people write it: `off`, `inputs`, `2000000,inputs`.
 *
 * @module
 */
import type { RecordSpecification } from "../specification.ts";
import type { TextKind } from "./values.ts";

const MIN_EDGES = 1000;
const MAX_EDGES = 64_000_000;
const TEXT = /^(?:(\d{4,8})(,inputs)?|(inputs))$/;

/** A record of edges. */
export const RECORD: TextKind<RecordSpecification> = {
  expected: "a record of edges",
  read: (text) => {
    if (text === "off") return { value: { keep: 0, withInputs: false } };
    const match = TEXT.exec(text);
    const keep = match?.[1] === undefined ? undefined : Number(match[1]);
    const isRight = match !== null &&
      (keep === undefined || keep >= MIN_EDGES && keep <= MAX_EDGES);
    return isRight
      ? {
        value: {
          ...(keep === undefined ? {} : { keep }),
          withInputs: text.endsWith("inputs"),
        },
      }
      : {
        problem: "is not a valid record of edges",
        hint: `It is off, inputs, or a number of edges from ${MIN_EDGES} to ` +
          `${MAX_EDGES}, and ",inputs" to record all inputs`,
      };
  },
  schema: {
    anyOf: [
      { type: "integer", minimum: MIN_EDGES, maximum: MAX_EDGES },
      { enum: ["off", false] },
      { type: "string", pattern: TEXT.source },
    ],
  },
};
