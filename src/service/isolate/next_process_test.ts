/** Messages to the process that replaces one that died. */
import { assertEquals } from "@std/assert";
import { duplicate } from "../../../ffi/files.ts";
import { until } from "../../../tests/environment/wait.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";
import type { ServiceEvent } from "../messages/messages.ts";
import { IsolatedAggregator } from "./isolated_aggregator.ts";
import type { ToProcess } from "./messages.ts";
import { ProcessChannel } from "./process_channel.ts";

/** A process that notes its commands and does nothing. */
class ProcessDouble {
  readonly calls: { name: string; args: unknown[] }[] = [];
  /** Set if it stands still, and its channel with it, or only has no end. */
  isStopped: boolean | "no end" = false;
  readonly #channel: ProcessChannel;

  constructor(socketFd: number) {
    this.#channel = new ProcessChannel(duplicate(socketFd), {
      message: (value) => this.#hear(value as ToProcess),
      ended: () => {},
    });
  }

  /** Dies. */
  [Symbol.dispose](): void {
    this.#channel[Symbol.dispose]();
  }

  /** The aggregators of each `add`, in order. */
  get added(): AggregatorSpecification[][] {
    return this.calls.filter(({ name }) => name === "add")
      .map(({ args }) => args[0] as AggregatorSpecification[]);
  }

  #hear(message: ToProcess): void {
    if (message.kind === "start") this.#channel.send({ kind: "ready" });
    if (message.kind !== "call" || this.isStopped === true) return;
    const { id, name, args } = message;
    if (name === "shutdown" && this.isStopped === "no end") return;
    this.calls.push({ name, args });
    const described = (name: string) => ({
      name,
      presentation: "nowhere",
      connected: false,
      lines: [],
    });
    const result = name === "add"
      ? (args[0] as AggregatorSpecification[]).map(({ name }) =>
        described(name)
      )
      : name === "remove"
      ? described(String(args[0]))
      : name === "pending"
      ? []
      : null;
    this.#channel.send({ kind: "done", id, result });
  }
}

const LINES = parseLineSpec("sim/2,direction=output,initial=1,safe=0");

const EXPOSED: readonly AggregatorSpecification[] = [
  {
    name: "press",
    vhostUser: { socketPath: "/run/press.sock" },
    control: { path: "/run/press.control", access: {} },
    isolate: "process",
    lines: LINES,
  },
  { name: "card", vfioUser: { socketPath: "/run/card.sock" }, lines: LINES },
  {
    name: "adapter",
    usbredir: { socketPath: "/run/adapter.sock", device: "cp2112" },
    lines: LINES,
  },
  {
    name: "pins",
    qemuPins: { qtest: "/run/qtest", qmp: "/run/qmp", device: "pl061" },
    lines: LINES,
  },
];

Deno.test("after a process died, lines are made safe before a guest can come, and not as at first", async () => {
  const processes: ProcessDouble[] = [];
  const events: ServiceEvent[] = [];
  const isolated = await IsolatedAggregator.start({
    events: { service: (event) => void events.push(event) },
    store: undefined,
    startProcess: (socketFd) => {
      processes.push(new ProcessDouble(socketFd));
      return { pid: 0 };
    },
  });
  try {
    await isolated.add([...EXPOSED], {});
    const [first] = processes;
    assertEquals(first!.added, [JSON.parse(JSON.stringify(EXPOSED))]);
    first![Symbol.dispose]();
    await until(
      "all are served again",
      () => events.filter(({ event }) => event === "enforced").length === 4,
    );
    const [, second] = processes;
    const calls = second!.calls.map(({ name }) => name);
    // All are safe and released first.
    assertEquals(calls.splice(0, 2 * EXPOSED.length).sort(), [
      ...EXPOSED.map(() => "add"),
      ...EXPOSED.map(() => "remove"),
    ]);
    assertEquals(calls, [...EXPOSED.map(() => "add"), "dropUnused"]);
    // The rules, and nothing that a guest could connect to.
    const lines = LINES.map(({ initial: _, ...line }) => line);
    assertEquals(lines.map(({ safe }) => safe), [0, 0]);
    const exposed = second!.added;
    assertEquals(
      exposed.splice(0, EXPOSED.length).flat(),
      JSON.parse(JSON.stringify(
        EXPOSED.map(({ name, isolate }) => ({ name, isolate, lines })),
      )),
    );
    // The exposures as they were; no line becomes active by that.
    assertEquals(
      exposed.flat(),
      JSON.parse(JSON.stringify(EXPOSED.map((one) => ({ ...one, lines })))),
    );
  } finally {
    isolated.end();
    for (const process of processes) process[Symbol.dispose]();
  }
});

for (const how of ["stands still", "dies", "never comes to its end"]) {
  Deno.test(`lines are made safe at the end by the service itself if their process ${how}`, async () => {
    const processes: ProcessDouble[] = [];
    const isolated = await IsolatedAggregator.start({
      events: { service: () => {} },
      store: undefined,
      startProcess: (socketFd) => {
        processes.push(new ProcessDouble(socketFd));
        return { pid: 0 };
      },
    });
    const [press] = EXPOSED;
    await isolated.add([press!], {});
    const [first] = processes;
    first!.isStopped = how === "stands still" || "no end";
    const made: AggregatorSpecification[][] = [];
    const end = isolated.shutdown((aggregators) => {
      made.push(aggregators);
      return Promise.resolve();
    });
    if (how === "dies") first![Symbol.dispose]();
    await end;
    const lines = LINES.map(({ initial: _, ...line }) => line);
    assertEquals(made, [[{ name: "press", isolate: "process", lines }]]);
    // No other process: a busy machine may not start one in time.
    assertEquals(processes.length, 1);
    for (const process of processes) process[Symbol.dispose]();
  });
}

Deno.test("a process that ends its aggregators itself leaves nothing to the service", async () => {
  let process: ProcessDouble | undefined;
  const isolated = await IsolatedAggregator.start({
    events: { service: () => {} },
    store: undefined,
    startProcess: (socketFd) => {
      process = new ProcessDouble(socketFd);
      return { pid: 0 };
    },
  });
  await isolated.add([EXPOSED[0]!], {});
  await isolated.shutdown(() => Promise.reject(new Error("not its part")));
  process![Symbol.dispose]();
});
