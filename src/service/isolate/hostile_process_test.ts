/** A process of an aggregator that its guest has taken over. */
import { assertEquals } from "@std/assert";
import { duplicate } from "../../../ffi/files.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { send } from "../../../ffi/socket_message.ts";
import { until } from "../../../tests/environment/wait.ts";
import { sleep } from "../../async/wait.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { ServiceEvent } from "../messages/messages.ts";
import { IsolatedAggregator } from "./isolated_aggregator.ts";
import { ProcessChannel } from "./process_channel.ts";

const LINE = {
  lineNumber: 0,
  name: "P",
  source: "simulated",
  direction: "input",
};
const DESCRIBED = {
  name: "a",
  presentation: "nowhere",
  connected: false,
  lines: [LINE],
};
const COUNTED = { name: "a", connected: true, servedSince: 0 };

function frame(text: string): Uint8Array {
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length);
  new DataView(bytes.buffer).setUint32(0, json.length, true);
  bytes.set(json, 8);
  return bytes;
}

const isFault = ({ event }: ServiceEvent) => event === "fault";

/** A report that lines of these names are recorded. */
function recorded(names: readonly string[]): string {
  const states = names.map(() => 0);
  const lines = { aggregator: "a", firstLine: 0, firstId: 0, names, states };
  return JSON.stringify({ kind: "recorded", lines: { ...lines, time: 1 } });
}

/** An aggregator of one line, whose process answers as it is told. */
async function rig(answers: Record<string, unknown>) {
  const events: ServiceEvent[] = [];
  const channels: ProcessChannel[] = [];
  const sockets: OwnedFd[] = [];
  const isolated = await IsolatedAggregator.start({
    events: { service: (event) => void events.push(event) },
    store: undefined,
    startProcess: (socketFd) => {
      sockets.push(duplicate(socketFd));
      const channel = new ProcessChannel(duplicate(socketFd), {
        message: (value): void => {
          const { kind, id, name } = value as Record<string, string>;
          if (kind === "start") return channel.send({ kind: "ready" });
          if (kind !== "call") return;
          const result = name === "add" ? [DESCRIBED] : answers[name!];
          channel.send({ kind: "done", id, result: result ?? null });
        },
        ended: () => {},
      });
      channels.push(channel);
      return { pid: 0 };
    },
  });
  await isolated.add([{ name: "a", lines: [...parseLineSpec("sim/1")] }], {});
  return {
    isolated,
    events,
    /** Writes bytes beside the channel, as the service reads. */
    write: async (bytes: Uint8Array) => {
      for (let at = 0; at < bytes.length && !events.some(isFault);) {
        try {
          at += Math.max(0, send(sockets[0]!.fd, bytes.subarray(at)));
        } catch (error) {
          // It does not listen any more.
          if (!isOsError(error, "EPIPE", "ECONNRESET")) throw error;
          return;
        }
        await sleep(1);
      }
    },
    [Symbol.dispose]: () => {
      isolated.end();
      for (const channel of channels) channel[Symbol.dispose]();
      for (const socket of sockets) socket.close();
    },
  };
}

for (
  const [what, name, answer] of [
    ["a number", "describe", 5],
    ["nothing", "describe", null],
    ["a list of nothing", "describe", [null]],
    ["no lines", "describe", [{ ...DESCRIBED, lines: undefined }]],
    ["a line that is none", "describe", [{ ...DESCRIBED, lines: [null] }]],
    ["more lines than it has", "describe", [
      { ...DESCRIBED, lines: [LINE, LINE] },
    ]],
    ["a time that no date has", "describe", [
      { ...DESCRIBED, servedSince: 1e300 },
    ]],
    ["rules without a reason", "pending", [{ aggregator: "a", line: "P" }]],
    ["counters that are no numbers", "count", [
      {
        ...COUNTED,
        guests: {
          connections: 0,
          respawns: 0,
          faults: 0,
          eventsLeftOut: {},
          lines: [],
          exposure: { requests: [1, 2] },
        },
      },
    ]],
  ] as const
) {
  Deno.test(`a process that answers ${name} with ${what} is ended, and the rest is told`, async () => {
    using it = await rig({ [name]: answer });
    const said = await it.isolated[name]();
    // As without a process: those who ask for all aggregators get an answer.
    const lines = name === "count" ? 0 : 1;
    assertEquals(said.length, lines);
    assertEquals(it.events.filter(isFault).length, 1);
  });
}

for (
  const [what, text] of [
    ["an answer to no command", '{"kind":"done","id":999,"result":5}'],
    [
      "values without end",
      `{"kind":"done","id":1,"result":[${"{},".repeat(100_000)}0]}`,
    ],
    ["a number without end", '{"kind":"changes","changes":1e999}'],
    ["a report of no kind", '{"kind":"__proto__"}'],
    [
      "an event of no kind",
      '{"kind":"event","event":{"aggregator":"a",' +
      '"event":"removed by root","detail":""}}',
    ],
    [
      "changes of nothing",
      '{"kind":"changes","changes":{"aggregator":"a",' +
      '"lines":[null]}}',
    ],
    ["records of lines that it does not have", recorded(["", "", ""])],
    ["records of no lines", recorded([])],
    ["the end of what is to stay", '{"kind":"removed-late","name":"a"}'],
    ["no aggregator", '{"kind":"removed-late"}'],
    ["an error that is none", '{"kind":"failed","id":1,"error":null}'],
  ] as const
) {
  Deno.test(`a process that sends ${what} is ended`, async () => {
    using it = await rig({});
    await it.write(frame(text));
    await until("it is a fault", () => it.events.some(isFault));
  });
}

Deno.test("a process that announces more than its lines have to say is ended", async () => {
  using it = await rig({});
  const head = new Uint8Array(8);
  new DataView(head.buffer).setUint32(0, 2 * 1024 * 1024, true);
  await it.write(head);
  await until("it is a fault", () => it.events.some(isFault));
});
