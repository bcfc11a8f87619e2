/**
 * From what the user wrote to the line that is meant, and to its source.
 *
 * @module
 */
import { ConfigError } from "../config/config_error.ts";
import type { LineSpecification } from "../config/specification.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { ChipLine } from "./chip_line.ts";
import type { LaneEndpoint } from "./lane_line.ts";
import type { LineSource } from "./line_source.ts";
import { locateLine, prefixed } from "./locate.ts";
import { SimLine } from "./sim_line.ts";

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
  open(
    specification: LineSpecification,
    owner: string,
    lanes: readonly LaneEndpoint[] = [],
  ): LineSource {
    const { source, origin } = specification;
    if (source.kind === "lane") {
      const { lane, slot, name, description } = source;
      return lanes[lane]!.open(slot, name, description);
    }
    const located = locateLine(specification);
    if (located === undefined) return new SimLine(specification, this.#loop);
    const path = `--line ${origin}`;
    const { chipPath, offset } = located;
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
