import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { rounds } from "../../tests/environment/rounds.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { ModelPort } from "../../tests/doubles/model_port.ts";
import { R, u64, VhostPeer } from "../../tests/doubles/vhost_peer.ts";
import { VhostRig } from "../../tests/doubles/vhost_rig.ts";
import { Reactor } from "../reactor/reactor.ts";
import { GpioDevice } from "../virtio/gpio/device.ts";
import type { PeerEndpoint } from "../peer/peer_server.ts";
import { VhostUserBackend } from "./backend.ts";

const GET_VALUE = 4;

Deno.test("VhostUserBackend lets a second frontend wait until the first is gone", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  using second = rig.connect();
  using third = rig.connect();
  second.send(R.GET_QUEUE_NUM);
  third.send(R.GET_QUEUE_NUM);
  rig.turn();
  assertEquals([second.read(), third.read()], [undefined, undefined]);
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
  assertEquals(rig.log.filter((line) => line === "connected").length, 1);
  rig.hangUp();
  assertEquals(second.read(), {
    request: 17,
    flags: 5,
    payload: u64(2),
    fds: [],
  });
  assertEquals(third.read(), undefined);
  second.close();
  rig.turn();
  assert(third.read() !== undefined);
});

Deno.test("VhostUserBackend serves frontends that vanish again and again in the middle", () => {
  using rig = new VhostRig();
  for (let i = 0; i < rounds(100, 30); i++) {
    rig.guest.boot();
    rig.negotiate();
    if (i % 3 > 0) rig.startRings();
    if (i % 3 > 1) rig.armLine(0, 3);
    rig.reconnect();
    assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  }
});

Deno.test("VhostUserBackend ends its session when it is disposed, and tells why", () => {
  using rig = new VhostRig();
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.backend.isConnected, true);
  rig.backend[Symbol.dispose]();
  rig.backend[Symbol.dispose]();
  assertEquals(rig.peer.read(), "ended");
  assertEquals(rig.backend.isConnected, false);
  assertEquals(rig.backend.configChanged(), false);
  assertEquals(rig.device.resets, 1);
  assertEquals(rig.leftovers(), { fds: 0, mappings: 0 });
  assertEquals(rig.log, [
    "connected",
    "started",
    "stopped",
    "gone: the backend ended",
  ]);
});

/** A backend that is given one end of a socket pair. */
function given(
  endpoint: (socket: OwnedFd) => PeerEndpoint,
  now = () => performance.now(),
) {
  const reactor = new Reactor({
    now,
    onError: (error) => {
      throw error;
    },
  });
  const log: string[] = [];
  const [ours, theirs] = socketPair();
  const backend = new VhostUserBackend({
    loop: reactor,
    device: new GpioDevice([new ModelPort("a")]),
    endpoint: endpoint(ours),
    name: "given",
    events: {
      connected: () => void log.push("connected"),
      disconnected: (reason) => void log.push(reason),
      started: () => void log.push("started"),
      stopped: () => void log.push("stopped"),
      gone: (reason) => void log.push(reason),
      waiting: (who) => void log.push(who),
      fault: (error) => void log.push(error.message),
    },
  });
  return { backend, log, peer: new VhostPeer(theirs), reactor };
}

Deno.test("VhostUserBackend serves one connection that it was given, and no other", () => {
  const { backend, log, peer, reactor } = given((connection) => ({
    connection,
  }), () => 0);
  using _reactor = reactor;
  using _backend = backend;
  using _peer = peer;
  assertEquals(backend.name, "given");
  peer.send(R.GET_QUEUE_NUM);
  reactor.turn(0);
  assertEquals(peer.read(), {
    request: 17,
    flags: 5,
    payload: u64(2),
    fds: [],
  });
  peer.close();
  reactor.turn(0);
  assertEquals(log, ["connected", "the frontend closed the connection"]);
  assertEquals(backend.isConnected, false);
});

Deno.test("VhostUserBackend reports a fault once per connection", () => {
  using rig = new VhostRig();
  rig.negotiate();
  for (let i = 0; i < 10; i++) {
    assertEquals(rig.tell(R.SET_VRING_NUM, new Uint8Array(8)), 1);
  }
  assertEquals(rig.log.length, 2);
  assertStringIncludes(rig.log[1]!, "Cannot serve SET_VRING_NUM");
  rig.reconnect();
  rig.negotiate();
  assertEquals(rig.tell(R.SET_VRING_NUM, new Uint8Array(8)), 1);
  assertEquals(rig.log.length, 5);
});

Deno.test("VhostUserBackend rests after a failed accept, and tries again every second", () => {
  const clock = { now: 0 };
  const { backend, log, peer, reactor } = given((socket) => ({
    // Readable, and still no listener: accept fails as it does without fds.
    listener: socket,
  }), () => clock.now);
  using _reactor = reactor;
  using _backend = backend;
  using _peer = peer;
  peer.send(R.GET_QUEUE_NUM);
  for (let second = 1; second <= 3; second++) {
    for (let i = 0; i < 5; i++) reactor.turn(0);
    assertEquals(log.length, second);
    clock.now += 1001;
    reactor.turn(0);
  }
  assertStringIncludes(log[0]!, "a new connection: accept4 failed");
});

/** A rig with a clock of its own; its first frontend has said nothing yet. */
function waitingRig() {
  const clock = { now: 0 };
  const rig = new VhostRig({ now: () => clock.now });
  const pass = (ms: number) => {
    for (const end = clock.now + ms; clock.now < end;) {
      clock.now += Math.min(500, end - clock.now);
      rig.turn();
      rig.turn();
    }
  };
  return { rig, pass };
}

Deno.test("VhostUserBackend tells who waits at a busy socket, once, and not of a short wait", () => {
  const { rig, pass } = waitingRig();
  using _rig = rig;
  rig.negotiate();
  {
    using short = rig.connect();
    short.send(R.GET_QUEUE_NUM);
    pass(500);
  }
  pass(5000);
  assertEquals(rig.log, ["connected"]);
  using second = rig.connect();
  second.send(R.GET_QUEUE_NUM);
  pass(100_000);
  // One that is used is never thrown out.
  assertEquals(rig.log.length, 2);
  assertStringIncludes(
    rig.log[1]!,
    `(pid ${Deno.pid}), while the device is in`,
  );
  assertStringIncludes(rig.log[1]!, `use by`);
  assertEquals(second.read(), undefined);
  rig.hangUp();
  rig.turn();
  rig.turn();
  assert(second.read() !== undefined);
});

Deno.test("VhostUserBackend serves a VMM that waits behind a connection that says nothing", () => {
  const { rig, pass } = waitingRig();
  using _rig = rig;
  using silent = rig.connect();
  using second = rig.connect();
  second.send(R.GET_QUEUE_NUM);
  pass(4500);
  assertEquals(second.read(), undefined);
  pass(1500);
  assert(second.read() !== undefined);
  assertEquals(silent.read(), undefined);
  const told = rig.log.find((line) => line.startsWith("gone"))!;
  assertStringIncludes(told, "sent nothing for 5 s while another VMM waited");
  assertEquals(rig.peer.read(), "ended");
});

Deno.test("VhostUserBackend keeps a silent connection while no other client connects", () => {
  const { rig, pass } = waitingRig();
  using _rig = rig;
  using _silent = rig.connect();
  pass(60_000);
  rig.negotiate();
  rig.startRings();
  assertEquals(rig.gpio(GET_VALUE, 0), [0, 0]);
});

Deno.test("VhostUserBackend finds the VMM behind any number of connections that say nothing", () => {
  const { rig, pass } = waitingRig();
  using _rig = rig;
  using stack = new DisposableStack();
  for (let i = 0; i < 10; i++) stack.use(rig.connect());
  const vmm = stack.use(rig.connect());
  vmm.send(R.GET_QUEUE_NUM);
  pass(60_000);
  assert(vmm.read() !== undefined);
});
