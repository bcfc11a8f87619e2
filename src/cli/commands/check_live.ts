/**
 * Checks a configuration against this host's chips without changing anything.
 *
 * @module
 */
import { fileStatus } from "../../../ffi/file_status.ts";
import { splitPath } from "../../../ffi/trusted_path.ts";
import {
  ConfigError,
  type ConfigPosition,
} from "../../config/document/config_error.ts";
import { needsUsb } from "../../config/checks/kernel_lines.ts";
import { sharingConflict } from "../../config/checks/host_lines.ts";
import {
  type AggregatorSpecification,
  type ApiSpecification,
  type KernelChipSpecification,
  type LineSpecification,
  type Specification,
  usbredirSockets,
} from "../../config/specification.ts";
import {
  apiFiles,
  SharedDirectories,
  socketFiles,
} from "../../service/sockets/shared_directories.ts";
import { suggestionFor } from "../../gpio/similar_names.ts";
import { locateWanted } from "../../gpio/locate_line.ts";
import { withOneScan } from "../../gpio/lookup.ts";
import {
  AbsentError,
  Chip,
  LineError,
  type LocatedLine,
} from "../../gpio/mod.ts";
import { goesByUsb } from "../../kernel_chip/choice.ts";
import { chooseInterface } from "../../kernel_chip/driver.ts";
import { chooseModel } from "../../kernel_chip/usb_adapter.ts";
import {
  checkAccess,
  checkDirectory,
  checkLog,
  checkSocket,
  type FileFinding,
} from "./check_files.ts";

/** Longest consumer label of the uAPI. */
const CONSUMER_LENGTH = 31;

/**
 * Names for which a similar one is suggested: each is compared with the names of
 * all lines.
 */
const SUGGESTIONS = 50;

/** Findings of this host about a configuration. */
interface LiveFindings {
  errors: readonly ConfigError[];
  /** Notes that are not errors. */
  notes: readonly ConfigError[];
}

/** Checks that every chip line exists and is free. */
export function checkLive(specification: Specification): LiveFindings {
  return withOneScan(() => check(specification));
}

function check(specification: Specification): LiveFindings {
  const { aggregators } = specification;
  const live = new LiveCheck(
    // Held by a service that serves this same configuration: not a conflict.
    new Set(aggregators.map(({ name }) => consumerLabel(name))),
  );
  for (const aggregator of aggregators) {
    for (const line of aggregator.lines) live.line(line);
    live.files(`aggregators.${aggregator.name}`, socketFiles(aggregator));
    live.exposure(aggregator);
  }
  if (specification.api !== undefined) {
    live.files("api", apiFiles(specification.api));
    live.api(specification.api, aggregators[0]?.position?.file);
  }
  return live;
}

/** Returns the consumer label of a service's lines. */
function consumerLabel(aggregator: string): string {
  return `gpioagg/${aggregator}`.slice(0, CONSUMER_LENGTH);
}

/** Returns the reason why the kernel cannot make a chip, if any. */
function kernelProblem(
  kernelChip: KernelChipSpecification,
  lines: readonly LineSpecification[],
): FileFinding[] {
  try {
    const { interface: wanted, device } = kernelChip;
    // A rule needs USB, also where the kernel does not have it.
    if (needsUsb(kernelChip, lines) || goesByUsb({ kernelChip, lines })) {
      chooseModel(lines.length, device);
    } else if (wanted !== "usb") chooseInterface(wanted);
    return [];
  } catch (error) {
    return [{ problem: (error as Error).message }];
  }
}

/** QEMU makes these sockets, and possibly their directories. */
function checkQemuDirectories(sockets: readonly string[]): FileFinding[] {
  const directories = new Set(
    sockets.map((path) => splitPath(path).directory),
  );
  return [...directories]
    .filter((directory) => fileStatus(directory)?.kind !== "directory")
    .map((directory) => ({
      problem: `directory ${directory} does not exist`,
      isNote: true,
    }));
}

class LiveCheck implements LiveFindings {
  readonly errors: ConfigError[] = [];
  readonly notes: ConfigError[] = [];
  readonly #ours: ReadonlySet<string>;
  readonly #shared = new SharedDirectories();
  #suggestionsLeft = SUGGESTIONS;
  /** Device path and offset to the first line that refers to it. */
  readonly #users = new Map<string, LineSpecification>();

  constructor(ours: ReadonlySet<string>) {
    this.#ours = ours;
  }

  /** Checks the directories on the path to a file that will be made. */
  files(path: string, files: readonly string[]): void {
    for (const { warning } of this.#shared.look(files)) {
      this.notes.push(new ConfigError(warning, { path }));
    }
  }

  /** Checks the files of an aggregator's exposures on this host. */
  exposure(aggregator: AggregatorSpecification): void {
    const { vhostUser, qemuPins, vfioUser, usbredir, kernelChip, control } =
      aggregator;
    // A second exposure has its own entry, at the position of the first.
    const at = aggregator.position ??
      { path: `aggregators.${aggregator.name}` };
    if (vhostUser !== undefined && "socketPath" in vhostUser) {
      this.#found(at, "vhost-user", [
        ...checkSocket(vhostUser.socketPath),
        ...checkAccess(vhostUser.access ?? {}),
      ]);
    }
    if (vfioUser !== undefined) {
      this.#found(at, "vfio-user", [
        ...checkSocket(vfioUser.socketPath),
        ...checkAccess(vfioUser.access ?? {}),
      ]);
    }
    if (usbredir !== undefined && usbredir.connects !== true) {
      const sockets = usbredirSockets(usbredir, aggregator.lines.length);
      this.#found(at, "usbredir", [
        ...sockets.flatMap((path) => checkSocket(path)),
        ...checkAccess(usbredir.access ?? {}),
      ]);
    }
    if (usbredir?.connects === true) {
      const sockets = usbredirSockets(usbredir, aggregator.lines.length);
      this.#found(at, "usbredir", checkQemuDirectories(sockets));
    }
    if (control !== undefined) {
      this.#found(at, "control", [
        ...(control.path === undefined ? [] : checkSocket(control.path)),
        ...checkAccess(control.access),
      ]);
    }
    if (qemuPins !== undefined) {
      this.#found(
        at,
        "qemu-pins",
        checkQemuDirectories([qemuPins.qtest, qemuPins.qmp]),
      );
    }
    if (kernelChip !== undefined) {
      this.#found(at, "kernel-chip", [
        ...kernelProblem(kernelChip, aggregator.lines),
        ...checkAccess(kernelChip.access ?? {}),
      ]);
    }
  }

  /** Checks the files of the control API on this host. */
  api(
    { socket, look, sockets, qemuSockets = [], auditLog }: ApiSpecification,
    file: string | undefined,
  ): void {
    const at = { path: "api", ...(file === undefined ? {} : { file }) };
    for (
      const [key, file] of [["socket", socket], ["look", look]] as const
    ) {
      if (file === undefined) continue;
      this.#found(at, key, [
        ...checkSocket(file.path),
        ...checkAccess(file.access),
      ]);
    }
    if (sockets !== undefined) {
      this.#found(at, "sockets", [
        ...checkDirectory(sockets.path),
        ...checkAccess(sockets.access),
      ]);
    }
    for (const path of qemuSockets) {
      if (fileStatus(path)?.kind === "directory") continue;
      this.#found(at, "qemu-sockets", [
        { problem: `directory ${path} does not exist` },
      ]);
    }
    if (auditLog !== undefined) {
      this.#found(at, "audit-log", checkLog(auditLog));
    }
  }

  #found(
    at: Partial<ConfigPosition> & { path: string },
    key: string,
    findings: readonly FileFinding[],
  ): void {
    for (const finding of findings) {
      const { problem, hint = "", isNote } = finding;
      const path = [
        at.path,
        key,
        ...(finding.key === undefined ? [] : [finding.key]),
      ].join(".");
      const list = isNote === true ? this.notes : this.errors;
      list.push(new ConfigError(problem, { ...at, path, hint }));
    }
  }

  line(line: LineSpecification): void {
    const { source } = line;
    if (source.kind !== "chip" && source.kind !== "line-name") return;
    try {
      const located = locateWanted(source);
      this.#lookAt(line, located);
      this.#compare(line, located);
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      const isNote = line.optional === true && error instanceof AbsentError;
      this.#add(
        isNote ? this.notes : this.errors,
        line,
        `${error.message}${
          this.#suggestionsLeft-- > 0 ? suggestionFor(error) : ""
        }`,
      );
    }
  }

  #lookAt(line: LineSpecification, { chipPath, offset }: LocatedLine): void {
    using chip = Chip.open(chipPath);
    const { used, consumer } = chip.lineInfo(offset);
    if (!used) return;
    this.#add(
      this.#ours.has(consumer) ? this.notes : this.errors,
      line,
      `line ${offset} of ${chip.name} is busy, held by "${consumer}"`,
    );
  }

  #compare(line: LineSpecification, { chipPath, offset }: LocatedLine): void {
    const key = `${chipPath} ${offset}`;
    const other = this.#users.get(key);
    if (other === undefined) {
      this.#users.set(key, line);
      return;
    }
    const conflict = sharingConflict(other, line);
    if (conflict === undefined) return;
    this.#add(
      this.errors,
      line,
      `line ${offset} of ${chipPath} is also that of ${other.position?.path}` +
        ` (line ${other.position?.line})${conflict.problem}`,
      conflict.hint,
    );
  }

  #add(
    list: ConfigError[],
    line: LineSpecification,
    problem: string,
    hint = "",
  ): void {
    const position: Partial<ConfigPosition> = line.position ?? {};
    // The lines of a range have one position: the message tells them apart.
    list.push(new ConfigError(problem, { ...position, hint }));
  }
}
