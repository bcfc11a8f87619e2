import { assertEquals } from "@std/assert";
import { parseConfig } from "../file/config_file.ts";

function readPolling(text: string): unknown[] {
  const result = parseConfig(text, "x.yaml");
  if ("errors" in result) return result.errors.map(({ message }) => message);
  return result.specification.aggregators
    .map(({ name, pollUs, pollShare }) => [name, pollUs, pollShare]);
}

Deno.test("poll and poll-share are the file's, or the aggregator's own", () => {
  assertEquals(
    readPolling(`
poll: 50us
poll-share: 80%
aggregators:
  a: { vhost-user: /a.sock, lines: [sim/1] }
  b: { vhost-user: /b.sock, lines: [sim/1], poll: 0 }
  c: { vhost-user: /c.sock, lines: [sim/1], poll: 1ms, poll-share: 5% }
  d: { vfio-user: /d.sock, lines: [sim/1] }
  e:
    vhost-user: /e.sock
    qemu-pins: { qtest: /q, qmp: /m }
    lines: [{ const: 1 }]
`),
    [
      ["a", 50, 80],
      ["b", undefined, 80],
      ["c", 1000, 5],
      ["d", undefined, undefined],
      ["e", 50, 80],
      ["e.pins", undefined, undefined],
    ],
  );
  assertEquals(
    readPolling("aggregators: { a: { vhost-user: /a, lines: [sim/1] } }"),
    [["a", undefined, undefined]],
  );
});

Deno.test("poll without rings, and values that are none, are errors", () => {
  assertEquals(
    readPolling(`
poll: 11ms
aggregators:
  a: { vfio-user: /a.sock, lines: [sim/1], poll: 5us }
  b: { vhost-user: /b.sock, lines: [sim/1], poll-share: 101% }
  c: { vhost-user: /c.sock, lines: [sim/1], poll-share: 0% }
  d: { vhost-user: /d.sock, lines: [sim/1], poll: x }
`).map((text) => String(text).replace(/^.*?: /, "")),
    [
      'poll: "11ms" is not a period of at most 10ms',
      "aggregators.a.poll: poll is for vhost-user only",
      'aggregators.b.poll-share: "101%" is not a percentage from 1% to 100%',
      'aggregators.c.poll-share: "0%" is not a percentage from 1% to 100%',
      'aggregators.d.poll: "x" is not a period of at most 10ms',
    ],
  );
});
