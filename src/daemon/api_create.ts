/**
 * From the body of a request to the specification of an aggregator.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import {
  type AggregatorSpecification,
  type FileAccess,
  type LineSpecification,
  MAX_LINES,
} from "../config/specification.ts";

/** What a client asked for, validated. */
export interface Creation {
  specification: AggregatorSpecification;
  lease: "stream" | "none";
}

/** Where and for whom aggregators of clients get their sockets. */
export interface CreationRules {
  socketDirectory: string;
  socketAccess: FileAccess;
}

const HINT = 'Send {"name": "plc0", "lines": ["gpiochip0/0-7", "sim/4"]}';
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}$/;

/**
 * Reads the body of a request to make an aggregator.
 *
 * @throws {ConfigError} If it is none; the path says where.
 */
export function readCreation(body: unknown, rules: CreationRules): Creation {
  const { name, lines, lease = "stream", socket = {}, ...rest } = record(
    body,
    "the body",
  );
  noOthers(rest, "");
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
  return {
    lease,
    specification: {
      name,
      vhostUser: {
        socketPath: `${rules.socketDirectory}/${name}.sock`,
        access: { ...rules.socketAccess, ...readAccess(socket) },
      },
      lines: readLines(lines),
    },
  };
}

/**
 * Reads the body of a request to pull simulated lines.
 *
 * @throws {ConfigError} If it is none.
 */
export function readPulls(body: unknown): [line: string, level: 0 | 1][] {
  const { pull, ...rest } = record(body, "the body");
  noOthers(rest, "");
  return Object.entries(record(pull, "pull")).map(([line, level]) => {
    if (level !== 0 && level !== 1) {
      throw new ConfigError("is 0 or 1", { path: `pull.${line}` });
    }
    return [line, level];
  });
}

/**
 * Reads who may use a socket.
 *
 * @throws {ConfigError} If the mode is no mode.
 */
export function readAccess(value: unknown): FileAccess {
  const { mode, owner, group, ...rest } = record(value, "socket");
  noOthers(rest, "socket.");
  const access: FileAccess = {};
  if (mode !== undefined) {
    if (typeof mode !== "string" || !/^0?[0-7]{3}$/.test(mode)) {
      throw new ConfigError("is three octal digits, such as 660", {
        path: "socket.mode",
      });
    }
    access.mode = parseInt(mode, 8);
  }
  for (const [key, text] of Object.entries({ owner, group })) {
    if (text === undefined) continue;
    if (typeof text !== "string" || text === "") {
      throw new ConfigError("is a name or a number, as a string", {
        path: `socket.${key}`,
      });
    }
    access[key as "owner" | "group"] = text;
  }
  return access;
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
    if (lines.length > MAX_LINES) {
      throw new ConfigError(
        `has more than the ${MAX_LINES} lines of a virtio-gpio device`,
        { path: "lines" },
      );
    }
  }
  return lines;
}

function record(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new ConfigError("is a JSON object", { path });
}

function noOthers(rest: Record<string, unknown>, prefix: string): void {
  const [key] = Object.keys(rest);
  if (key !== undefined) {
    throw new ConfigError("is no key that is known here", {
      path: prefix + key,
    });
  }
}
