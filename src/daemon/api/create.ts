/**
 * From the body of a request to the specification of an aggregator.
 *
 * @module
 */
import { ConfigError } from "../../config/config_error.ts";
import { parseLineSpec } from "../../config/line_spec.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../../config/specification.ts";
import { readRecord, refuseOthers } from "./body.ts";
import { type CreationRules, readExposure } from "./exposure.ts";

/** What a client asked for, validated. */
export interface Creation {
  specification: AggregatorSpecification;
  lease: "stream" | "none";
}

/**
 * Lines of a client's aggregator. Taking them is one turn of the reactor, in
 * which no guest is served: about 10 us for each. (What the service itself is
 * started with may have the 65535 of a virtio-gpio device.)
 */
export const MAX_CREATED_LINES = 4096;

const HINT = 'Send {"name": "plc0", "lines": ["gpiochip0/0-7", "sim/4"]}';
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads the body of a request to make an aggregator.
 *
 * @throws {ConfigError} If it is none; the path says where.
 */
export function readCreation(body: unknown, rules: CreationRules): Creation {
  const {
    name,
    lines: specs,
    lease = "stream",
    socket,
    kernelChip,
    qemuPins,
    ...rest
  } = readRecord(body, "the body");
  refuseOthers(rest, "");
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new ConfigError(
      "is 1 to 64 letters, digits, dots, dashes and underscores, and does not " +
        "begin with a dot or a dash",
      { path: "name", hint: HINT },
    );
  }
  if (lease !== "stream" && lease !== "none") {
    throw new ConfigError('is "stream" or "none"', { path: "lease" });
  }
  const lines = readLines(specs);
  const keys = { socket, kernelChip, qemuPins };
  return {
    lease,
    specification: {
      name,
      ...readExposure(name, lines, keys, rules),
      lines,
    },
  };
}

/**
 * Reads the body of a request to pull simulated lines.
 *
 * @throws {ConfigError} If it is none.
 */
export function readPulls(body: unknown): [line: string, level: 0 | 1][] {
  const { pull, ...rest } = readRecord(body, "the body");
  refuseOthers(rest, "");
  return Object.entries(readRecord(pull, "pull")).map(([line, level]) => {
    if (level !== 0 && level !== 1) {
      throw new ConfigError("is 0 or 1", { path: `pull.${line}` });
    }
    return [line, level];
  });
}

function readLines(value: unknown): LineSpecification[] {
  if (!Array.isArray(value) || value.length === 0) {
    throw new ConfigError("is a list of at least one line SPEC", {
      path: "lines",
      hint: HINT,
    });
  }
  const lines: LineSpecification[] = [];
  for (const [i, spec] of value.entries()) {
    if (typeof spec !== "string") {
      throw new ConfigError("is a string", { path: `lines[${i}]`, hint: HINT });
    }
    const simCount = lines.filter(({ source }) => source.kind === "sim").length;
    for (const line of parseLineSpec(spec, simCount)) lines.push(line);
    if (lines.length > MAX_CREATED_LINES) {
      throw new ConfigError(
        `has more than the ${MAX_CREATED_LINES} lines that a client may ask for`,
        { path: "lines", hint: "Make two aggregators" },
      );
    }
  }
  return lines;
}
