/**
 * Requirements of the ways to present an aggregator, and between them.
 *
 * @module
 */
import type { ConfigPosition } from "../document/config_error.ts";
import type { Problems } from "../document/problems.ts";
import {
  checkKernelDevice,
  checkKernelKeys,
  checkKernelLines,
  needsUsb,
} from "./kernel_lines.ts";
import { presentExposures } from "./exposures.ts";
import { checkUsb } from "./pin_numbers.ts";
import { checkSecondNames, checkTogether } from "./second_exposure.ts";
import { AGGREGATOR_NAME, CHIP_NAME, readValue } from "../values/values.ts";
import {
  type DraftAggregator,
  type DraftConfig,
  keyPosition,
  positionIn,
  where,
} from "./draft.ts";

/** Checks every exposure, and that no two sockets are at one place. */
export function checkExposures(
  config: DraftConfig,
  problems: Problems,
): void {
  checkEndpoints(config, problems);
  checkSecondNames(config.aggregators, problems);
  for (const aggregator of config.aggregators) {
    checkTogether(aggregator, problems);
    checkPausedFor(aggregator, problems);
    checkPolling(aggregator, problems);
    for (const each of presentExposures(aggregator.exposure)) {
      const report = problems.at(positionIn(aggregator, each.name));
      each.check(aggregator.lines.length, report);
    }
    if (aggregator.exposure.kernelChip !== undefined) {
      checkKernelChip(aggregator, problems);
    }
  }
}

/** A socket that is in use. */
interface Endpoint {
  /** Its path, or the number of its fd. */
  at: string;
  /** Subject of messages: `a's QMP socket`. */
  what: string;
  position: ConfigPosition;
}

/**
 * A socket serves one: a second listener has no place there, and QEMU's own
 * sockets take one client at a time.
 */
function checkEndpoints(
  { aggregators, api }: DraftConfig,
  problems: Problems,
): void {
  const taken = new Map<string, Endpoint>();
  const claim = (endpoints: readonly Endpoint[]) => {
    let isToldOf = false;
    for (const endpoint of endpoints) {
      // One that could not be read is reported as that.
      if (endpoint.at === "") continue;
      const key = plainPath(endpoint.at);
      const other = taken.get(key);
      taken.set(key, endpoint);
      // What hangs on a socket that is taken is taken with it.
      if (other === undefined || isToldOf) continue;
      isToldOf = true;
      problems.add(
        endpoint.position,
        `${endpoint.at} is ${other.what} already`,
        `That one is ${where(other.position)}; each socket serves one`,
      );
    }
  };
  for (const aggregator of aggregators) claim(listEndpoints(aggregator));
  const { socket, look } = api?.specification ?? {};
  const ofApi = (key: string, what: string, path: string | undefined) =>
    claim(
      path === undefined
        ? []
        : [{ at: path, what, position: api!.positions.get(key)! }],
    );
  ofApi("socket", "the control API's socket", socket?.path);
  ofApi("look", "the control API's socket to look at", look?.path);
}

function listEndpoints(aggregator: DraftAggregator): Endpoint[] {
  const { name, exposure, lines } = aggregator;
  const endpoints: Endpoint[] = [];
  const add = (key: string, at: string, title: string) =>
    endpoints.push({
      at,
      what: `${name}'s ${title}`,
      position: positionIn(aggregator, key),
    });
  for (const [i, each] of presentExposures(exposure).entries()) {
    for (const { path, title } of each.sockets(lines.length)) {
      add(each.name, path, title);
    }
    // It names the control socket of the first one.
    const path = i === 0 ? exposure.control?.path : undefined;
    if (path !== undefined) add("control", path, "control socket");
    else if (each.controlPath !== undefined) {
      add(each.name, each.controlPath, "control socket");
    }
  }
  return endpoints;
}

/** The same text for the same path, as far as its words show it. */
function plainPath(path: string): string {
  return path.replace(/\/(\.?\/)+/g, "/").replace(/^\.\//, "");
}

/** Only a vhost-user frontend leaves open whether its guest is paused. */
function checkPausedFor(
  aggregator: DraftAggregator,
  problems: Problems,
): void {
  const { exposure } = aggregator;
  if (exposure.pausedForUs === undefined || exposure.vhostUser !== undefined) {
    return;
  }
  problems.add(
    positionIn(aggregator, "paused-for"),
    "paused-for is for vhost-user only",
    "Leave it out: " +
      (exposure.kernelChip !== undefined
        ? "the kernel serves the chip"
        : "QEMU itself reports pauses and resets"),
  );
}

/** Only rings in shared memory can be looked at. */
function checkPolling(
  aggregator: DraftAggregator,
  problems: Problems,
): void {
  const { vhostUser, pollUs, pollShare } = aggregator.exposure;
  if (vhostUser !== undefined) return;
  for (const [key, value] of [["poll", pollUs], ["poll-share", pollShare]]) {
    if (value === undefined) continue;
    problems.add(
      positionIn(aggregator, `${key}`),
      `${key} is for vhost-user only`,
      "Leave it out: other exposures have no rings in shared memory",
    );
  }
}

/**
 * The kernel's own aggregator moves lines, and can do nothing else. What it
 * cannot do, USB adapters can.
 */
function checkKernelChip(
  aggregator: DraftAggregator,
  problems: Problems,
): void {
  const { name, position, lines, exposure } = aggregator;
  // Another invalid name has been reported already.
  if ("value" in AGGREGATOR_NAME.read(name)) {
    readValue(CHIP_NAME, name, problems.at(position));
  }
  checkKernelDevice(
    exposure.kernelChip!,
    problems,
    positionIn(aggregator, "kernel-chip"),
  );
  if (needsUsb(exposure.kernelChip!, lines.map(({ line }) => line))) {
    return checkUsb(
      lines.length,
      problems.at(positionIn(aggregator, "kernel-chip")),
    );
  }
  if (exposure.control !== undefined) {
    problems.add(
      positionIn(aggregator, "control"),
      "a kernel chip has no control socket",
      "Leave control out: the kernel serves the chip",
    );
  }
  const written = new Map(lines.map((each) => [each.line, each]));
  checkKernelLines(
    lines.filter(({ isSound }) => isSound).map(({ line }) => line),
    problems,
    (line, key) =>
      key === undefined
        ? positionIn(aggregator, "kernel-chip")
        : keyPosition(written.get(line)!, key),
  );
  /** A SPEC or mapping of several lines is reported once. */
  const entries = new Map(lines.map((each) => [each.position, each]));
  for (const entry of entries.values()) {
    if (!entry.isSound) continue;
    checkKernelKeys(
      entry.line,
      entry.keys.keys(),
      (key, problem, hint) =>
        problems.add(keyPosition(entry, key), problem, hint),
    );
  }
}
