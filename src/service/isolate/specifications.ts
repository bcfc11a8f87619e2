/**
 * Specifications for the process that takes the place of one that died.
 *
 * @module
 */
import type { AggregatorSpecification } from "../../config/specification.ts";

/** One rule never becomes active because another one ended. */
export function withoutInitial(
  specification: AggregatorSpecification,
): AggregatorSpecification {
  return {
    ...specification,
    lines: specification.lines.map(({ initial: _, ...line }) => line),
  };
}

/** Its lines and their rules, useless to any guest. */
export function withoutExposure({
  vhostUser: _vhostUser,
  qemuPins: _pins,
  vfioUser: _card,
  usbredir: _adapters,
  control: _control,
  ...rest
}: AggregatorSpecification): AggregatorSpecification {
  return rest;
}
