/**
 * From what the user wrote to the chip line that is meant.
 *
 * @module
 */
import { ConfigError } from "../../config/document/config_error.ts";
import {
  linePosition,
  type LineSpecification,
  type SourceSpecification,
} from "../../config/specification.ts";
import {
  AbsentError,
  AmbiguousError,
  LineError,
  type LocatedLine,
  type WantedLine,
} from "../../gpio/mod.ts";
import { chipDirectory, deviceNumber } from "../../gpio/chip_nodes.ts";
import { stableProperties } from "../../gpio/identity.ts";
import { suggestionFor } from "../../gpio/similar_names.ts";
import { locateWanted } from "../../gpio/locate_line.ts";
import { isOwnAdapter } from "../../gpio/own_adapter.ts";

export type { LocatedLine } from "../../gpio/mod.ts";

/** A source that is a chip's line. */
type ChipSource = Extract<
  SourceSpecification,
  { kind: "chip" | "line-name" }
>;

/** Returns true if a line is a chip's, and not served by a lane yet. */
export function isChipSource(
  source: SourceSpecification,
): source is ChipSource {
  return source.kind === "chip" || source.kind === "line-name";
}

/** A chip's line that is behind a source, also behind a lane's; or undefined. */
export function findOrigin(
  source: SourceSpecification,
): ChipSource | undefined {
  const origin = source.kind === "lane" ? source.origin : source;
  return origin !== undefined && isChipSource(origin) ? origin : undefined;
}

/**
 * Finds the chip line that a specification means; undefined if it means no
 * chip's.
 *
 * @throws {ConfigError} If several lines could be meant.
 * @throws {Error} If there is none (the cause is an `AbsentError`); the
 * message says which line it is about.
 */
function locateLine(line: LineSpecification): LocatedLine | undefined {
  const { source } = line;
  return isChipSource(source)
    ? prefixed(line, () => locateSource(source))
    : undefined;
}

/**
 * The same, but undefined too if the line is absent and optional.
 *
 * @throws {ConfigError} and {Error} as {@linkcode locateLine}.
 */
export function locateIfThere(
  line: LineSpecification,
): LocatedLine | undefined {
  try {
    return locateLine(line);
  } catch (error) {
    const isAbsent = error instanceof Error &&
      error.cause instanceof AbsentError;
    if (isAbsent && line.optional === true) return undefined;
    throw error;
  }
}

/** A chip's line as it is written, in words: the same if it is written alike. */
export function wantedText(source: ChipSource): string {
  return `${writtenLine(source)}, which is away`;
}

/** The same, wherever it is. */
export function writtenLine(source: ChipSource): string {
  const { chip = "any chip", identity } = source;
  const line = source.kind === "chip"
    ? String(source.offset)
    : `"${source.lineName}"`;
  const chipText = identity === undefined ? chip : JSON.stringify(identity);
  return `line ${line} of ${chipText}`;
}

/** A name or number says nothing of the chip that has it after a replug. */
const MOVING_NAME = /^(?:(?:\/dev\/)?gpiochip)?\d+$/;

/** Returns true if a line is named by what its chip has after a replug too. */
export function isKnownForGood(source: ChipSource): boolean {
  return source.identity !== undefined || source.chip === undefined ||
    !MOVING_NAME.test(source.chip);
}

/**
 * Finds one line again and again, as its chip goes and comes.
 *
 * A chip that was named by number is known by its other properties from its
 * first sight on: after a replug it may have another number, and its number may
 * be another chip's.
 */
export function locator(source: ChipSource): () => LocatedLine {
  let wanted: WantedLine = source;
  let isKnown = isKnownForGood(source);
  return () => {
    const located = locateSource(wanted);
    if (!isKnown) {
      wanted = {
        identity: stableProperties(located.chipPath),
        ...(source.kind === "line-name"
          ? { lineName: source.lineName }
          : { offset: located.offset }),
      };
      isKnown = true;
    }
    return located;
  };
}

/** Directory of a device at the kernel's virtual USB hubs, and what follows. */
const VIRTUAL_USB = /^(.*\/vhci_hcd\.\d+\/usb\d+\/[^/]+)\//;

/** Finds a line of any chip but those that gpioagg itself is behind. */
function locateSource(wanted: WantedLine): LocatedLine {
  const located = locateWanted(wanted);
  const device = deviceNumber(located.chipPath);
  const directory = device === undefined ? undefined : chipDirectory(device);
  const adapter = VIRTUAL_USB.exec(directory ?? "")?.[1];
  if (adapter !== undefined && isOwnAdapter(adapter)) {
    // A program that waits inside the kernel for its own answer cannot be
    // killed. The way through a second gpioagg leads back just the same.
    throw new LineError({
      chip: located.chipPath,
      offsets: [located.offset],
      operation: "request",
      reason: "gpioagg itself is behind this chip (interface usb), and would " +
        "wait for itself: use the line that it presents there",
    });
  }
  return located;
}

/** Buses whose chips sleep for milliseconds in every ioctl. */
const SLOW_BUS = /\/(i2c-\d+|spi\d+|usb\d+)\//;

/**
 * Returns true if a chip is on a bus that is too slow for the reactor's thread.
 */
export function isSlowChip(chipPath: string): boolean {
  const device = deviceNumber(chipPath);
  const directory = device === undefined ? undefined : chipDirectory(device);
  return directory !== undefined && SLOW_BUS.test(`${directory}/`);
}

/** Returns true if a chip that is not there yet will be on such a bus. */
export function isSlowIdentity(source: SourceSpecification): boolean {
  if (!isChipSource(source)) return false;
  const { identity } = source;
  return identity?.i2c !== undefined || identity?.usbSerial !== undefined ||
    SLOW_BUS.test(`${identity?.device ?? ""}/`);
}

/** Beginning of the consumer label of every line that an aggregator holds. */
export const CONSUMER_PREFIX = "gpioagg/";

/** Lets every error of `action` say which line it is about. */
export function prefixed<T>(line: LineSpecification, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    if (error instanceof ConfigError) throw error;
    if (error instanceof AmbiguousError) {
      throw new ConfigError(message, { ...linePosition(line), cause: error });
    }
    const whole = `${message}${sharingAdvice(error)}${suggestionFor(error)}`;
    throw new Error(new ConfigError(whole, linePosition(line)).message, {
      cause: error,
    });
  }
}

/** A line is shared by the aggregators of one process, and not across several. */
function sharingAdvice(error: unknown): string {
  if (!(error instanceof LineError)) return "";
  if (error.holder?.startsWith(CONSUMER_PREFIX) !== true) return "";
  return ": an aggregator of another gpioagg process. A line is shared within " +
    "one process only: put both aggregators into one file";
}
