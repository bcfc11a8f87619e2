/**
 * `gpioagg top` on a terminal: events, keys, signals and pictures.
 *
 * @module
 */
import { clockNs } from "../../../ffi/clock.ts";
import type { ServiceClient } from "../../client/client.ts";
import type { AggregatorState } from "../../client/protocol.ts";
import { recordingWriter } from "../../recording/recording_writer.ts";
import { localText } from "../../tools/events/timestamps.ts";
import {
  type EdgeSource,
  EventBuffer,
  type LiveEvent,
  ReadEdges,
  readPages,
} from "../live/edge_source.ts";
import { recordLines } from "../live/record_lines.ts";
import { readPresence } from "../live/line_presence.ts";
import type { SignalValue } from "../../recording/recording.ts";
import { noAggregator } from "../not_there.ts";
import { OutputFile } from "../output/output_file.ts";
import { frame } from "./frame.ts";
import { readKeys } from "./keys.ts";
import { type TopAction, TopModel } from "./model.ts";
import { Screen, type Terminal } from "./screen.ts";
import { asciiText, type terminalKind } from "./terminal_kind.ts";

/** Interval of pictures. **Units**: milliseconds. */
const PICTURE_MS = 100;
const PULSE_MS = 200;
const USUAL_SIZE = { columns: 80, rows: 24 };
const SIGNALS = { SIGINT: 2, SIGTERM: 15, SIGHUP: 1 } as const;

/** Events after which lines have other rules or forces. */
const NEW_DESCRIPTION: ReadonlySet<LiveEvent["event"]> = new Set([
  "changed",
  "forced",
  "unforced",
]);

/** The terminal of a session, with its keys. */
export interface KeyTerminal extends Terminal {
  /** Waits for keys; null when there will be no more. */
  read(into: Uint8Array): Promise<number | null>;
}

/** The one of this process. */
const OWN_TERMINAL: KeyTerminal = {
  write: writeWhole,
  setRaw: (isRaw) => Deno.stdin.setRaw(isRaw, { cbreak: isRaw }),
  read: (into) => Deno.stdin.read(into),
};

/** Options of a session. */
interface TopOptions {
  readonly source: EdgeSource;
  /** The only aggregator; undefined: all. */
  readonly name: string | undefined;
  /** Time of the waves at first. **Units**: milliseconds. */
  readonly windowMs: number | undefined;
  /** Kind of the terminal. */
  readonly kind: ReturnType<typeof terminalKind>;
  /** Returns a client that may pull lines. */
  readonly changing: () => Promise<Pick<ServiceClient, "pull">>;
  /** Default: that of this process. */
  readonly terminal?: KeyTerminal;
}

/** End of a session. */
type TopEnd =
  | { readonly kind: "quit" | "service" }
  | { readonly kind: "signal"; readonly number: number };

/** Prints one picture. */
export async function showOnce(options: TopOptions): Promise<void> {
  const model = createModel(options);
  const aggregators = await options.source.list();
  for (const one of aggregators) model.add(one, nowMs());
  requireName(options, aggregators);
  await readPast(options.source, model, new ReadEdges());
  const { isDumb, hasUtf8, columns = USUAL_SIZE.columns } = options.kind;
  const isTerminal = Deno.stdout.isTerminal();
  const rows = frame(model, {
    columns: isTerminal ? terminalSize().columns : columns,
    rows: undefined,
    hasColor: isTerminal && !isDumb && !Deno.noColor,
    hasKeys: false,
    formatTime,
    ...now(),
  });
  using output = new OutputFile("-");
  const text = `${rows.map((row) => row.trimEnd()).join("\n")}\n`;
  output.write(hasUtf8 ? text : asciiText(text));
}

/** Shows the lines until a key, a signal or the service ends it. */
export async function showTop(options: TopOptions): Promise<TopEnd> {
  await using events = new EventBuffer(options.source);
  const taken = await events.take();
  if (taken === undefined) return { kind: "service" };
  const [first, ...others] = taken;
  if (first?.event !== "snapshot") {
    throw new Error("The service does not begin its events with a snapshot");
  }
  requireName(options, first.aggregators);
  const model = createModel(options);
  for (const one of first.aggregators) model.add(one, nowMs());
  const read = new ReadEdges();
  await readPast(options.source, model, read);
  await using session = new Session(options, model);
  const take = async (some: readonly LiveEvent[]) => {
    for (const event of some) {
      await takeEvent(options.source, model, event, read);
    }
    session.draw();
  };
  await take(others);
  const following = (async (): Promise<TopEnd> => {
    for (;;) {
      const some = await events.take();
      if (some === undefined) return { kind: "service" };
      await take(some);
    }
  })();
  return await Promise.race([following, session.ended]);
}

function createModel({ name, windowMs }: TopOptions): TopModel {
  const model = new TopModel(name);
  if (windowMs !== undefined) model.view.windowMs = windowMs;
  return model;
}

function requireName(
  { name }: TopOptions,
  aggregators: readonly AggregatorState[],
): void {
  if (name === undefined || aggregators.some((one) => one.name === name)) {
    return;
  }
  throw noAggregator(name, aggregators.map((one) => one.name));
}

async function readPast(
  source: EdgeSource,
  model: TopModel,
  read: ReadEdges,
): Promise<void> {
  const fromNs = clockNs("realtime") - BigInt(model.view.windowMs) * 1_000_000n;
  let isFirst = true;
  for await (const page of readPages(source, { from: String(fromNs) })) {
    if (isFirst) {
      const { values, changes } = readPresence(page.lines);
      const at = (key: string, value: SignalValue, sinceNs: bigint) => ({
        key,
        value,
        sinceMs: Number(sinceNs / 1_000_000n),
      });
      const fromNs = BigInt(page.from);
      // Of one that was made again, what it was before is left out.
      model.begin([
        ...[...values].map(([key, value]) => at(key, value, fromNs)),
        ...changes.map(({ key, value, timeNs }) => at(key, value, timeNs)),
      ]);
    }
    isFirst = false;
    read.add(page);
    model.edges(page.edges);
  }
  model.settle(nowMs());
  model.forgetCounts();
}

async function takeEvent(
  source: EdgeSource,
  model: TopModel,
  event: LiveEvent,
  read: ReadEdges,
): Promise<void> {
  if (event.event === "edges") {
    model.edges(event.edges.filter((edge) => !read.has(edge)));
    return;
  }
  model.event(event, now().timeText);
  if (event.event === "created" || NEW_DESCRIPTION.has(event.event)) {
    const { aggregator } = event as { aggregator: string };
    const all = await source.list();
    const one = all.find(({ name }) => name === aggregator);
    if (one === undefined) return;
    if (event.event === "created") model.add(one, nowMs());
    else model.describe(one);
  } else if (event.event === "lost") {
    model.correct(await source.list(), nowMs());
  }
}

/** The terminal, while pictures are shown on it. */
class Session implements AsyncDisposable {
  readonly #options: TopOptions;
  readonly #model: TopModel;
  readonly #terminal: KeyTerminal;
  readonly #screen: Screen;
  readonly #ended = Promise.withResolvers<TopEnd>();
  readonly #listeners = new DisposableStack();
  /** Pulses and files that are not finished. */
  readonly #pending = new Set<Promise<void>>();
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(options: TopOptions, model: TopModel) {
    this.#options = options;
    this.#model = model;
    this.#terminal = options.terminal ?? OWN_TERMINAL;
    this.#screen = new Screen(this.#terminal);
    for (const [signal, number] of Object.entries(SIGNALS)) {
      this.#listen(
        signal as Deno.Signal,
        () => this.#ended.resolve({ kind: "signal", number }),
      );
    }
    this.#listen("SIGWINCH", () => {
      this.#screen.clear();
      this.draw();
    });
    this.#listen("SIGTSTP", () => {
      this.#screen.leave();
      Deno.kill(Deno.pid, "SIGSTOP");
    });
    this.#listen("SIGCONT", () => {
      this.#screen.enter();
      this.draw();
    });
    this.#screen.enter();
    this.#timer = setInterval(() => this.draw(), PICTURE_MS);
    void this.#readKeys();
  }

  /** Resolves when a key or a signal ends the session. */
  get ended(): Promise<TopEnd> {
    return this.#ended.promise;
  }

  /** Shows the present state. */
  draw(): void {
    try {
      const rows = frame(this.#model, {
        ...terminalSize(),
        hasColor: !Deno.noColor,
        hasKeys: true,
        formatTime,
        ...now(),
      });
      const { hasUtf8 } = this.#options.kind;
      this.#screen.show(hasUtf8 ? rows : rows.map(asciiText));
    } catch (error) {
      this.#ended.reject(error);
    }
  }

  #listen(signal: Deno.Signal, handler: () => void): void {
    Deno.addSignalListener(signal, handler);
    this.#listeners.defer(() => Deno.removeSignalListener(signal, handler));
  }

  async #readKeys(): Promise<void> {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(256);
    try {
      for (;;) {
        const count = await this.#terminal.read(buffer);
        // The terminal is gone.
        if (count === null) break;
        const text = decoder.decode(buffer.subarray(0, count), {
          stream: true,
        });
        for (const key of readKeys(text)) {
          const action = this.#model.key(key, nowMs());
          if (action !== undefined) this.#act(action);
        }
        this.draw();
      }
      this.#ended.resolve({ kind: "quit" });
    } catch (error) {
      this.#ended.reject(error);
    }
  }

  #act(action: TopAction): void {
    if (action.kind === "quit") return this.#ended.resolve({ kind: "quit" });
    const done = (action.kind === "save" ? this.#save() : this.#pull(action))
      .catch((error) => this.#model.tell(`failed: ${errorMessage(error)}`))
      .finally(() => {
        this.#pending.delete(done);
        this.draw();
      });
    this.#pending.add(done);
  }

  async #pull(
    { kind, aggregator, line, level }: TopAction & { kind: "pull" | "pulse" },
  ): Promise<void> {
    const client = await this.#options.changing();
    await client.pull(aggregator, { [line]: level });
    if (kind === "pull") return;
    await new Promise((resolve) => setTimeout(resolve, PULSE_MS));
    await client.pull(aggregator, { [line]: level === 1 ? 0 : 1 });
  }

  async #save(): Promise<void> {
    const { lines } = this.#model;
    const stamp = localText(clockNs("realtime")).slice(0, 19);
    const path = `gpioagg-${
      stamp.replaceAll(/[-:]/g, "").replace("T", "-")
    }.vcd`;
    using stack = new DisposableStack();
    let file: OutputFile | undefined;
    const { count } = await recordLines(this.#options.source, {
      words: lines.map(({ aggregator, name }) => `${aggregator}.${name}`),
      fromNs: 0n,
      follow: false,
      ended: Promise.resolve(),
      files: [{
        createWriter: (start) => recordingWriter("vcd", start),
        write: (text) => (file ??= stack.use(new OutputFile(path))).write(text),
      }],
      program: "gpioagg",
      tell: (text) => this.#model.tell(text),
      now: () => clockNs("realtime"),
    });
    this.#model.tell(`saved ${count} edges in ${path}`);
  }

  /** Gives the terminal back; a pulse ends first. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.dispose();
    try {
      this.#screen.leave();
    } catch {
      // The terminal is gone.
    }
    await Promise.allSettled(this.#pending);
  }
}

function writeWhole(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

function terminalSize(): { columns: number; rows: number } {
  try {
    const { columns, rows } = Deno.consoleSize();
    return {
      // 0 if the terminal's size is unknown.
      columns: columns || USUAL_SIZE.columns,
      rows: rows || USUAL_SIZE.rows,
    };
  } catch {
    return USUAL_SIZE;
  }
}

function nowMs(): number {
  return Number(clockNs("realtime") / 1000n) / 1000;
}

function now(): { nowMs: number; timeText: string } {
  const ns = clockNs("realtime");
  return {
    nowMs: Number(ns / 1000n) / 1000,
    timeText: localText(ns).slice(11, 19),
  };
}

function formatTime(ms: number): string {
  return localText(BigInt(Math.round(ms * 1000)) * 1000n).slice(0, 23);
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
