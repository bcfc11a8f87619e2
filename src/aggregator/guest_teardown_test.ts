/** The end of a guest of many lines: safe states first, the rest in turns. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  LineRig,
  LoopDouble,
  SourceDouble,
} from "../../tests/doubles/line_doubles.ts";
import {
  Departure,
  Direction,
  Edges,
  LineOperation,
  PENDING,
} from "../line/port.ts";
import { GuestTeardown } from "./guest_teardown.ts";

const COST_MS = 0.06;
/** Lines that a slice has time for. */
const PER_TURN = 4;

/** Lines whose sources take their time for each operation. */
function rig(count: number, kind: "output" | "input") {
  let now = 0;
  const loop = new LoopDouble();
  const teardown = new GuestTeardown(loop, () => now);
  const log: string[] = [];
  const lines = Array.from({ length: count }, (_, i) => {
    const source = new SourceDouble();
    const { line, heard } = new LineRig("", ",safe=0", source, loop);
    if (kind === "output") line.submit(LineOperation.Output, 1);
    else line.submit(LineOperation.SetEdges, Edges.Both);
    const submit = source.submit.bind(source);
    source.submit = (operation, argument) => {
      now += COST_MS;
      const result = submit(operation, argument);
      log.push(`${i} ${source.taken().at(-1)}`);
      return result;
    };
    source.taken();
    line.useTeardown(teardown);
    return { line, source, heard };
  });
  return {
    loop,
    log,
    lines,
    /** Steps of a device whose guest is gone. */
    leave: () => {
      for (const { line } of lines) {
        line.submit(LineOperation.Deactivate, Departure.GuestGone);
      }
      for (const { line } of lines) line.guestGone();
    },
    turn: () => loop.pass(0),
    values: () => lines.map(({ source }) => source.value).join(""),
  };
}

Deno.test("the end of a guest makes some lines safe a turn", () => {
  const { leave, loop, values, lines } = rig(10, "output");
  leave();
  assertEquals(values(), "0000111111");
  assertEquals(lines.filter(({ line }) => line.unsafe).length, 6);
  loop.pass(0);
  assertEquals(values(), "0000000000");
  assertEquals(lines.filter(({ line }) => line.unsafe).length, 0);
  loop.pass(0);
  assertEquals(loop.size, 0);
});

Deno.test("interrupts of a guest that is gone are disabled after all safe states", () => {
  const test = rig(12, "input");
  const { lines, log } = test;
  for (const { line, source } of lines.slice(6)) {
    line.submit(LineOperation.Output, 1);
    source.direction = Direction.Output;
  }
  log.length = 0;
  test.leave();
  test.turn();
  test.turn();
  const first = log.findIndex((text) => /^[0-5] Deactivate/.test(text));
  const last = log.findLastIndex((text) => text.includes("SetValue"));
  assert(last >= 0 && last < first, `${log}`);
  assertEquals(
    lines.slice(0, 6).map(({ source, heard }) => [source.edges, heard]),
    Array(6).fill([Edges.None, ["done 0"]]),
  );
});

Deno.test("a guest that comes before a line is safe finds it safe", () => {
  const { leave, lines, turn, log } = rig(PER_TURN + 1, "output");
  leave();
  const last = lines[PER_TURN]!;
  log.length = 0;
  assertEquals(last.line.submit(LineOperation.SetValue, 1), PENDING);
  turn();
  assertEquals(log, [`${PER_TURN} SetValue 0`, `${PER_TURN} SetValue 1`]);
  assertEquals(last.heard, ["done 0"]);
});

Deno.test("a line that is let go before its turn is safe", () => {
  const { leave, lines, turn } = rig(PER_TURN + 2, "output");
  leave();
  const [one, other] = lines.slice(PER_TURN);
  one!.line[Symbol.dispose]();
  assertEquals(one!.source.value, 0);
  other!.line.withdraw();
  assertEquals([other!.source.value, other!.line.unsafe], [0, undefined]);
  turn();
  assertEquals(one!.source.taken(), ["dispose"]);
});

Deno.test("a line that is put off can be followed", () => {
  const { leave, lines, turn } = rig(PER_TURN + 1, "output");
  leave();
  const { line, source } = lines[PER_TURN]!;
  const followed = line.followable();
  turn();
  assertEquals([followed.value, source.value], [0, 0]);
});

Deno.test("a line that throws keeps no other from its safe state", () => {
  const { leave, lines, turn, loop, values } = rig(PER_TURN + 3, "output");
  leave();
  const { line } = lines[PER_TURN]!;
  Object.defineProperty(line, "completed", {
    value: () => {
      throw new TypeError("a bug");
    },
  });
  assertThrows(turn, TypeError, "a bug");
  loop.pass(0);
  assertEquals(values(), "0000100");
});
