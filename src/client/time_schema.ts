/**
 * Schema of times in messages.
 *
 * @module
 */
import {
  integer,
  number,
  type Optional,
  optional,
  type Schema,
} from "./message_schema.ts";

/** Latest time that a date can have. **Units**: milliseconds since 1970. */
const MOST_TIME_MS = 8.64e15;

/** A time that a date can have. **Units**: milliseconds since 1970. */
export function time(description: string): Schema<number> {
  const any = number({ description });
  return {
    ...any,
    check(value, path, report) {
      if (!any.check(value, path, report)) return false;
      const isTime = Math.abs(value as number) <= MOST_TIME_MS;
      if (!isTime) report({ path, problem: "is not a time", hint: "" });
      return isTime;
    },
  };
}

/** A period, which may be left out. **Units**: microseconds. */
export function microseconds(description: string): Optional<Schema<number>> {
  return optional(
    integer({ minimum: 0, description: `${description}, in us` }),
  );
}
