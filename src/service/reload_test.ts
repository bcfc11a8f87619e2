import { assertEquals } from "@std/assert";
import { ConfigError } from "../config/document/config_error.ts";
import { parseConfig } from "../config/file/config_file.ts";
import type { Specification } from "../config/specification.ts";
import type { ReloadState } from "../client/protocol.ts";
import { Reloader } from "./reload.ts";

function readSpecification(text: string): Specification {
  const result = parseConfig(text, "test.yaml");
  if ("errors" in result) throw result.errors[0];
  return result.specification;
}

/**
 * A service that has `first`, with guests at some aggregators, without those
 * that were removed. Some of them are clients' by now.
 */
function rig(
  first: string,
  connected: readonly string[],
  removed: readonly string[] = [],
  clients: readonly string[] = [],
) {
  const log: string[] = [];
  const names = (aggregators: readonly { name: string }[]) =>
    aggregators.map(({ name }) => name).join();
  const reloader = new Reloader({
    current: readSpecification(first),
    read: () => ({ specification: readSpecification(first) }),
    isTimed: false,
    isClients: (name) => clients.includes(name),
    target: {
      describe: () =>
        Promise.resolve(
          readSpecification(first).aggregators
            .filter(({ name }) => !removed.includes(name))
            .map(({ name }) => ({
              name,
              presentation: "",
              connected: connected.includes(name),
              lines: [],
            })),
        ),
      add: (aggregators) => Promise.resolve(log.push(`+${names(aggregators)}`)),
      remove: (name) => Promise.resolve(log.push(`-${name}`)),
      changeRules: (aggregators) =>
        Promise.resolve(log.push(`=${names(aggregators)}`)),
      setInterlocks: () => Promise.resolve(),
    },
  });
  return {
    log,
    apply: (text: string) => reloader.apply(readSpecification(text)),
  };
}

const NOTHING: ReloadState = {
  added: [],
  removed: [],
  replaced: [],
  changed: [],
  refused: [],
};

const twice = (lines: string, qmp = "/m") => `
aggregators:
  a:
    vhost-user: /a.sock
    qemu-pins: { qtest: /q, qmp: ${qmp} }
    defaults: { direction: input }
    lines: [${lines}]
`;

Deno.test("Reloader.apply() changes nothing that is as it was", async () => {
  const { log, apply } = rig(twice("sim/2"), ["a", "a.pins"]);
  assertEquals(await apply(twice("sim/2")), NOTHING);
  assertEquals(log, []);
});

Deno.test("Reloader.apply() makes again what was removed since", async () => {
  const { log, apply } = rig(twice("sim/2"), [], ["a", "a.pins"]);
  const added = ["a", "a.pins"];
  assertEquals(await apply(twice("sim/2")), { ...NOTHING, added });
  assertEquals(log, ["+a", "+a.pins"]);
});

Deno.test("Reloader.apply() makes both exposures of an aggregator anew, or neither", async () => {
  const next = twice("sim/3");
  const reasons = ["its guest sees 2 lines, which cannot become 3 under it"];
  for (const guests of [["a"], ["a.pins"], ["a", "a.pins"]]) {
    const { log, apply } = rig(twice("sim/2"), guests);
    const { refused, replaced } = await apply(next);
    assertEquals(refused, [
      { aggregator: "a", reasons },
      { aggregator: "a.pins", reasons },
    ]);
    assertEquals([replaced, log], [[], []]);
  }
  const { log, apply } = rig(twice("sim/2"), []);
  assertEquals((await apply(next)).replaced, ["a", "a.pins"]);
  assertEquals(log, ["-a", "+a", "-a.pins", "+a.pins"]);
});

Deno.test("Reloader.apply() moves one exposure under the other one's guest", async () => {
  const { log, apply } = rig(twice("sim/2"), ["a"]);
  assertEquals(await apply(twice("sim/2", "/n")), {
    ...NOTHING,
    replaced: ["a.pins"],
  });
  assertEquals(log, ["-a.pins", "+a.pins"]);
});

Deno.test("Reloader.apply() says that another control API needs a restart", async () => {
  const one = "aggregators: { a: { vhost-user: /a.sock, lines: [sim/1] } }\n";
  const { log, apply } = rig(`${one}api: { socket: /api.sock }`, []);
  assertEquals(
    await apply(`${one}api: { socket: { path: /api.sock } }`),
    NOTHING,
  );
  for (const next of [one, `${one}api: { look: /api.sock }`]) {
    assertEquals(await apply(next), {
      ...NOTHING,
      refused: [{
        aggregator: "",
        reasons: ["the control API's sockets and files need a restart"],
      }],
    });
  }
  assertEquals(log, []);
});

Deno.test("Reloader.apply() says that another record needs a restart", async () => {
  const one = "aggregators: { a: { vhost-user: /a.sock, lines: [sim/1] } }\n";
  const { log, apply } = rig(`${one}record: 1000`, []);
  assertEquals(await apply(`${one}record: "1000"`), NOTHING);
  for (const next of [one, `${one}record: off`]) {
    assertEquals(await apply(next), {
      ...NOTHING,
      refused: [{
        aggregator: "",
        reasons: ["the size and extent of the record need a restart"],
      }],
    });
  }
  assertEquals(log, []);
});

Deno.test("Reloader.apply() does not change who may use a control socket under a guest", async () => {
  const of = (mode: string) =>
    "aggregators: { a: { vhost-user: /a.sock, lines: [sim/1], " +
    `control: { mode: "${mode}" } } }\n`;
  const { apply } = rig(of("0600"), ["a"]);
  assertEquals((await apply(of("0660"))).refused, [{
    aggregator: "a",
    reasons: ["its presentation cannot change under a running guest"],
  }]);
});

Deno.test("Reloader.apply() leaves alone what a client has made by a name of the file's", async () => {
  const { log, apply } = rig(twice("sim/2"), [], [], ["a"]);
  const reasons = [
    'a client of the control API has made an aggregator "a": once that one is ' +
    "gone (gpioagg remove), reload again",
  ];
  // Its second exposure would be a copy of the client's lines.
  const refused = [
    { aggregator: "a", reasons },
    { aggregator: "a.pins", reasons },
  ];
  const other = "  b: { vhost-user: /b.sock, lines: [sim/1] }\n";
  assertEquals(await apply(twice("sim/3") + other), {
    ...NOTHING,
    added: ["b"],
    refused,
  });
  assertEquals(log, ["+b"]);
});

Deno.test("Reloader.apply() has a name again that was a client's", async () => {
  const clients = ["a"];
  const removed = ["a.pins"];
  const { log, apply } = rig(twice("sim/2"), [], removed, clients);
  const other = "aggregators: { b: { vhost-user: /b.sock, lines: [sim/1] } }";
  assertEquals((await apply(other)).removed, [], "it is not the file's");
  assertEquals((await apply(twice("sim/2"))).refused.length, 2);
  clients.pop();
  removed.push("a");
  assertEquals((await apply(twice("sim/2"))).added, ["a", "a.pins"]);
  assertEquals(log, ["+b", "+a", "+a.pins"]);
});

Deno.test("Reloader.apply() changes how long a driver may be stopped, under its guest", async () => {
  const config = (pausedFor: string) =>
    `aggregators: { a: { vhost-user: /a.sock, lines: [sim/1]${pausedFor} } }`;
  const { log, apply } = rig(config(""), ["a"]);
  const { changed, refused } = await apply(config(", paused-for: 9s"));
  assertEquals([changed, refused, log], [["a"], [], ["=a"]]);
});

Deno.test("Reloader refuses a reload that throws, whatever it throws", async () => {
  for (
    const thrown of [
      new RangeError("Maximum call stack size exceeded"),
      new ConfigError("is not there"),
      "no error",
      undefined,
    ]
  ) {
    let isBroken = true;
    const reloader = new Reloader({
      target: {
        describe: () => Promise.resolve([]),
        add: () => Promise.resolve([]),
        remove: () => Promise.resolve(),
        changeRules: () => Promise.resolve(),
        setInterlocks: () =>
          Promise.reject(new RangeError("cannot find line \x1b[2J")),
      },
      current: { aggregators: [], interlocks: [] },
      read: () => {
        if (isBroken) throw thrown;
        return { specification: { aggregators: [], interlocks: [] } };
      },
      isTimed: false,
    });
    const answer = await reloader.reload();
    const errors = "errors" in answer ? answer.errors : [];
    assertEquals(errors.map((error) => error instanceof ConfigError), [true]);
    // What the reactor refuses is refused, and the next reload is as ever.
    isBroken = false;
    const next = await reloader.reload();
    assertEquals("outcome" in next && next.outcome.refused, [{
      aggregator: "",
      reasons: ["cannot find line \\x1b[2J"],
    }]);
  }
});
