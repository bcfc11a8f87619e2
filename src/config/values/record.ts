/**
 * The record of edges as people write it: `off`, `inputs`, `2000000,inputs`.
 *
 * @module
 */
import type { RecordSpecification } from "../specification.ts";
import { absolutePath, type TextKind } from "./values.ts";

const MIN_EDGES = 1000;
/** Most edges of a ring, of 16 bytes each. */
const MAX_EDGES = 64_000_000;
const DEFAULT_SIZE = 64_000_000;
const MAX_SIZE = 1e12;
const SIZE = /^(\d{1,6})(MB|GB)$/;
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

/** A number of edges that are kept. */
export const EDGE_COUNT: TextKind<number> = {
  expected: "a number of edges",
  read: (text) => {
    const count = /^\d{4,8}$/.test(text) ? Number(text) : 0;
    return count >= MIN_EDGES && count <= MAX_EDGES ? { value: count } : {
      problem: "is not a valid number of edges",
      hint: `It is from ${MIN_EDGES} to ${MAX_EDGES}`,
    };
  },
  schema: { type: "integer", minimum: MIN_EDGES, maximum: MAX_EDGES },
};

/** Path of the file of edges. */
export const RECORD_PATH: TextKind<string> = absolutePath(
  "an absolute path of a file",
);

/** Size of the files of edges. **Units**: bytes. */
export const RECORD_SIZE: TextKind<number> = {
  expected: "a size such as 64MB",
  read: (text) => {
    const [, count = "0", unit] = SIZE.exec(text) ?? [];
    const size = Number(count) * (unit === "GB" ? 1e9 : 1e6);
    return size > 0 && size <= MAX_SIZE ? { value: size } : {
      problem: "is not a valid size",
      hint: sizeHint(text),
    };
  },
  schema: { type: "string", pattern: SIZE.source },
};

/** Sizes as other programs write them: `10M`, `1 GiB`. */
const OTHER_SIZE = /^(\d{1,6}) ?([mg])(?:i?b)?$/i;

function sizeHint(text: string): string {
  const [, count, unit] = OTHER_SIZE.exec(text) ?? [];
  const meant = count === undefined
    ? ""
    : `Did you mean ${count}${unit!.toUpperCase()}B? `;
  return `${meant}It is from 1MB to 1000GB`;
}

/** A record of edges as keys say it. */
interface RecordKeys {
  readonly keep?: number | undefined;
  readonly inputs?: boolean | undefined;
  readonly file?: string | undefined;
  readonly size?: number | undefined;
}

/** Returns the record that keys mean. */
export function toRecordSpec(
  { keep, inputs = false, file, size = DEFAULT_SIZE }: RecordKeys,
): RecordSpecification {
  return {
    ...(keep === undefined ? {} : { keep }),
    withInputs: inputs,
    ...(file === undefined ? {} : { file: { path: file, size } }),
  };
}
