import { assertEquals, assertThrows } from "@std/assert";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { connectUnix, receive, send } from "../../ffi/unix_socket.ts";
import { Reactor } from "../reactor/reactor.ts";
import { ControlSocket } from "./control_socket.ts";
import type { AggregatorDescription } from "./messages.ts";
import { ListenSocket } from "./listen_socket.ts";

function rig(aggregator: Partial<AggregatorDescription> = {}) {
  const stack = new DisposableStack();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const path = `${directory}/a.control`;
  let now = 0;
  const reactor = stack.use(
    new Reactor({
      now: () => now,
      onError: (error) => {
        throw error;
      },
    }),
  );
  const log: unknown[] = [];
  stack.use(
    new ControlSocket(reactor, ListenSocket.open(path, 0o600), (request) => {
      if (request.pull?.[0]?.[0] === "absent") throw new Error("no such line");
      log.push(request);
      return {
        aggregator: {
          name: "a",
          presentation: "nowhere",
          connected: false,
          lines: [],
          ...aggregator,
        },
      };
    }),
  );
  const connect = () => {
    const fd = connectUnix(path);
    stack.use(fd);
    reactor.turn(0);
    return fd;
  };
  const say = (fd: { fd: number }, text: string) =>
    send(fd.fd, new TextEncoder().encode(text));
  const hear = (fd: { fd: number }, until = "\n") => {
    const piece = new Uint8Array(1 << 16);
    let text = "";
    for (let turns = 0; !text.endsWith(until) && turns < 1000; turns++) {
      reactor.turn(0);
      if (pollFd(fd.fd, POLLIN, 0) === 0) continue;
      const count = receive(fd.fd, piece, []);
      if (count === 0) return text + "<end>";
      text += new TextDecoder().decode(piece.subarray(0, count));
    }
    return text;
  };
  const pass = (ms: number) => {
    now += ms;
    reactor.turn(0);
  };
  return {
    connect,
    say,
    hear,
    pass,
    log,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const ANSWER = '{"aggregator":{"name":"a","presentation":"nowhere",' +
  '"connected":false,"lines":[]}}\n';

Deno.test("ControlSocket answers each line, whole or in pieces", () => {
  using control = rig();
  const fd = control.connect();
  control.say(fd, '{"pull":');
  assertEquals(control.hear(fd), "");
  control.say(fd, '[["x",1]]}\n{}\n');
  assertEquals(control.hear(fd, ANSWER + ANSWER), ANSWER + ANSWER);
  assertEquals(control.log, [{ pull: [["x", 1]] }, {}]);
});

Deno.test("ControlSocket answers bad requests with what is wrong", () => {
  using control = rig();
  const fd = control.connect();
  control.say(fd, '{"pull":[["absent",1]]}\n');
  assertEquals(control.hear(fd), '{"error":"no such line"}\n');
  control.say(fd, "nonsense\n");
  assertEquals(JSON.parse(control.hear(fd)).error.includes("JSON"), true);
  control.say(fd, "{}\n");
  assertEquals(control.hear(fd), ANSWER);
});

Deno.test("ControlSocket refuses an endless line and serves others on", () => {
  using control = rig();
  const endless = control.connect();
  const other = control.connect();
  const piece = "x".repeat(60_000);
  control.say(endless, piece);
  control.hear(endless);
  control.say(endless, piece);
  assertEquals(
    JSON.parse(control.hear(endless)).error,
    "a request is at most 65536 bytes long",
  );
  control.say(other, "{}\n");
  assertEquals(control.hear(other), ANSWER);
});

Deno.test("ControlSocket sends an answer that is larger than a socket takes", () => {
  const line = {
    lineNumber: 0,
    name: "x".repeat(31),
    source: "simulated line",
    direction: "input" as const,
  };
  using control = rig({ lines: new Array(20_000).fill(line) });
  const fd = control.connect();
  control.say(fd, "{}\n{}\n");
  const [first, second] = control.hear(fd, "]}}\n").split("\n");
  assertEquals(JSON.parse(first!).aggregator.lines.length, 20_000);
  const rest = second === "" ? control.hear(fd) : second + control.hear(fd);
  assertEquals(JSON.parse(rest!).aggregator.lines.length, 20_000);
});

Deno.test("ControlSocket forgets a client that goes in the middle", () => {
  using control = rig();
  const fd = control.connect();
  control.say(fd, '{"pull":');
  fd.close();
  const other = control.connect();
  control.say(other, "{}\n");
  assertEquals(control.hear(other), ANSWER);
  assertThrows(() => fd.fd);
});

Deno.test("ControlSocket has few clients at a time, and none that say nothing for long", () => {
  using control = rig();
  const idle = Array.from({ length: 16 }, () => control.connect());
  const late = control.connect();
  control.say(late, "{}\n");
  control.pass(9000);
  control.say(idle[0]!, "{}\n");
  assertEquals(control.hear(idle[0]!), ANSWER);
  assertEquals(pollFd(late.fd, POLLIN, 0), 0, "it waits");
  control.pass(1000);
  assertEquals(control.hear(idle[1]!), "<end>");
  assertEquals(control.hear(late), ANSWER);
  control.say(idle[0]!, "{}\n");
  assertEquals(control.hear(idle[0]!), ANSWER, "it spoke in time");
});
