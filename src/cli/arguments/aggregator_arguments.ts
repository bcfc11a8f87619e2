/**
 * The options that describe one aggregator: its exposure, and its lines.
 *
 * @module
 */
import {
  EXPOSURE_OPTIONS,
  presentExposures,
} from "../../config/checks/exposures.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import {
  type AggregatorSpecification,
  type LineSpecification,
  MAX_LINES,
  type VfioUserSpecification,
  type VhostUserSpecification,
} from "../../config/specification.ts";
import { POLL, POLL_SHARE } from "../../config/values/polling.ts";
import { AGGREGATOR_NAME, PAUSED_FOR } from "../../config/values/values.ts";
import { absoluteExposure } from "./absolute_path.ts";
import { parseArgument } from "./arguments.ts";
import { readQemuPins, withLines } from "./qemu_pins_argument.ts";
import { readSocketArgument } from "./socket_argument.ts";
import { readUsbredir } from "./usbredir_argument.ts";

type Exposure = Pick<
  AggregatorSpecification,
  "vhostUser" | "qemuPins" | "vfioUser" | "usbredir"
>;

/**
 * Reads the options of one aggregator.
 *
 * @param how Correct usage of the command, for hints.
 * @returns Undefined if none of them begins an aggregator.
 * @throws {ConfigError} If they are invalid or contradictory.
 */
export function readAggregator(given: {
  "socket-path": string | undefined;
  "fd": string | undefined;
  "qemu-pins": string | undefined;
  "vfio-user": string | undefined;
  "usbredir": string | undefined;
  "name": string | undefined;
  "line": string[];
  "paused-for": string | undefined;
  "isolate": boolean;
}, how: string): AggregatorSpecification | undefined {
  const lines = readLines(given.line);
  const vhostUser = readExposure(given["socket-path"], given.fd);
  const exposure: Exposure | undefined = vhostUser !== undefined
    ? { vhostUser }
    : given["qemu-pins"] !== undefined
    ? { qemuPins: withLines(readQemuPins(given["qemu-pins"]), lines) }
    : given["vfio-user"] !== undefined
    ? { vfioUser: socketAt(given["vfio-user"], "--vfio-user") }
    : given.usbredir !== undefined
    ? { usbredir: readUsbredir(given.usbredir) }
    : undefined;
  if (exposure === undefined) {
    const [early] = given.line;
    const pausedFor = given["paused-for"];
    const stray = early !== undefined
      ? `--line ${early}`
      : given.name !== undefined
      ? `--name ${given.name}`
      : pausedFor !== undefined
      ? `--paused-for ${pausedFor}`
      : undefined;
    if (stray !== undefined) {
      throw new ConfigError(
        `must come after a ${EXPOSURE_OPTIONS.slice(0, -1).join(", ")} or ${
          EXPOSURE_OPTIONS.at(-1)
        }`,
        {
          path: stray,
          hint: `The lines follow their socket: ${how}`,
        },
      );
    }
    return undefined;
  }
  const { argument, defaultName } = presentExposures(exposure)[0]!;
  if (lines.length === 0) {
    throw new ConfigError("has no lines", {
      path: argument,
      hint: `Give it lines: ${how}; sim/8 makes eight simulated ones`,
    });
  }
  if (lines.length > MAX_LINES) {
    throw new ConfigError(
      `has ${lines.length} lines, but a virtio-gpio device has at most ${MAX_LINES}`,
      { path: argument },
    );
  }
  return {
    name: given.name === undefined
      ? defaultName
      : parseArgument(AGGREGATOR_NAME, given.name, "--name"),
    ...absoluteExposure(exposure),
    ...readPausedFor(given["paused-for"]),
    ...(given.isolate ? { isolate: "process" as const } : {}),
    lines,
  };
}

/** Settings of polling that are given. */
export type Polling = Pick<AggregatorSpecification, "pollUs" | "pollShare">;

/**
 * Reads how long rings are looked at after a request.
 *
 * @throws {ConfigError} If it is invalid.
 */
export function readPolling(
  poll: string | undefined,
  share: string | undefined,
): Polling {
  return {
    ...(poll === undefined
      ? {}
      : { pollUs: parseArgument(POLL, poll, "--poll") }),
    ...(share === undefined
      ? {}
      : { pollShare: parseArgument(POLL_SHARE, share, "--poll-share") }),
  };
}

function readPausedFor(
  text: string | undefined,
): Pick<AggregatorSpecification, "pausedForUs"> {
  return text === undefined
    ? {}
    : { pausedForUs: parseArgument(PAUSED_FOR, text, "--paused-for") };
}

/**
 * Reads SPECs, the lines of one aggregator in order.
 *
 * @throws {ConfigError} If one is invalid.
 */
export function readLines(specs: readonly string[]): LineSpecification[] {
  const lines: LineSpecification[] = [];
  let simCount = 0;
  for (const spec of specs) {
    // One by one: spreading 65,535 arguments would exhaust the stack.
    for (const line of parseLineSpec(spec, simCount)) {
      lines.push(line);
      if (line.source.kind === "sim") simCount++;
    }
  }
  return lines;
}

function readExposure(
  socketPath: string | undefined,
  fd: string | undefined,
): VhostUserSpecification | undefined {
  if (socketPath !== undefined) {
    return socketAt(socketPath, "--socket-path");
  }
  if (fd === undefined) return undefined;
  if (!/^\d+$/.test(fd)) {
    throw new ConfigError("is not a valid file descriptor number", {
      path: `--fd ${fd}`,
      hint: "Give the number of an open socket that this process inherited",
    });
  }
  return { fd: Number(fd) };
}

function socketAt(text: string, key: string): VfioUserSpecification {
  const { path, access } = readSocketArgument(text, key);
  return Object.keys(access).length === 0
    ? { socketPath: path }
    : { socketPath: path, access };
}
