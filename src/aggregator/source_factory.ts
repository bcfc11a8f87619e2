/**
 * From what the user wrote to the line that is meant, and to its source.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type {
  LineSpecification,
  SourceSpecification,
} from "../config/specification.ts";
import { Chip, findLines, openChip } from "../gpio/mod.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { ChipLine } from "./chip_line.ts";
import type { LineSource } from "./line_source.ts";
import { SimLine } from "./sim_line.ts";

/** A line of a chip, found. */
interface Located {
  chipPath: string;
  offset: number;
}

/** Longest consumer label of the uAPI. */
const CONSUMER_LENGTH = 31;

/** Makes line sources; knows which lines this process has taken already. */
export class SourceFactory {
  readonly #loop: EventLoop;
  /** Device path and offset to the SPEC that has it. */
  readonly #taken = new Map<string, string>();

  /** Sources report through `loop`. */
  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /**
   * Takes the line that `specification` means, for the aggregator `owner`.
   *
   * @throws {ConfigError} If the line is ambiguous, or taken by another SPEC.
   * @throws {Error} If the line is absent, busy or forbidden; the message
   * quotes the SPEC.
   */
  open(specification: LineSpecification, owner: string): LineSource {
    const { source, origin } = specification;
    if (source.kind === "sim") return new SimLine(specification, this.#loop);
    const path = `--line ${origin}`;
    const { chipPath, offset } = locate(source, path);
    const key = `${chipPath} ${offset}`;
    const other = this.#taken.get(key);
    if (other !== undefined) {
      throw new ConfigError(
        `line ${offset} of ${chipPath} is taken by ${other} already`,
        { path, hint: "A line belongs to one aggregator, once" },
      );
    }
    const line = prefixed(path, () =>
      new ChipLine({
        chipPath,
        offset,
        specification,
        consumer: `gpioagg/${owner}`.slice(0, CONSUMER_LENGTH),
        loop: this.#loop,
        onClosed: () => this.#taken.delete(key),
      }));
    this.#taken.set(key, origin);
    return line;
  }
}

function locate(
  source: Exclude<SourceSpecification, { kind: "sim" }>,
  path: string,
): Located {
  if (source.kind === "chip") {
    using chip = prefixed(path, () => openChip(source.chip));
    if (source.offset >= chip.lineCount) {
      throw new Error(
        `${path}: ${chip.name} has no line ${source.offset}, ` +
          `its lines are 0 to ${chip.lineCount - 1}`,
      );
    }
    return { chipPath: chip.path, offset: source.offset };
  }
  const found = prefixed(path, () => findLines(source.lineName));
  const [line, ...others] = found;
  if (line === undefined) {
    throw new Error(
      `${path}: no chip has a line of the name "${source.lineName}"`,
    );
  }
  if (others.length > 0) {
    throw new ConfigError(
      `several lines have the name "${source.lineName}"`,
      {
        path,
        hint: `Say which: ${
          found.map(({ chipPath, offset }) => `${chipPath}/${offset}`)
            .join(" or ")
        }`,
      },
    );
  }
  return line;
}

/** Lets every error of `action` quote the SPEC it is about. */
function prefixed<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new Error(`${path}: ${message}`, { cause: error });
  }
}
