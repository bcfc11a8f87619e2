import { assertEquals } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { Mapping } from "../../../ffi/mapping.ts";
import { createMemFd } from "../../../ffi/mem_fd.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Reactor } from "../../reactor/reactor.ts";
import {
  Direction,
  Edges,
  FAILED,
  LineOperation,
  PENDING,
} from "../../line/port.ts";
import { AggregatorLine } from "../aggregator_line.ts";
import { Lane } from "./lane.ts";
import { LaneEndpoint } from "./lane_line.ts";
import { laneMemoryBytes } from "./lane_memory.ts";
import { SourceOperation } from "../line_source.ts";
import { SimLine } from "../sources/sim_line.ts";

/** Both sides of a lane of two lines in one loop, one after the other. */
function rig(
  rules = "",
  change: (pin: SimLine) => void = () => {},
  opened: readonly number[] = [0, 1],
  isStarted = false,
) {
  const stack = new DisposableStack();
  const fail = (error: unknown) => {
    throw error;
  };
  const reactor = stack.use(new Reactor({ onError: fail }));
  const laneReactor = stack.use(new Reactor({ onError: fail }));
  const memoryFd = stack.use(createMemFd("lane", laneMemoryBytes(2)));
  const map = () =>
    Mapping.map(memoryFd.fd, {
      length: laneMemoryBytes(2),
      writable: true,
      subject: "lane memory",
    });
  const wake = stack.use(createEventFd());
  const done = stack.use(createEventFd());
  const fds = { wakeFd: wake.fd, doneFd: done.fd };
  const pins = parseLineSpec(`sim/2${rules}`).map((specification) => ({
    specification,
    pin: new SimLine(specification, laneReactor),
  }));
  for (const { pin } of pins) change(pin);
  let empty = 0;
  const broken: string[] = [];
  const letGo: number[] = [];
  stack.use(
    new Lane(
      laneReactor,
      { memory: stack.use(map()), ...fds },
      pins.map(({ specification, pin }) => {
        const line = new AggregatorLine("", specification, pin, laneReactor);
        if (isStarted) line.start();
        return line;
      }),
      {
        letGo: (slot) => letGo.push(slot),
        empty: () => empty++,
        lineBroke: (name, error) => broken.push(`${name}: ${error}`),
      },
    ),
  );
  const endpoint = new LaneEndpoint(reactor, { memory: map(), ...fds });
  const log: string[] = [];
  const lines = opened.map((index) => {
    const { specification } = pins[index]!;
    const source = endpoint.open(index, "", `slow ${index}`);
    const line = new AggregatorLine("", specification, source, reactor);
    line.attach({
      completed: (lineNumber, result) => log.push(`${lineNumber}: ${result}`),
      edge: (lineNumber, level) => log.push(`${lineNumber}! ${level}`),
    }, index);
    return line;
  });
  endpoint.complete();
  const turn = () => {
    laneReactor.turn(0);
    reactor.turn(0);
  };
  const heard = () => {
    turn();
    return log.splice(0);
  };
  return {
    lines,
    pins: pins.map(({ pin }) => pin),
    heard,
    letGo,
    broken,
    emptied: () => empty,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

Deno.test("Lane answers operations later, each line for itself", () => {
  using lane = rig();
  const [first, second] = lane.lines as [AggregatorLine, AggregatorLine];
  assertEquals(first.submit(LineOperation.Output, 1), PENDING);
  assertEquals(second.submit(LineOperation.GetValue, 0), PENDING);
  assertEquals(lane.heard(), ["0: 0", "1: 0"]);
  assertEquals(lane.pins[0]!.level, 1);
  assertEquals(first.direction, Direction.Output);
  assertEquals(first.source.peek(), 1);
  assertEquals(second.direction, Direction.Input);
});

Deno.test("Lane leaves the start of a line that it could not start to the reactor", () => {
  const EREMOTEIO = 121;
  using lane = rig(
    ",direction=output,initial=1",
    (pin) => {
      pin.submit = () => FAILED;
      Object.defineProperty(pin, "errno", { value: EREMOTEIO });
    },
    [0, 1],
    true,
  );
  const [first] = lane.lines as [AggregatorLine];
  assertEquals(first.source.isUnstarted, true);
  first.start();
  lane.heard();
  assertEquals(first.pendingRule?.rule, "output, 1 at first");
  assertEquals(first.submit(LineOperation.SetValue, 0), PENDING);
  assertEquals(lane.heard(), [`0: ${FAILED}`]);
  for (const pin of lane.pins) Reflect.deleteProperty(pin, "submit");
  assertEquals(first.submit(LineOperation.SetValue, 0), PENDING);
  lane.heard();
  assertEquals(lane.heard(), ["0: 0"]);
  assertEquals([first.pendingRule, lane.pins[0]!.level], [undefined, 0]);
});

Deno.test("Lane fails the request of a line that throws, and serves the others", () => {
  using lane = rig();
  const [first, second] = lane.lines as [AggregatorLine, AggregatorLine];
  lane.pins[0]!.submit = () => {
    throw new TypeError("a bug");
  };
  assertEquals(first.submit(LineOperation.Output, 1), PENDING);
  assertEquals(second.submit(LineOperation.Output, 1), PENDING);
  assertEquals(lane.heard(), [`0: ${FAILED}`, "1: 0"]);
  assertEquals(lane.pins[1]!.level, 1);
  assertEquals(lane.broken.length, 1);
  assertEquals(lane.broken[0]!.includes("TypeError: a bug"), true);
  assertEquals(second.submit(LineOperation.GetValue, 0), PENDING);
  assertEquals(lane.heard(), ["1: 1"]);
});

Deno.test("Lane hands edges on, the last one last", () => {
  using lane = rig();
  const [line] = lane.lines as [AggregatorLine];
  line.submit(LineOperation.SetEdges, Edges.Both);
  assertEquals(lane.heard(), ["0: 0"]);
  lane.pins[0]!.pull(1);
  assertEquals(lane.heard(), ["0! 1"]);
  assertEquals(line.source.mergedEdges, 0);
  for (const level of [0, 1, 0] as const) lane.pins[0]!.pull(level);
  assertEquals(lane.heard(), ["0! 1", "0! 0"]);
  assertEquals(lane.heard(), []);
  // Of two falls one was told.
  assertEquals(line.source.mergedEdges, 1);
});

Deno.test("Lane applies a line's rule when its guest goes in the middle", () => {
  using lane = rig(",safe=1");
  const [line] = lane.lines as [AggregatorLine];
  line.submit(LineOperation.Output, 0);
  lane.heard();
  line.submit(LineOperation.SetValue, 0);
  line.guestGone();
  assertEquals(lane.heard(), ["0: 0"]);
  assertEquals(lane.heard(), []);
  assertEquals(lane.pins[0]!.level, 1);
});

Deno.test("Lane lets its lines go as their rules say, then is over", () => {
  using lane = rig(",safe=1");
  const [first, second] = lane.lines as [AggregatorLine, AggregatorLine];
  first.submit(LineOperation.Output, 0);
  lane.heard();
  first.submit(LineOperation.SetValue, 0);
  first[Symbol.dispose]();
  assertEquals(lane.heard(), []);
  assertEquals(lane.pins[0]!.level, 1);
  assertEquals([lane.letGo, lane.emptied()], [[0], 0]);
  second[Symbol.dispose]();
  lane.heard();
  assertEquals([lane.letGo, lane.emptied()], [[0, 1], 1]);
});

Deno.test("Lane says of its lines what an earlier process left", () => {
  using lane = rig("", (pin) =>
    Object.defineProperties(pin, {
      isKept: { value: true },
      keptEdges: { value: Edges.Falling },
    }));
  for (const { source } of lane.lines) {
    assertEquals([source.isKept, source.keptEdges], [true, Edges.Falling]);
  }
  using other = rig();
  for (const { source } of other.lines) {
    assertEquals([source.isKept, source.keptEdges], [false, Edges.None]);
  }
});

Deno.test("Lane lets lines go at once that the reactor did not want after all", () => {
  using lane = rig("", () => {}, [1]);
  lane.heard();
  assertEquals([lane.letGo, lane.emptied()], [[0], 0]);
  lane.lines[0]![Symbol.dispose]();
  lane.heard();
  assertEquals([lane.letGo, lane.emptied()], [[0, 1], 1]);
  using unwanted = rig("", () => {}, []);
  unwanted.heard();
  assertEquals([unwanted.letGo, unwanted.emptied()], [[0, 1], 1]);
});

/** Has the next `count` drives of a pin refused. */
function refuse(pin: SimLine, count: number): void {
  const submit = pin.submit.bind(pin);
  let left = count;
  Object.defineProperties(pin, {
    errno: { get: () => 121 },
    submit: {
      value: (operation: SourceOperation, argument: number) => {
        const isDrive = operation === SourceOperation.SetValue ||
          operation === SourceOperation.Output;
        return isDrive && left-- > 0 ? FAILED : submit(operation, argument);
      },
    },
  });
}

Deno.test("Lane has a rule that its chip refuses retried, and tells why", async () => {
  using lane = rig(",safe=0");
  const [line] = lane.lines as [AggregatorLine];
  line.submit(LineOperation.Output, 1);
  lane.heard();
  refuse(lane.pins[0]!, 2);
  line.guestGone();
  lane.heard();
  assertEquals(line.unsafe?.reason, "remote I/O error (EREMOTEIO)");
  assertEquals(lane.pins[0]!.level, 1);
  const deadline = performance.now() + 60_000;
  while (line.unsafe !== undefined && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    lane.heard();
  }
  assertEquals(line.unsafe, undefined);
  assertEquals(lane.pins[0]!.level, 0);
});

Deno.test("Lane makes lines safe that the reactor did not want after all", async () => {
  using lane = rig(",safe=0", (pin) => {
    pin.submit(SourceOperation.Output, 1);
    refuse(pin, 2);
  }, []);
  lane.heard();
  assertEquals(lane.letGo, []);
  const deadline = performance.now() + 60_000;
  while (lane.emptied() === 0 && performance.now() < deadline) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    lane.heard();
  }
  assertEquals([lane.letGo, lane.pins.map(({ level }) => level)], [
    [0, 1],
    [0, 0],
  ]);
});

Deno.test("Lane is not asked for a line that was closed", () => {
  using lane = rig();
  const sources = lane.lines.map(({ source }) => source);
  lane.lines[0]!.submit(LineOperation.Output, 1);
  lane.heard();
  for (const line of lane.lines) line[Symbol.dispose]();
  lane.heard();
  assertEquals(lane.emptied(), 1);
  // The memory is unmapped by now.
  const [first] = sources;
  assertEquals(
    [first!.direction, first!.peek(), first!.isAbsent],
    [Direction.Output, 1, false],
  );
  first!.remember?.(SourceOperation.Output, 1);
  assertEquals(first!.submit(SourceOperation.Output, 0), FAILED);
  assertEquals(lane.heard(), []);
});
