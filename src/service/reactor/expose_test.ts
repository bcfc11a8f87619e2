import { assertEquals, assertStringIncludes } from "@std/assert";
import { all, HostRig } from "../../../tests/doubles/host_rig.ts";
import { PL061 } from "../../../tests/doubles/pins_rig.ts";
import { QemuDouble } from "../../../tests/doubles/qemu_double.ts";
import {
  GUEST_FEATURES,
  R,
  u32,
  u64,
  VhostGuest,
  VhostPeer,
} from "../../../tests/doubles/vhost_peer.ts";
import { connectUnix } from "../../../ffi/unix_socket.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import type { AggregatorSpecification } from "../../config/specification.ts";

Deno.test("an exposure as pins tells of the power button with the QEMU that has it, as no fault", () => {
  using rig = new HostRig();
  const { directory, events, host, loop } = rig;
  rig.add({
    name: "press",
    lines: parseLineSpec("sim/8"),
    qemuPins: {
      qtest: `${directory}/qtest`,
      qmp: `${directory}/qmp`,
      device: "pl061",
    },
  });
  for (let i = 0; i < 2; i++) {
    using _qemu = new QemuDouble(loop, directory, [{ ...PL061, key: 3 }]);
    rig.pass(1100, 10);
  }
  rig.pass(10);
  assertEquals(events.map(({ event }) => event), [
    ...["connected", "started", "disconnected"],
    ...["connected", "started", "disconnected"],
  ]);
  const told = events.filter(({ event }) => event === "connected");
  assertStringIncludes(told[0]!.detail, "pin 3, which line 3 is tied to");
  assertEquals(told[1]!.detail, "");
  assertEquals([...host.count()][0]!.counts![0]!.guests!.faults, 0);
});

/** A frontend that drives line 0 high, and stops its rings. */
class Driver implements Disposable {
  readonly guest = new VhostGuest();
  readonly #peer: VhostPeer;
  readonly #turn: () => void;

  constructor(path: string, turn: () => void) {
    this.#peer = new VhostPeer(connectUnix(path));
    this.#turn = turn;
  }

  say(request: number, payload: Uint8Array, fd?: number): void {
    this.#peer.send(request, payload, {
      fds: fd === undefined ? [] : [fd],
    });
    this.#turn();
  }

  start(bases: readonly number[]): void {
    const { guest } = this;
    this.say(R.SET_FEATURES, u64(GUEST_FEATURES));
    this.say(R.SET_MEM_TABLE, guest.memTable(), guest.file.fd);
    for (const i of [0, 1]) {
      this.say(R.SET_VRING_NUM, u32(i, guest.queueSize));
      this.say(R.SET_VRING_BASE, u32(i, bases[i]!));
      this.say(R.SET_VRING_ADDR, guest.vringAddr(i));
      this.say(R.SET_VRING_KICK, u64(i), guest.kicks[i]!.fd);
      this.say(R.SET_VRING_ENABLE, u32(i, 1));
    }
  }

  request(type: number, line: number, value: number): void {
    this.guest.request(type, line, value);
    this.guest.kick(0);
    this.#turn();
    assertEquals(this.guest.responses(), [[0, 0]]);
  }

  stop(): number[] {
    return [0, 1].map((i) => {
      this.say(R.GET_VRING_BASE, u32(i, 0));
      const answer = this.#peer.read();
      if (answer === undefined || answer === "ended") throw new Error("ended");
      return new DataView(answer.payload.buffer).getUint32(4, true);
    });
  }

  [Symbol.dispose](): void {
    this.#peer.close();
    this.guest[Symbol.dispose]();
  }
}

Deno.test("a vhost-user guest that stays stopped is gone: its lines go where their rules say", () => {
  using rig = new HostRig();
  const { directory, host } = rig;
  const specification: AggregatorSpecification = {
    name: "press",
    lines: [
      ...parseLineSpec("sim/1,safe=0"),
      ...parseLineSpec("sim/1,as=OTHER"),
    ],
    vhostUser: { socketPath: `${directory}/s` },
    pausedForUs: 1_000_000,
  };
  rig.add(specification);
  const values = () =>
    [...host.describe("press")][0]!.aggregators[0]!.lines.map((
      { direction, value },
    ) => `${direction} ${value}`);
  using driver = new Driver(`${directory}/s`, () => rig.turn());
  rig.turn();
  driver.start([0, 0]);
  for (const line of [0, 1]) {
    driver.request(3, line, 1);
    driver.request(5, line, 1);
  }
  assertEquals(values(), ["output 1", "output 1"]);
  const bases = driver.stop();
  rig.pass(950);
  assertEquals(values(), ["output 1", "output 1"]);
  rig.pass(100);
  // The second line's rule is to keep what it has.
  assertEquals(values(), ["output 0", "output 1"]);
  const events = () =>
    rig.events.map(({ event, detail }) => `${event} ${detail}`.trim());
  assertEquals(events().slice(1), [
    "started",
    "stopped",
    "gone its driver stopped and did not go on within 1 s (paused-for)",
  ]);
  // It was paused after all: nothing moves until it asks.
  driver.start(bases);
  assertStringIncludes(events().at(-1)!, "started it was paused for longer");
  assertEquals(values(), ["output 0", "output 1"]);
  driver.request(5, 0, 1);
  assertEquals(values(), ["output 1", "output 1"]);
  all(host.changeRules([{ ...specification, pausedForUs: "keep" }]));
  driver.stop();
  rig.pass(100_000);
  assertEquals(values(), ["output 1", "output 1"]);
});

/** Number of shares of the reactor's time that an aggregator takes. */
function listShares(
  exposureAt: (
    path: string,
  ) => Omit<AggregatorSpecification, "name" | "lines">,
): number {
  using rig = new HostRig();
  const { loop } = rig;
  const share = loop.share.bind(loop);
  let count = 0;
  loop.share = (onError) => {
    count++;
    return share(onError);
  };
  rig.add({
    name: "press",
    lines: parseLineSpec("sim/8"),
    ...exposureAt(`${rig.directory}/s`),
  });
  rig.turn();
  return count;
}

Deno.test("an aggregator has one share of the reactor's time, however it is exposed", () => {
  const shares = listShares((socketPath) => ({ vhostUser: { socketPath } }));
  const others = {
    card: listShares((socketPath) => ({ vfioUser: { socketPath } })),
    adapter: listShares((socketPath) => ({
      usbredir: { socketPath, device: "cp2112" },
    })),
    listeningQemu: listShares((socketPath) => ({
      usbredir: { socketPath, device: "ljca", connects: true },
    })),
    pins: listShares((path) => ({
      qemuPins: { qtest: path, qmp: `${path}.qmp`, device: "pl061" },
    })),
  };
  assertEquals(Object.values(others), [shares, shares, shares, shares]);
});
