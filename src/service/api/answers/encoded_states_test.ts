import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import type { AggregatorState } from "../../../client/protocol.ts";
import { encodeLines, encodeStates, LastAnswers } from "./encoded_states.ts";

function state(name: string, count: number): AggregatorState {
  return {
    name,
    presentation: '"lines":[]\u202e',
    connected: false,
    lease: "none",
    lines: Array.from({ length: count }, (_, lineNumber) => ({
      lineNumber,
      name: `L${lineNumber}`,
      source: "simulated line",
      direction: "input" as const,
      value: 0 as const,
    })),
  } as unknown as AggregatorState;
}

function encoded(work: Iterator<void, Uint8Array>): [unknown, number] {
  for (let steps = 1;; steps++) {
    const { done, value } = work.next();
    if (done === true) {
      return [JSON.parse(new TextDecoder().decode(value)), steps];
    }
  }
}

Deno.test("encodeStates() and encodeLines() encode in parts what JSON would", () => {
  const states = [
    state("a", 0),
    state("b", 1),
    state("c", 256),
    state("d", 3000),
  ];
  const [list, steps] = encoded(encodeStates('{"all":[', states, "]}"));
  assertEquals(list, { all: states });
  assert(steps > 12, `${steps} steps`);
  for (const one of states) {
    assertEquals(encoded(encodeStates("", [one], ""))[0], one);
    const { lines } = one;
    assertEquals(encoded(encodeLines('{"lines":', lines, "}"))[0], { lines });
  }
});

Deno.test("LastAnswers keeps one of equal answers", () => {
  const last = new LastAnswers();
  const first = last.shared("a", new Uint8Array([1, 2]));
  assertStrictEquals(last.shared("a", new Uint8Array([1, 2])), first);
  const other = new Uint8Array([1, 3]);
  assertStrictEquals(last.shared("a", other), other);
  assertStrictEquals(last.shared("b", first), first);
});
