/**
 * From the body of a request to the specification of an aggregator.
 *
 * @module
 */
import {
  CREATE_REQUEST,
  FORCE_REQUEST,
  LEASE_REQUEST,
  MAX_CREATED_LINES,
  PLAY_REQUEST,
  PULL_REQUEST,
  RULES_REQUEST,
} from "../../../client/requests.ts";
import type { PlayRequest } from "../../../client/play.ts";
import type { RuleChangeState } from "../../../client/protocol.ts";
import type { Meaning } from "../../../client/message_schema.ts";
import { ConfigError } from "../../../config/document/config_error.ts";
import { Problems } from "../../../config/document/problems.ts";
import { readLineSpec } from "../../../config/spec/line_spec.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../../../config/specification.ts";
import { changedLine } from "../../../config/values/rule_changes.ts";
import { readMessage } from "../requests/body.ts";
import { type CreationRules, makeExposure } from "./exposure.ts";

/** A validated request to create an aggregator. */
export interface Creation {
  specification: AggregatorSpecification;
  lease: "stream" | "none";
}

type CreateMeaning = Meaning<typeof CREATE_REQUEST>;

/** Changes of rules by lineNumber, as clients sent them. */
export type RuleChanges = Readonly<Record<string, RuleChangeState>>;

/**
 * Reads the body of a request to create an aggregator.
 *
 * @param changes Changes of its rules since.
 * @throws {ConfigError} If the body is invalid; its path is that of the value
 * in the body.
 */
export function readCreation(
  body: unknown,
  rules: CreationRules,
  changes: RuleChanges = {},
): Creation {
  const request = readMessage(CREATE_REQUEST, body);
  const problems = new Problems();
  const { name, lease = "stream" } = request;
  const written = readLines(request.lines, problems);
  // A line that is not understood would be reported again by what follows.
  problems.throwFirst();
  const lines = changedLines(written, changes, problems);
  problems.throwFirst();
  const exposure = makeExposure(request, lines, rules, problems);
  const specification = {
    name,
    ...exposure,
    ...readPausedFor(request, exposure, problems),
    ...readIsolate(request, lines, problems),
    lines,
  };
  problems.throwFirst();
  return { lease, specification };
}

/**
 * Reads the body of a request to change rules of lines.
 *
 * @throws {ConfigError} If the body is invalid.
 */
export function readRules(body: unknown): [string, RuleChangeState][] {
  const read = readMessage(RULES_REQUEST, body);
  const { rules } = body as { rules: Record<string, RuleChangeState> };
  return read.rules.map(({ key }) => [key, rules[key]!]);
}

/**
 * Reads the body of a request to force lines.
 *
 * @throws {ConfigError} If the body is invalid.
 */
export function readForce(body: unknown): {
  lines: [line: string, value: 0 | 1][];
  forMs: number;
  reason: string;
  isLeased: boolean;
} {
  const { lines, for: forUs, reason, lease } = readMessage(FORCE_REQUEST, body);
  return {
    lines: lines.map(({ key, value }) => [key, value]),
    forMs: forUs / 1000,
    reason,
    isLeased: lease !== "none",
  };
}

/** Applies changes of rules to lines. */
function changedLines(
  lines: readonly LineSpecification[],
  changes: RuleChanges,
  problems: Problems,
): readonly LineSpecification[] {
  if (Object.keys(changes).length === 0) return lines;
  const { rules } = readMessage(RULES_REQUEST, { rules: changes });
  const result = [...lines];
  for (const { key, path, value } of rules) {
    const line = result[Number(key)];
    if (line === undefined) {
      throw new ConfigError("is not the number of a line", { path });
    }
    const changed = changedLine(line, {
      direction: value.direction,
      initial: value.initial,
      safe: value.safe,
      "on-disconnect": value.onDisconnect,
      "safe-after": value.safeAfter,
      "min-interval": value.minInterval,
    }, problems.at({ path }));
    if (changed !== undefined) result[Number(key)] = changed;
  }
  return result;
}

/**
 * Reads the body of a request to set simulated lines.
 *
 * @throws {ConfigError} If the body is invalid.
 */
export function readPulls(body: unknown): [line: string, level: 0 | 1][] {
  const { pull } = readMessage(PULL_REQUEST, body);
  return pull.map(({ key, value }) => [key, value]);
}

/**
 * Reads the body of a request to take a lease back.
 *
 * @returns Its token.
 * @throws {ConfigError} If the body is invalid.
 */
export function readToken(body: unknown): string {
  return readMessage(LEASE_REQUEST, body).token;
}

/**
 * Reads the body of a request to play values into simulated lines.
 *
 * @throws {ConfigError} If the body is invalid.
 */
export function readPlay(body: unknown): PlayRequest {
  const request = readMessage(PLAY_REQUEST, body) as PlayRequest;
  if (!/^\d{1,19}$/.test(request.from)) {
    throw new ConfigError("is not a time in nanoseconds", {
      path: "from",
      hint: "Send nanoseconds since 1970 as a string",
    });
  }
  let last = 0;
  for (const [i, { afterNs }] of request.steps.entries()) {
    if (!Number.isSafeInteger(afterNs) || afterNs < last) {
      throw new ConfigError("is before the step in front of it", {
        path: `steps.${i}.afterNs`,
        hint: "Send steps in order of time, 0 or later",
      });
    }
    last = afterNs;
  }
  return request;
}

/** Limits the chips of a client's line to device files. */
function onDevicesOnly(line: LineSpecification): LineSpecification {
  const { source } = line;
  return source.kind === "chip" || source.kind === "line-name"
    ? { ...line, source: { ...source, devicesOnly: true } }
    : line;
}

function readPausedFor(
  { pausedFor }: CreateMeaning,
  { vhostUser }: Pick<AggregatorSpecification, "vhostUser">,
  problems: Problems,
): Pick<AggregatorSpecification, "pausedForUs"> {
  if (pausedFor === undefined) return {};
  if (vhostUser === undefined) {
    problems.add(
      { path: "pausedFor" },
      "is for a vhost-user socket only",
      "Leave it out",
    );
  }
  return { pausedForUs: pausedFor };
}

function readIsolate(
  { isolate, kernelChip }: CreateMeaning,
  lines: readonly LineSpecification[],
  problems: Problems,
): Pick<AggregatorSpecification, "isolate"> {
  if (isolate !== "process") return {};
  if (kernelChip !== undefined) {
    problems.add(
      { path: "isolate" },
      "is not possible: the kernel serves a kernel chip",
      "Leave it out",
    );
  }
  for (const { shared, combine, origin } of lines) {
    if (shared !== true && combine === undefined) continue;
    problems.add(
      { path: origin },
      `${shared === true ? "shared" : "combine"} works within one process, ` +
        "but this aggregator has a process of its own",
      "Leave isolate out",
    );
  }
  return { isolate };
}

function readLines(
  specs: readonly string[],
  problems: Problems,
): LineSpecification[] {
  const lines: LineSpecification[] = [];
  const before = problems.count;
  let simCount = 0;
  for (const spec of specs) {
    // One problem is answered, and each may cost a search.
    if (problems.count > before) break;
    for (const line of readLineSpec(spec, problems, simCount)) {
      lines.push(onDevicesOnly(line));
      if (line.source.kind === "sim") simCount++;
    }
    if (lines.length > MAX_CREATED_LINES) {
      problems.add(
        { path: "lines" },
        `has more than the ${MAX_CREATED_LINES} lines that a client may ask for`,
        "Make two aggregators",
      );
      break;
    }
  }
  return lines;
}

/** Returns changes with later ones. */
export function merged(before: RuleChanges, later: RuleChanges): RuleChanges {
  const result = { ...before };
  for (const [line, change] of Object.entries(later)) {
    result[line] = { ...result[line], ...change };
  }
  return result;
}
