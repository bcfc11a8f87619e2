/**
 * `gpioagg mon --api`: watches lines of a running service.
 *
 * @module
 */
import type { Edge } from "../../client/edges.ts";
import type { ApiEvent } from "../../client/protocol.ts";
import {
  CSV_HEADER,
  edgeFormatter,
  type EdgeText,
} from "../../tools/events/edge_text.ts";
import { Limits } from "../../tools/events/event_options.ts";
import type { ShownLine } from "../../tools/lines/line_text.ts";
import { needLines } from "../../tools/lines/selection.ts";
import { valuesText } from "../../tools/lines/values_text.ts";
import { checkCombination, type Config, printBanner } from "../../tools/mon.ts";
import { printError, writeOut } from "../../tools/program/output.ts";
import { ToolError } from "../../tools/program/tool_error.ts";
import { findLine } from "../live/line_names.ts";
import { lineKey } from "../live/selection.ts";
import {
  asTool,
  knownValue,
  refuseOptions,
  type ServedCall,
  servedLines,
  shownLine,
} from "./served_lines.ts";

/** Longest time of a timer. **Units**: milliseconds. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Watches lines of a service, and returns the exit status. */
export async function monitorServed(
  call: ServedCall,
  config: Config,
): Promise<number> {
  needLines(call.words);
  checkCombination(config);
  refuseOptions(config, {
    activeLow: "active-low",
    bias: "bias",
    byName: "by-name",
    chip: "chip",
    clock: "event-clock",
    consumer: "consumer",
    debounceUs: "debounce-period",
    vcd: "vcd: gpioagg record --follow --vcd FILE does that",
  });
  return await asTool(async () => {
    const { client, lines } = await servedLines(call);
    const abort = new AbortController();
    const events = client.events(undefined, {
      edges: true,
      signal: abort.signal,
    });
    const keys = lines.map(({ aggregator, line }) =>
      lineKey(aggregator, line.lineNumber)
    );
    const watch = new Watch(lines.map(shownLine), keys, config, call);
    try {
      return await watch.run(events, abort);
    } catch (error) {
      if (error !== abort.signal.reason) throw error;
      return 0;
    }
  });
}

/** One call under way. */
class Watch {
  readonly #lines: readonly ShownLine[];
  readonly #indices: ReadonlyMap<string, number>;
  readonly #config: Config;
  readonly #programName: string;
  readonly #limits: Limits;
  readonly #text: EdgeText | undefined;
  readonly #values: (0 | 1 | undefined)[];
  readonly #seqnos: number[];
  #seqno = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    lines: readonly ShownLine[],
    keys: readonly string[],
    config: Config,
    { programName }: ServedCall,
  ) {
    this.#lines = lines;
    this.#indices = new Map(keys.map((key, i) => [key, i]));
    this.#config = config;
    this.#programName = programName;
    this.#limits = new Limits(config.events, config.idleUs);
    this.#values = lines.map(() => undefined);
    this.#seqnos = lines.map(() => 0);
    this.#text = config.quiet ? undefined : edgeFormatter(lines, {
      style: config.json ? "json" : config.csv ? "csv" : "text",
      format: config.format,
      time: config.time ?? "utc",
      unquoted: config.unquoted,
    });
  }

  /** Prints edges until a limit is reached, which aborts, or the service ends. */
  async run(
    events: AsyncIterable<ApiEvent>,
    abort: AbortController,
  ): Promise<number> {
    try {
      for await (const event of events) {
        if (event.event === "snapshot") this.#begin(event);
        else if (event.event === "edges") this.#take(event.edges);
        else if (event.event === "lost") {
          printError(this.#programName, `${event.count} events were lost`);
        }
        if (this.#limits.eventsLeft <= 0) return 0;
        clearTimeout(this.#timer);
        const { waitMs } = this.#limits;
        if (waitMs < Infinity) {
          this.#timer = setTimeout(
            () => abort.abort(),
            Math.min(waitMs, MAX_TIMER_MS),
          );
        }
      }
    } finally {
      clearTimeout(this.#timer);
    }
    throw new ToolError("the service has ended");
  }

  #begin({ aggregators }: Extract<ApiEvent, { event: "snapshot" }>): void {
    for (const [i, { id }] of this.#lines.entries()) {
      const found = findLine(id, aggregators);
      this.#values[i] = knownValue(found?.line.value);
    }
    const { initialState, csv, quiet, banner } = this.#config;
    if (initialState && !csv) {
      const known = [...this.#values.entries()].flatMap(([i, value]) =>
        value === undefined ? [] : [{ line: this.#lines[i]!, value }]
      );
      writeOut(valuesText(
        known.map(({ line }) => line),
        known.map(({ value }) => value),
        this.#config,
        { event: "initial" },
      ));
    }
    if (csv && !quiet) writeOut(CSV_HEADER);
    if (banner) printBanner(this.#lines, this.#config);
  }

  #take(edges: readonly Edge[]): void {
    let text = "";
    let count = 0;
    for (const { aggregator, lineNumber, kind, value, time } of edges) {
      const line = this.#indices.get(lineKey(aggregator, lineNumber));
      if (line === undefined) continue;
      const before = this.#values[line];
      this.#values[line] = value;
      // An edge reports a value that was unknown, or has changed meanwhile.
      const isEdge = kind === "value" ||
        before !== undefined && value !== before;
      if (value === undefined || !isEdge) continue;
      if (!this.#isWanted(value) || count >= this.#limits.eventsLeft) continue;
      count++;
      text += this.#text?.({
        line,
        value,
        timestampNs: BigInt(time),
        seqno: ++this.#seqno,
        lineSeqno: ++this.#seqnos[line]!,
        lost: 0,
      }) ?? "";
    }
    if (count === 0) return;
    this.#limits.count(count);
    if (text !== "") writeOut(text);
  }

  #isWanted(value: 0 | 1): boolean {
    const { edges = "both" } = this.#config;
    return edges === "both" || (value === 1) === (edges === "rising");
  }
}
