/**
 * A configuration against the chips that are there: looks, and changes nothing.
 *
 * @module
 */
import { ConfigError, type ConfigPlace } from "../config/config_error.ts";
import { sharingConflict } from "../config/host_lines.ts";
import type {
  LineSpecification,
  Specification,
} from "../config/specification.ts";
import {
  AbsentError,
  Chip,
  LineError,
  type LocatedLine,
  locateLine,
} from "../gpio/mod.ts";

/** Longest consumer label of the uAPI. */
const CONSUMER_LENGTH = 31;

/** What this host says to a configuration. */
export interface LiveFindings {
  errors: readonly ConfigError[];
  /** What is worth knowing and no error. */
  notes: readonly ConfigError[];
}

/** Looks for every chip line, and whether it is free. */
export function checkLive(specification: Specification): LiveFindings {
  const { aggregators } = specification;
  const check = new LiveCheck(
    // Held by a service that serves this very configuration: no obstacle.
    new Set(aggregators.map(({ name }) => consumerOf(name))),
  );
  for (const { lines } of aggregators) {
    for (const line of lines) check.line(line);
  }
  return check;
}

/** What a service calls itself to others who look at its lines. */
function consumerOf(aggregator: string): string {
  return `gpioagg/${aggregator}`.slice(0, CONSUMER_LENGTH);
}

class LiveCheck implements LiveFindings {
  readonly errors: ConfigError[] = [];
  readonly notes: ConfigError[] = [];
  readonly #ours: ReadonlySet<string>;
  /** Device path and offset to the first line that means it. */
  readonly #users = new Map<string, LineSpecification>();

  constructor(ours: ReadonlySet<string>) {
    this.#ours = ours;
  }

  line(line: LineSpecification): void {
    const { source } = line;
    if (source.kind !== "chip" && source.kind !== "line-name") return;
    try {
      const located = locateLine(source);
      this.#lookAt(line, located);
      this.#compare(line, located);
    } catch (error) {
      if (!(error instanceof LineError)) throw error;
      const isNote = line.optional === true && error instanceof AbsentError;
      this.#add(isNote ? this.notes : this.errors, line, error.message);
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
      `line ${offset} of ${chipPath} is that of ${other.place?.path}` +
        ` (line ${other.place?.line}) too${conflict.problem}`,
      conflict.hint,
    );
  }

  #add(
    list: ConfigError[],
    line: LineSpecification,
    problem: string,
    hint = "",
  ): void {
    const place: Partial<ConfigPlace> = line.place ?? {};
    // A range of lines stands at one place: its lines are told apart.
    list.push(new ConfigError(problem, { ...place, hint }));
  }
}
