/**
 * Lines of a running service for the GPIO tools.
 *
 * @module
 */
import { type ServiceClient, ServiceError } from "../../client/client.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import type { ShownLine } from "../../tools/lines/line_text.ts";
import { ToolError } from "../../tools/program/tool_error.ts";
import type { NamedLine } from "../live/line_names.ts";
import { displayName } from "../live/line_names.ts";
import { NotThereError } from "../not_there.ts";
import { selectLines } from "../live/selection.ts";
import { serviceOfLines } from "../live/service_of_lines.ts";

/** A tool's call that is about lines of a service. */
export interface ServedCall {
  readonly words: readonly string[];
  /** Name of the service, or the path of its socket. */
  readonly api: string;
  readonly programName: string;
}

/** Lines that a call names. */
interface Served {
  readonly client: ServiceClient;
  readonly aggregators: readonly AggregatorState[];
  readonly lines: readonly NamedLine[];
}

/** Finds the lines that a call names; all of the service without a word. */
export async function servedLines({ words, api }: ServedCall): Promise<Served> {
  const client = await serviceOfLines(words, api, "look");
  const aggregators = await client.list();
  return { client, aggregators, lines: selectLines(words, aggregators) };
}

/** Returns a line as the tools show it: its aggregator stands for a chip. */
export function shownLine({ aggregator, line }: NamedLine): ShownLine {
  return {
    id: `${aggregator}.${displayName(line)}`,
    chip: { name: aggregator },
    info: { offset: line.lineNumber, name: line.name },
    knownByName: false,
  };
}

/** Returns a value of the API; undefined if it is not known. */
export function knownValue(value: number | undefined): 0 | 1 | undefined {
  return value === 0 || value === 1 ? value : undefined;
}

/**
 * Refuses options about the host's request of a line: the service has made it.
 *
 * @throws {ToolError} If one of `names` is given.
 */
export function refuseOptions<Config extends object>(
  config: Config,
  names: Readonly<Partial<Record<keyof Config, string>>>,
): void {
  for (const [key, name] of Object.entries(names)) {
    const value = config[key as keyof Config];
    if (value !== undefined && value !== false) {
      throw new ToolError(`can't combine api with ${name}`);
    }
  }
}

/** Runs `body`; errors of the service become those of a tool. */
export async function asTool<T>(body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    const isService = error instanceof ConfigError ||
      error instanceof NotThereError ||
      error instanceof ServiceError;
    if (!isService) throw error;
    const { message, hint } = error;
    throw new ToolError(hint === "" ? message : [message, hint], {
      cause: error,
    });
  }
}
