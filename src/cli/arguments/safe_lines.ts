/**
 * The lines that `gpioagg safe` makes safe: those of SPECs, or of a configuration
 * file. Neither has a socket, hence none needs a directory: an emergency depends on
 * the chips only.
 *
 * @module
 */
import { fileKind } from "../../../ffi/file_status.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { checkAggregators } from "../../config/spec/command_line.ts";
import {
  type AggregatorSpecification,
  type InterlockSpecification,
  type LineSpecification,
  lineTitle,
} from "../../config/specification.ts";
import { writeError } from "../output/output.ts";
import { writeConfigErrors } from "../output/config_errors.ts";
import { readLines } from "./aggregator_arguments.ts";

/** Advice for a file that is broken. */
const SPECS_HINT = "Without a file, write each line as a SPEC: " +
  "gpioagg safe gpiochip0/4,safe=0";

/** Lines that are made safe, and the interlocks that hold meanwhile. */
interface SafeLines {
  readonly aggregators: AggregatorSpecification[];
  readonly interlocks: readonly InterlockSpecification[];
}

/**
 * Returns the lines of SPECs.
 *
 * @throws {ConfigError} If there are none, or one has no safe state.
 */
export function linesOfSpecs(specs: readonly string[]): SafeLines {
  if (specs.length === 0) {
    throw new ConfigError("missing SPEC argument", {
      hint: "gpioagg safe SPEC..., for instance " +
        "gpioagg safe gpiochip0/4,safe=0; or gpioagg safe --config FILE",
    });
  }
  const { aggregators } = checkAggregators([
    { name: "safe", lines: readLines(specs) },
  ]);
  for (const { onDisconnect, origin } of aggregators[0]!.lines) {
    if (onDisconnect !== "keep") continue;
    throw new ConfigError("has no safe state", {
      path: origin,
      hint: fileKind(origin) === "regular file"
        ? `It is a file: gpioagg safe --config ${origin}. ${SPECS_HINT}`
        : "Add safe=0, safe=1, on-disconnect=input or on-disconnect=release",
    });
  }
  return { aggregators: aggregators.map(withoutGuest), interlocks: [] };
}

/**
 * Returns the lines of a configuration file that have a safe state, by
 * aggregator; undefined if the file is invalid, after saying why.
 *
 * @param specs Other lines, of which there must be none.
 * @throws {ConfigError} If the file cannot be read, or no line has a safe state.
 */
export async function linesOfFile(
  file: string,
  specs: readonly string[],
): Promise<SafeLines | undefined> {
  if (specs.length > 0) {
    throw new ConfigError(`no SPEC goes with it, but "${specs[0]}" is given`, {
      path: "--config",
      hint: "Call gpioagg safe once for the file, and once for other lines",
    });
  }
  // Loaded only for a file.
  const { readConfig } = await import("./read_config.ts");
  const result = readConfig(file);
  if ("errors" in result) {
    writeConfigErrors(result.errors);
    writeError(`no line was made safe. ${SPECS_HINT}`);
    return undefined;
  }
  const { specification } = result;
  const aggregators = specification.aggregators.map(withoutGuest)
    .filter(({ lines }) => lines.length > 0);
  const { interlocks } = specification;
  if (aggregators.length > 0) return { aggregators, interlocks };
  throw new ConfigError("none of its lines has a safe state", {
    file,
    path: file,
    hint: "Add safe: 0, safe: 1, on-disconnect: input or " +
      "on-disconnect: release to the lines that need one",
  });
}

/** The lines with a safe state of their own, of no guest and no exposure. */
function withoutGuest(
  { name, lines }: AggregatorSpecification,
): AggregatorSpecification {
  const safe = lines.filter(({ onDisconnect, source }) =>
    onDisconnect !== "keep" && HARDWARE.has(source.kind)
  );
  return {
    name,
    // Start values are for a guest: they must not appear here.
    lines: namedApart(safe.map(({ initial: _, ...line }) => line)),
  };
}

/** Sources that have a state; the others follow one. */
const HARDWARE: ReadonlySet<LineSpecification["source"]["kind"]> = new Set([
  "chip",
  "line-name",
  "sim",
]);

/** Adds their offsets to the titles of lines that are written as one. */
function namedApart(lines: readonly LineSpecification[]): LineSpecification[] {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const title = lineTitle(line);
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  return lines.map((line) => {
    const { origin, position, source } = line;
    if (counts.get(lineTitle(line)) === 1 || source.kind !== "chip") {
      return line;
    }
    const apart = (text: string) => `${text} (line ${source.offset})`;
    return {
      ...line,
      origin: apart(origin),
      ...(position === undefined
        ? {}
        : { position: { ...position, path: apart(position.path) } }),
    };
  });
}
