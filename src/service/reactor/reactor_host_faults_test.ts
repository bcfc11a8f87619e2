/** A handler that throws is one aggregator's affair. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fileStatus } from "../../../ffi/file_status.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { ReactorHost } from "./reactor_host.ts";

/** Does all pieces of a command. */
function all(steps: Iterable<unknown>): void {
  for (const _ of steps);
}

Deno.test("ReactorHost ends the session of a handler that throws, then the aggregator's use", () => {
  const directory = Deno.makeTempDirSync({ prefix: "gpioagg-faults-" });
  try {
    const log: string[] = [];
    using reactor = new Reactor({
      onError: (error) => log.push(`reactor: ${String(error)}`),
    });
    using host = new ReactorHost(reactor, {
      service: ({ aggregator, event, detail }) =>
        log.push(`${aggregator}: ${event} ${detail}`),
      changes: ({ aggregator }) => {
        if (aggregator === "bad") throw new Error("a bug\x1b[2J");
      },
      idle: () => {},
    });
    const specification = (name: string) => ({
      name,
      vhostUser: { socketPath: `${directory}/${name}.sock` },
      lines: parseLineSpec("sim/1"),
    });
    all(host.add([specification("bad"), specification("good")], []));
    all(host.observe(true));
    using _vmm = connectUnix(`${directory}/bad.sock`);
    reactor.turn(100);
    const provoke = (level: 0 | 1) => {
      all(host.pull("bad", [["0", level]]));
      const before = log.length;
      for (let i = 0; i < 50 && log.length < before + 2; i++) reactor.turn(10);
      return log.slice(before);
    };
    assertEquals(provoke(1), [
      "bad: fault internal error: a bug\\x1b[2J; the session is ended",
      "bad: disconnected an internal error",
    ]);
    // The next VMM is accepted.
    using _next = connectUnix(`${directory}/bad.sock`);
    reactor.turn(100);
    for (let i = 2; i < 5; i++) provoke(i % 2 === 0 ? 0 : 1);
    const last = provoke(1);
    assertStringIncludes(last[0] ?? "", "it serves no guest any more");
    for (let i = 0; i < 10; i++) reactor.turn(1);
    assertEquals(fileStatus(`${directory}/bad.sock`), undefined);
    assert(fileStatus(`${directory}/good.sock`) !== undefined);
    assertEquals(log.filter((line) => line.startsWith("reactor:")), []);
    assertEquals(log.filter((line) => line.startsWith("good:")), []);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
