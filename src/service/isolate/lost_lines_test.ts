/** Messages to a reactor when another process has lost its lines. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type {
  AggregatorSpecification,
  InterlockSpecification,
} from "../../config/specification.ts";
import {
  type AggregatorDescription,
  ReportedError,
  type UnsafeLineState,
} from "../messages/messages.ts";
import { UnsafeLinesError } from "../messages/unsafe_lines_error.ts";
import { LostLines } from "./lost_lines.ts";

/** A reactor with lines that refuse. */
class ReactorDouble {
  /** Requests of each line, by its origin. */
  readonly tries = new Map<string, number>();
  /** Lines that are in their declared state and released. */
  readonly safe: string[] = [];
  readonly interlocks: (readonly InterlockSpecification[])[] = [];
  readonly #lines = new Map<string, string[]>();
  readonly #refuse: (line: string, tries: number) => Error | undefined;

  constructor(refuse: (line: string, tries: number) => Error | undefined) {
    this.#refuse = refuse;
  }

  add(specs: AggregatorSpecification[]): Promise<AggregatorDescription[]> {
    for (const { name, lines } of specs) {
      const origins = lines.map(({ origin }) => origin);
      for (const origin of origins) {
        const tries = (this.tries.get(origin) ?? 0) + 1;
        this.tries.set(origin, tries);
        const error = this.#refuse(origin, tries);
        if (error !== undefined) return Promise.reject(error);
      }
      this.#lines.set(name, origins);
    }
    return Promise.resolve(
      specs.map(({ name }) => ({ name }) as AggregatorDescription),
    );
  }

  remove(name: string): Promise<void> {
    this.safe.push(...this.#lines.get(name)!);
    return Promise.resolve();
  }

  setInterlocks(interlocks: readonly InterlockSpecification[]): Promise<void> {
    this.interlocks.push(interlocks);
    return Promise.resolve();
  }
}

const aggregator = (
  name: string,
  ...specs: string[]
): AggregatorSpecification => ({
  name,
  lines: specs.flatMap((spec) => [...parseLineSpec(spec)]),
});

const PRESS = aggregator(
  "press",
  "gpiochip0/1,safe=0,as=UP",
  "gpiochip1/1,safe=0,as=DOWN",
  "gpiochip0/2,safe=1",
  "gpiochip0/3,on-disconnect=keep",
  "sim/1",
);
const CRANE = aggregator("crane", "gpiochip0/7,safe=0");
const busy = () => new ReportedError("busy (EBUSY)", true);
const gone = () => new ReportedError("no such device (ENODEV)", false);

Deno.test("LostLines makes all lines safe, and tries what is busy until it is free", async () => {
  // Longer than an aggregator is tried as a whole.
  const reactor = new ReactorDouble((line, tries) =>
    line.startsWith("gpiochip1/1") && tries < 6 ? busy() : undefined
  );
  const lost = new LostLines(reactor, [], 600_000);
  await lost.makeSafe([PRESS, CRANE]);
  for (const spec of ["chip0/1", "chip1/1", "chip0/2", "chip0/7"]) {
    assert(reactor.safe.some((line) => line.includes(spec)), spec);
  }
  assertEquals(reactor.interlocks, []);
});

Deno.test("LostLines does not retry what can never succeed, and names it when the others are safe", async () => {
  const reactor = new ReactorDouble((line) =>
    line.startsWith("gpiochip1/1") ? gone() : undefined
  );
  const error = await assertRejects(
    () => new LostLines(reactor, [], 600_000).makeSafe([PRESS, CRANE]),
    UnsafeLinesError,
    "press.DOWN (no such device (ENODEV))",
  );
  const unsafe: readonly UnsafeLineState[] = error.lines;
  assertEquals(unsafe.map(({ lineNumber }) => lineNumber), [1]);
  assertEquals(reactor.tries.get("gpiochip1/1,safe=0,as=DOWN"), 2);
  assertEquals(reactor.safe.map((line) => line.split(",")[0]).sort(), [
    "gpiochip0/1",
    "gpiochip0/2",
    "gpiochip0/7",
  ]);
});

Deno.test("LostLines gives up what is busy at its limit, and says so", async () => {
  const reactor = new ReactorDouble((line) =>
    line.startsWith("gpiochip1/1") ? busy() : undefined
  );
  await assertRejects(
    () => new LostLines(reactor, [], 0).makeSafe([PRESS]),
    UnsafeLinesError,
    "press.DOWN (busy (EBUSY))",
  );
  assertEquals(reactor.safe.length, 2);
});

Deno.test("LostLines keeps interlocks between lines that it requests one by one", async () => {
  const reactor = new ReactorDouble((line) =>
    line.startsWith("gpiochip1/1") ? gone() : undefined
  );
  const position = { file: "x", line: 1, column: 1, path: "interlocks" };
  const exclusive = ["UP", "DOWN"].map((line) => ({
    aggregator: "press",
    line,
  }));
  await assertRejects(() =>
    new LostLines(reactor, [{ exclusive, position }], 0).makeSafe([PRESS])
  );
  const [first, second] = reactor.interlocks;
  assertEquals(first, [{ exclusive, position }]);
  const names = new Set(
    second![0]!.exclusive.map(({ aggregator, line }) =>
      `${aggregator}.${line}`
    ),
  );
  assert(names.has("press/0.UP") && names.has("press/1.DOWN"), `${[...names]}`);
});
