import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  aggregatorState,
  lineState,
} from "../../../tests/doubles/canned_service.ts";
import { waitUntil } from "../../async/wait.ts";
import type { Edge } from "../../client/edges.ts";
import type { EdgeSource, LiveEvent } from "../live/edge_source.ts";
import { type KeyTerminal, showTop } from "./session.ts";

const PRESS = aggregatorState("press", {
  lines: [{ ...lineState(0, "START"), source: "simulated line START" }],
});
const LIMIT_MS = 60_000;

/** A service that tells what the test has it tell, and a terminal. */
class Rig {
  /** Text that was written to the terminal. */
  written = "";
  isRaw = false;
  /** Lines that were pulled. */
  readonly pulls: unknown[] = [];
  failure: Error | undefined;
  #events: LiveEvent[] = [{ event: "snapshot", aggregators: [PRESS] }];
  #isOver = false;
  #wake = Promise.withResolvers<void>();
  readonly #keys: Uint8Array[] = [];
  #pressed = Promise.withResolvers<void>();
  #isGone = false;

  readonly source: EdgeSource = {
    list: () => Promise.resolve([PRESS]),
    history: () =>
      Promise.resolve({ from: "0", to: "0", lines: [], edges: [], lost: 0 }),
    edges: (signal) => this.#tell(signal),
  };

  readonly terminal: KeyTerminal = {
    write: (text) => {
      this.written += text;
    },
    setRaw: (isRaw) => {
      this.isRaw = isRaw;
    },
    read: async (into) => {
      while (this.#keys.length === 0 && !this.#isGone) {
        await this.#pressed.promise;
        this.#pressed = Promise.withResolvers();
      }
      const keys = this.#keys.shift();
      if (keys === undefined) return null;
      into.set(keys);
      return keys.length;
    },
  };

  show(name?: string) {
    return showTop({
      source: this.source,
      name,
      windowMs: 1000,
      kind: { columns: undefined, isDumb: false, hasUtf8: true },
      terminal: this.terminal,
      changing: () =>
        Promise.resolve({
          pull: (...args: unknown[]) => {
            this.pulls.push(args);
            return this.failure === undefined
              ? Promise.resolve(PRESS)
              : Promise.reject(this.failure);
          },
        }),
    });
  }

  tell(...events: LiveEvent[]): void {
    this.#events.push(...events);
    this.#wake.resolve();
  }

  endService(): void {
    this.#isOver = true;
    this.#wake.resolve();
  }

  press(keys: string): void {
    this.#keys.push(new TextEncoder().encode(keys));
    this.#pressed.resolve();
  }

  hangUp(): void {
    this.#isGone = true;
    this.#pressed.resolve();
  }

  /** Waits until a text was written. */
  async untilWritten(text: string): Promise<void> {
    await waitUntil(() => this.written.includes(text), LIMIT_MS);
    assert(this.written.includes(text), text);
  }

  async *#tell(signal: AbortSignal): AsyncGenerator<LiveEvent, void> {
    signal.addEventListener("abort", () => this.endService());
    for (;;) {
      yield* this.#events.splice(0);
      if (this.#isOver) return;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }
}

const edge = (number: number, value: 0 | 1): Edge => ({
  number,
  time: String(BigInt(Date.now()) * 1_000_000n),
  aggregator: "press",
  line: "START",
  lineNumber: 0,
  value,
  direction: "input",
  present: true,
  kind: "value",
  cause: "operator",
});

Deno.test("a session takes the terminal, shows lines and gives it back", async () => {
  const rig = new Rig();
  const shown = rig.show();
  await rig.untilWritten("START");
  assertEquals(rig.isRaw, true);
  rig.tell({ event: "edges", edges: [edge(1, 1), edge(2, 0)] });
  await rig.untilWritten("operator");
  rig.press("q");
  assertEquals(await shown, { kind: "quit" });
  assertEquals(rig.isRaw, false);
  assert(rig.written.endsWith("\x1b[?1049l"), "the screen is left");
});

Deno.test("a service that ends before it answers has ended, and the terminal is left alone", async () => {
  const { source, terminal } = new Rig();
  const end = await showTop({
    source: { ...source, edges: async function* () {} },
    name: undefined,
    windowMs: undefined,
    kind: { columns: undefined, isDumb: false, hasUtf8: true },
    terminal,
    changing: () => Promise.reject(new Error("not asked for")),
  });
  assertEquals(end, { kind: "service" });
});

Deno.test("keys pull and pulse simulated lines; what fails is shown", async () => {
  const rig = new Rig();
  const shown = rig.show();
  await rig.untilWritten("START");
  rig.press("1");
  await waitUntil(() => rig.pulls.length === 1, LIMIT_MS);
  assertEquals(rig.pulls, [["press", { START: 1 }]]);
  rig.failure = new Error("not allowed");
  rig.press("0");
  await rig.untilWritten("not allowed");
  rig.failure = undefined;
  rig.press("p");
  rig.press("q");
  // A pulse ends before the session does.
  await shown;
  const levels = rig.pulls.slice(2).map((pull) =>
    (pull as [string, { START: number }])[1].START
  );
  assertEquals(levels.length, 2);
  assert(levels[0] !== levels[1]);
});

Deno.test("a session ends with its service, and with its terminal", async () => {
  for (
    const [end, kind] of [
      [(rig: Rig) => rig.endService(), "service"],
      [(rig: Rig) => rig.hangUp(), "quit"],
    ] as const
  ) {
    const rig = new Rig();
    const shown = rig.show();
    await rig.untilWritten("START");
    end(rig);
    assertEquals((await shown).kind, kind);
    assertEquals(rig.isRaw, false);
  }
});

Deno.test("a session tells of aggregators that come, and of what was lost", async () => {
  const rig = new Rig();
  const shown = rig.show("press");
  await rig.untilWritten("START");
  const time = Date.now();
  rig.tell(
    { event: "created", time, aggregator: "press", detail: "" },
    { event: "lost", time, count: 3 },
    { event: "forced", time, aggregator: "press", detail: "START=1 for 10 s" },
    { event: "fault", time, aggregator: "press", detail: "a broken ring" },
  );
  await rig.untilWritten("START=1 for 10 s");
  await rig.untilWritten("a broken ring");
  rig.press("q");
  await shown;
});

Deno.test("an aggregator that is not there is an error, and the terminal untouched", async () => {
  const rig = new Rig();
  await assertRejects(() => rig.show("crane"), Error, "crane");
  assertEquals([rig.written, rig.isRaw], ["", false]);
});
