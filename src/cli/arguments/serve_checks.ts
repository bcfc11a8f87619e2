/**
 * Options of `gpioagg serve` that contradict each other.
 *
 * @module
 */
import { presentExposures } from "../../config/checks/exposures.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";

/** @throws {ConfigError} If another process could not serve the same. */
export function checkStandby(
  config: string | undefined,
  aggregators: readonly AggregatorSpecification[],
): void {
  const given = aggregators.find(({ vhostUser }) =>
    vhostUser !== undefined && "fd" in vhostUser
  );
  if (given !== undefined) {
    throw new ConfigError("cannot be combined with --fd", {
      path: "--standby",
      hint: "Give the aggregator a --socket-path; a service manager can " +
        "listen at it, by the aggregator's name",
    });
  }
  if (config === "-") {
    throw new ConfigError("cannot be combined with --config -", {
      path: "--standby",
      hint: "Give the name of a file: each process reads it",
    });
  }
}

/** @throws {ConfigError} If two aggregators have one name or one place. */
export function checkUnique(
  aggregators: readonly AggregatorSpecification[],
): void {
  const names = new Set<string>();
  const endpoints = new Set<string>();
  for (const aggregator of aggregators) {
    const { name } = aggregator;
    const { argument } = presentExposures(aggregator)[0]!;
    if (endpoints.has(argument)) {
      throw new ConfigError("is given twice", { path: argument });
    }
    if (names.has(name)) {
      throw new ConfigError(`the name "${name}" is given twice`, {
        path: argument,
        hint: "Give the aggregators different names with --name",
      });
    }
    endpoints.add(argument);
    names.add(name);
  }
}
