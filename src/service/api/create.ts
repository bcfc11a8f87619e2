/**
 * From the body of a request to the specification of an aggregator.
 *
 * @module
 */
import {
  CREATE_REQUEST,
  MAX_CREATED_LINES,
  PLAY_REQUEST,
  PULL_REQUEST,
} from "../../client/requests.ts";
import type { PlayRequest } from "../../client/play.ts";
import type { Meaning } from "../../client/message_schema.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { Problems } from "../../config/document/problems.ts";
import { readLineSpec } from "../../config/spec/line_spec.ts";
import type {
  AggregatorSpecification,
  LineSpecification,
} from "../../config/specification.ts";
import { readMessage } from "./body.ts";
import { type CreationRules, exposureOf } from "./exposure.ts";

/** A validated request to create an aggregator. */
export interface Creation {
  specification: AggregatorSpecification;
  lease: "stream" | "none";
}

type CreateMeaning = Meaning<typeof CREATE_REQUEST>;

/**
 * Reads the body of a request to create an aggregator.
 *
 * @throws {ConfigError} If the body is invalid; its path is that of the value
 * in the body.
 */
export function readCreation(body: unknown, rules: CreationRules): Creation {
  const request = readMessage(CREATE_REQUEST, body);
  const problems = new Problems();
  const { name, lease = "stream" } = request;
  const lines = readLines(request.lines, problems);
  // A line that is not understood would be reported again by what follows.
  problems.throwFirst();
  const exposure = exposureOf(request, lines, rules, problems);
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
 * Reads the body of a request to set simulated lines.
 *
 * @throws {ConfigError} If the body is invalid.
 */
export function readPulls(body: unknown): [line: string, level: 0 | 1][] {
  const { pull } = readMessage(PULL_REQUEST, body);
  return pull.map(({ key, value }) => [key, value]);
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
