import { assertEquals, assertStringIncludes } from "@std/assert";
import { PL061 } from "../../tests/doubles/pins_rig.ts";
import { QemuDouble } from "../../tests/doubles/qemu_double.ts";
import { parseLineSpec } from "../config/line_spec.ts";
import { Reactor } from "../reactor/reactor.ts";
import type { ServiceEvent } from "./messages.ts";
import { ReactorHost } from "./reactor_host.ts";

Deno.test("an exposure as pins tells of the power button with the QEMU that has it, as no fault", () => {
  const directory = Deno.makeTempDirSync();
  using stack = new DisposableStack();
  stack.defer(() => Deno.removeSync(directory, { recursive: true }));
  const clock = { now: 0 };
  const loop = stack.use(
    new Reactor({
      onError: (error) => {
        throw error;
      },
      now: () => clock.now,
    }),
  );
  const pass = (ms: number) => {
    for (let i = 0; i < ms; i += 10) {
      clock.now += 10;
      for (let turn = 0; turn < 12; turn++) loop.turn(0);
    }
  };
  const events: ServiceEvent[] = [];
  const host = stack.use(
    new ReactorHost(loop, {
      service: (event) => events.push(event),
      changes: () => {},
      idle: () => {},
    }),
  );
  host.add([{
    name: "press",
    lines: parseLineSpec("sim/8"),
    qemuPins: {
      qtest: `${directory}/qtest`,
      qmp: `${directory}/qmp`,
      device: "pl061",
    },
  }], []);
  for (let i = 0; i < 2; i++) {
    using _qemu = new QemuDouble(loop, directory, [{ ...PL061, key: 3 }]);
    pass(1100);
  }
  pass(10);
  assertEquals(events.map(({ event }) => event), [
    ...["connected", "started", "disconnected"],
    ...["connected", "started", "disconnected"],
  ]);
  const told = events.filter(({ event }) => event === "connected");
  assertStringIncludes(told[0]!.detail, "pin 3, which line 3 is tied to");
  assertEquals(told[1]!.detail, "");
  assertEquals(host.countAll().counts[0]!.guests!.faults, 0);
});
