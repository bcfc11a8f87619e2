/**
 * What the ways to present an aggregator demand of it, and of each other.
 *
 * @module
 */
import type { ConfigPlace } from "./config_error.ts";
import type { Problems } from "./problems.ts";
import { RULE_KEYS } from "./rules.ts";
import { checkTogether } from "./second_exposure.ts";
import {
  controlPathOf,
  kernelNameProblem,
  MAX_KERNEL_CHIP_LINES,
  type QemuPinsSpecification,
} from "./specification.ts";
import {
  keyPlace,
  placeIn,
  where,
  type WrittenAggregator,
  type WrittenConfig,
  type WrittenLine,
} from "./written.ts";

/** Pins of a PL061. */
const PL061_PINS = 8;

/** Checks every exposure, and that no two sockets are at one place. */
export function checkExposures(
  config: WrittenConfig,
  problems: Problems,
): void {
  checkEndpoints(config, problems);
  for (const aggregator of config.aggregators) {
    checkTogether(aggregator, problems);
    if (aggregator.exposure.qemuPins !== undefined) {
      checkPins(aggregator, problems);
    }
    if (aggregator.exposure.kernelChip !== undefined) {
      checkKernelChip(aggregator, problems);
    }
  }
}

/** A socket that somebody stands at. */
interface Endpoint {
  /** Its path, or the number of its fd. */
  at: string;
  /** What it is: `a's QMP socket`. */
  what: string;
  place: ConfigPlace;
}

/**
 * A socket serves one: a second listener has no place there, and QEMU's own
 * sockets take one client at a time.
 */
function checkEndpoints(
  { aggregators, api }: WrittenConfig,
  problems: Problems,
): void {
  const taken = new Map<string, Endpoint>();
  const claim = (endpoints: readonly Endpoint[]) => {
    let isToldOf = false;
    for (const endpoint of endpoints) {
      const key = plainPath(endpoint.at);
      const other = taken.get(key);
      taken.set(key, endpoint);
      // What hangs on a socket that is taken is taken with it.
      if (other === undefined || isToldOf) continue;
      isToldOf = true;
      problems.add(
        endpoint.place,
        `${endpoint.at} is ${other.what} already`,
        `That one stands ${where(other.place)}; each socket serves one`,
      );
    }
  };
  for (const aggregator of aggregators) claim(endpointsOf(aggregator));
  const { socket, look } = api?.specification ?? {};
  const ofApi = (key: string, what: string, path: string | undefined) =>
    claim(
      path === undefined
        ? []
        : [{ at: path, what, place: api!.places.get(key)! }],
    );
  ofApi("socket", "the control API's socket", socket?.path);
  ofApi("look", "the control API's socket to look at", look?.path);
}

function endpointsOf(aggregator: WrittenAggregator): Endpoint[] {
  const { name, exposure } = aggregator;
  const { vhostUser, qemuPins, control } = exposure;
  const endpoints: Endpoint[] = [];
  const add = (key: string, at: string, what: string) =>
    endpoints.push({
      at,
      what: `${name}'s ${what}`,
      place: placeIn(aggregator, key),
    });
  const first = vhostUser === undefined ? "qemu-pins" : "vhost-user";
  const addControl = (key: string, socket: string | undefined) => {
    const path = key === first ? control?.path : undefined;
    if (path !== undefined) add("control", path, "control socket");
    else if (socket !== undefined) {
      add(key, controlPathOf(socket), "control socket");
    }
  };
  if (vhostUser !== undefined) {
    const isFd = "fd" in vhostUser;
    add(
      "vhost-user",
      isFd ? `fd ${vhostUser.fd}` : vhostUser.socketPath,
      "vhost-user socket",
    );
    addControl("vhost-user", isFd ? undefined : vhostUser.socketPath);
  }
  if (qemuPins !== undefined) {
    add("qemu-pins", qemuPins.qtest, "qtest socket");
    add("qemu-pins", qemuPins.qmp, "QMP socket");
    addControl("qemu-pins", qemuPins.qtest);
  }
  return endpoints;
}

/** The same text for the same path, as far as its words show it. */
function plainPath(path: string): string {
  return path.replace(/\/(\.?\/)+/g, "/").replace(/^\.\//, "");
}

function checkPins(aggregator: WrittenAggregator, problems: Problems): void {
  const { exposure, lines } = aggregator;
  const found = pinsProblem(exposure.qemuPins!, lines.length);
  if (found === undefined) return;
  problems.add(placeIn(aggregator, "qemu-pins"), found.problem, found.hint);
}

/** What is wrong with the pins of an exposure of so many lines, if anything. */
export function pinsProblem(
  { device, pins }: QemuPinsSpecification,
  lineCount: number,
): { problem: string; hint: string } | undefined {
  if (device !== "pl061") return undefined;
  const named = pins?.find(({ name }) => name !== undefined);
  if (named !== undefined) {
    return {
      problem: `"${named.name}" is no pin of a PL061: its pins have no names`,
      hint: `They are the numbers 0 to ${PL061_PINS - 1}`,
    };
  }
  const highest = pins === undefined
    ? lineCount - 1
    : Math.max(...pins.map(({ pin }) => pin));
  return highest < PL061_PINS ? undefined : {
    problem: `a PL061 has pins 0 to ${
      PL061_PINS - 1
    }, but there is pin ${highest}`,
    hint: "Say with pins: which lines are at its pins",
  };
}

/** The kernel's own aggregator moves lines, and can do nothing else. */
function checkKernelChip(
  aggregator: WrittenAggregator,
  problems: Problems,
): void {
  const { lines, exposure } = aggregator;
  if (exposure.control !== undefined) {
    problems.add(
      placeIn(aggregator, "control"),
      "a kernel chip has no control socket",
      "Leave control out: the kernel serves the chip",
    );
  }
  if (lines.length > MAX_KERNEL_CHIP_LINES) {
    problems.add(
      placeIn(aggregator, "kernel-chip"),
      `has ${lines.length} lines, but the kernel takes at most ` +
        `${MAX_KERNEL_CHIP_LINES}`,
    );
  }
  for (const written of lines) checkKernelLine(written, problems);
}

function checkKernelLine(written: WrittenLine, problems: Problems): void {
  const { source: { kind }, name } = written.line;
  const found = name === undefined ? undefined : kernelNameProblem(name);
  if (found !== undefined) {
    problems.add(keyPlace(written, "as"), found.problem, found.hint);
  }
  if (kind !== "chip" && kind !== "line-name") {
    problems.add(
      keyPlace(written, kind),
      "a kernel chip is made of host lines only",
      "Present this aggregator by vhost-user instead",
    );
  }
  for (const key of RULE_KEYS) {
    if (key === "as" || !written.keys.has(key)) continue;
    problems.add(
      keyPlace(written, key),
      `the kernel's aggregator knows no rules, so no "${key}"`,
      "Present this aggregator by vhost-user instead, or leave the rule out",
    );
  }
}
