import { assert, assertEquals, assertThrows } from "@std/assert";
import { EPOLLET, EPOLLIN } from "../../../ffi/epoll.ts";
import { createEventFd, signalFd } from "../../../ffi/event_fd.ts";
import { pollFd, POLLIN } from "../../../ffi/poll.ts";
import { receive, send } from "../../../ffi/socket_message.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { rounds } from "../../../tests/environment/rounds.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { ControlSocket } from "./control_socket.ts";
import type { AggregatorDescription } from "../messages/messages.ts";
import { ListenSocket } from "../sockets/listen_socket.ts";

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
    new ControlSocket(
      reactor,
      ListenSocket.open(path, { mode: 0o600 }),
      (request) => {
        if (request.pull?.[0]?.[0] === "absent") {
          throw new Error(
            "no such line",
          );
        }
        log.push(request);
        const answer = JSON.stringify({
          aggregator: {
            name: "a",
            presentation: "nowhere",
            connected: false,
            lines: [],
            ...aggregator,
          },
        });
        return (answer.match(/.{1,1000}/g) ?? []).values();
      },
      () => now,
    ),
  );
  const connectOnly = () => stack.use(connectUnix(path));
  const connect = () => {
    const fd = connectOnly();
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
  const turn = () => reactor.turn(0);
  const pass = (ms: number) => {
    now += ms;
    reactor.turn(0);
  };
  return {
    connect,
    connectOnly,
    say,
    hear,
    turn,
    pass,
    log,
    [Symbol.dispose]: () => stack.dispose(),
  };
}

const REFUSAL =
  '{"error":"too many clients of this socket: try again later"}\n';
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
  const piece = "x".repeat(10_000);
  control.say(endless, piece);
  control.hear(endless);
  control.say(endless, piece);
  assertEquals(
    JSON.parse(control.hear(endless)).error,
    "a request must have at most 16384 bytes",
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
  using control = rig({ lines: new Array(5000).fill(line) });
  const fd = control.connect();
  control.say(fd, "{}\n{}\n");
  const [first, second] = control.hear(fd, "]}}\n").split("\n");
  assertEquals(JSON.parse(first!).aggregator.lines.length, 5000);
  const rest = second === "" ? control.hear(fd) : second + control.hear(fd);
  assertEquals(JSON.parse(rest!).aggregator.lines.length, 5000);
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
  control.say(idle[0]!, "{}\n");
  assertEquals(control.hear(idle[0]!), ANSWER);
  // The oldest gives up its place.
  const late = control.connect();
  control.say(late, "{}\n");
  assertEquals(control.hear(late), ANSWER);
  assertEquals(control.hear(idle[0]!), REFUSAL);
  assertEquals(control.hear(idle[0]!), "<end>");
  control.pass(9000);
  control.say(idle[1]!, "{}\n");
  assertEquals(control.hear(idle[1]!), ANSWER);
  control.pass(1000);
  assertEquals(control.hear(idle[2]!), "<end>");
  control.say(idle[1]!, "{}\n");
  assertEquals(control.hear(idle[1]!), ANSWER, "it spoke in time");
});

Deno.test("ControlSocket takes no place from a client whose request waits", async () => {
  using control = rig();
  const clients = Array.from({ length: 16 }, () => control.connect());
  // As after a stop of the process: what came meanwhile is there at once.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const late = control.connectOnly();
  control.say(clients[0]!, "{}\n");
  control.say(late, "{}\n");
  assertEquals(control.hear(clients[0]!), ANSWER);
  assertEquals(control.hear(late), ANSWER);
  assertEquals(control.hear(clients[1]!), REFUSAL);
});

Deno.test("ControlSocket rests after many clients that asked nothing, and serves the next one", () => {
  using control = rig();
  for (let i = 0; i < 72; i++) {
    // One that says nothing, and one whose request has no end.
    const client = control.connect();
    if (i % 2 === 0) control.say(client, '{"pull');
    client.close();
    control.turn();
  }
  const client = control.connect();
  control.say(client, '{"pull":[]}\n');
  control.turn();
  assertEquals(control.log, []);
  for (let rests = 0; control.log.length === 0 && rests < 10; rests++) {
    control.pass(5);
    control.turn();
  }
  assertEquals(control.hear(client), ANSWER);
});

Deno.test("ControlSocket answers soon after a stop of the process amid a request", () => {
  using stack = new DisposableStack();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  let now = 0;
  const reactor = stack.use(
    new Reactor({
      now: () => now,
      onError: (error) => {
        throw error;
      },
    }),
  );
  let stopMs = 500;
  const path = `${directory}/a.control`;
  stack.use(
    new ControlSocket(
      reactor,
      ListenSocket.open(path, { mode: 0o600 }),
      () => {
        now += stopMs;
        return ["a", "b"].values();
      },
      () => now,
    ),
  );
  // Beside another peer its slices are timed from the beginning.
  const other = stack.use(createEventFd());
  stack.use(
    reactor.watch(other.fd, EPOLLIN | EPOLLET, () => {}, reactor.share()),
  );
  const turn = () => {
    signalFd(other.fd);
    reactor.turn(0);
  };
  const client = stack.use(connectUnix(path));
  turn();
  const answer = new Uint8Array(64);
  const ask = () => {
    send(client.fd, new TextEncoder().encode("{}\n"));
    const begin = now;
    for (; now < begin + 12_000; now += 5) {
      turn();
      const count = receive(client.fd, answer, []);
      if (count < 0) continue;
      assertEquals(
        new TextDecoder().decode(answer.subarray(0, count)),
        "ab\n",
      );
      return now - begin - stopMs;
    }
    return Infinity;
  };
  assert(ask() <= 50);
  // One that outlasts the time for which a client may be idle.
  stopMs = 11_000;
  assert(ask() <= 50);
});

Deno.test("ControlSocket serves one client's requests in parts, and others between them", () => {
  const requests = rounds(150, 75);
  const clock = { now: 0 };
  using stack = new DisposableStack();
  const directory = Deno.makeTempDirSync();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const reactor = stack.use(
    new Reactor({
      now: () => clock.now,
      onError: (error) => {
        throw error;
      },
    }),
  );
  let pieces = 0;
  const path = `${directory}/a.control`;
  stack.use(
    new ControlSocket(
      reactor,
      ListenSocket.open(path, { mode: 0o600 }),
      function* () {
        for (let i = 0; i < 100; i++) {
          pieces++;
          clock.now += 0.005;
          yield "x";
        }
      },
      () => clock.now,
    ),
  );
  const other = stack.use(createEventFd());
  let served = 0;
  stack.use(
    reactor.watch(
      other.fd,
      EPOLLIN | EPOLLET,
      () => served++,
      reactor.share(),
    ),
  );
  const client = stack.use(connectUnix(path));
  reactor.turn(0);
  send(client.fd, new TextEncoder().encode("{}\n".repeat(requests)));
  const from = served;
  let turns = 0;
  let largest = 0;
  const answers = new Uint8Array(1 << 16);
  while (pieces < requests * 100) {
    assert(++turns < 100_000, `${pieces} pieces in ${turns} turns`);
    const before = pieces;
    signalFd(other.fd);
    reactor.turn(0);
    assertEquals(served - from, turns, "the other peer waits");
    if (turns > 10) largest = Math.max(largest, pieces - before);
    receive(client.fd, answers, []);
    // The time of others.
    clock.now += 0.05;
  }
  // 5 µs each, and a slice of 25 µs.
  assert(largest <= 12, `${largest} pieces in one turn`);
  // Half a millisecond of work each: a twentieth of the time, but for the first
  // ten.
  const expectedMs = requests * 10;
  assert(clock.now > expectedMs * 2 / 3, `${clock.now} ms`);
  assert(clock.now < expectedMs * 4 / 3, `${clock.now} ms`);
});
