/**
 * This project's own frontend against a running `gpioagg serve`: what guests
 * do, in every known frontend's order of messages.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { ControlClient } from "../../src/service/control/control_client.ts";
import { defaultControlPath } from "../../src/config/specification.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { RequestRefused } from "../../src/vhost_frontend/errors.ts";
import { SUPPORTED_FEATURES } from "../../src/vhost_frontend/features.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import type { FrontendOptions } from "../../src/vhost_frontend/frontend_options.ts";
import { ORDER_NAMES } from "../../src/vhost_frontend/orders.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
} from "../../src/virtio/queue/features.ts";
import {
  Direction,
  EventStatus,
  IrqType,
  MessageType,
} from "../../src/virtio/gpio/protocol.ts";
import { Service } from "../environment/service.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

const LIMIT_MS = 120_000;
/** Long enough for an interrupt that should not come to come. */
const QUIET_MS = 50;

const LINES = ["sim/4,as=OUT", "sim/4,as=IN,direction=input"];
const NAMES = ["OUT", "IN"].flatMap((name) =>
  [0, 1, 2, 3].map((i) => `${name}${i}`)
);
const IN0 = 4;

function pull(socket: string, ...changes: [string, 0 | 1][]): void {
  using control = new ControlClient(defaultControlPath(socket));
  control.ask({ pull: changes });
}

/** Names, directions, levels and interrupts, all that a guest does. */
function tour(frontend: Frontend, driver: GpioDriver, socket: string): void {
  pull(socket, ["IN0", 0]);
  assertEquals(driver.names(), NAMES);
  assertEquals(driver.getDirection(IN0), Direction.Input);
  for (const value of [1, 0, 1]) {
    driver.setOutput(0, value, Direction.Output);
    assertEquals(driver.getValue(0), value);
  }
  assertEquals(driver.getDirection(0), Direction.Output);
  assertThrows(
    () => driver.setDirection(IN0, Direction.Output),
    RequestRefused,
  );
  driver.setDirection(IN0, Direction.Input);
  driver.setInterruptType(IN0, IrqType.EdgeRising);
  driver.arm(IN0);
  pull(socket, ["IN0", 1]);
  assertEquals(driver.waitEvent(LIMIT_MS), {
    lineNumber: IN0,
    status: EventStatus.Valid,
  });
  // Masked now: the falling edge is no interrupt, the next rising one is kept.
  pull(socket, ["IN0", 0], ["IN0", 1]);
  assertEquals(driver.waitEvent(QUIET_MS), undefined);
  driver.arm(IN0);
  assertEquals(driver.waitEvent(LIMIT_MS)?.status, EventStatus.Valid);
  driver.arm(IN0);
  driver.setInterruptType(IN0, IrqType.None);
  assertEquals(driver.waitEvent(LIMIT_MS), {
    lineNumber: IN0,
    status: EventStatus.Invalid,
  });
  assert(frontend.running);
}

for (const order of ORDER_NAMES) {
  Deno.test(`a guest lives in the order of ${order}, twice`, async () => {
    await using service = await Service.start({ plc0: LINES });
    const socket = service.socket("plc0");
    for (let life = 0; life < 2; life++) {
      using frontend = Frontend.open(socket, { order, timeoutMs: 120_000 });
      const driver = GpioDriver.attach(frontend);
      tour(frontend, driver, socket);
      // The guest reboots in the same VM.
      driver.restart();
      tour(frontend, driver, socket);
    }
  });
}

const VARIANTS: Record<string, FrontendOptions> = {
  "direct descriptors": {
    features: SUPPORTED_FEATURES & ~VIRTIO_F_INDIRECT_DESC_MASK,
  },
  "notification flags instead of event index": {
    features: SUPPORTED_FEATURES & ~VIRTIO_F_EVENT_IDX_MASK,
  },
  "no protocol feature but CONFIG": { protocolFeatures: 1n << 9n },
  "rings of four entries": { queueSize: 4 },
  "rings of 32768 entries": {
    queueSize: 32768,
    regions: [{ guestAddress: 0, length: 0x100_0000 }],
  },
  "each ring in another region, below and above 4 GiB": {
    regions: [
      { guestAddress: 0x1000_0000, length: 0x10_0000, fileOffset: 0x3000 },
      { guestAddress: 0x12_3450_0000, length: 0x10_0000 },
    ],
    ringRegions: [1, 0],
  },
  "user addresses equal to guest addresses": {
    regions: [
      {
        guestAddress: 0x4000_0000,
        length: 0x10_0000,
        userAddress: 0x4000_0000,
      },
    ],
  },
};

for (const [name, options] of Object.entries(VARIANTS)) {
  Deno.test(`a guest lives with ${name}`, async () => {
    await using service = await Service.start({ plc0: LINES });
    const socket = service.socket("plc0");
    using frontend = Frontend.open(socket, { ...options, timeoutMs: 120_000 });
    tour(frontend, GpioDriver.attach(frontend), socket);
  });
}

Deno.test("a pause is no reset: armed interrupts and levels outlast it", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  driver.setOutput(1, 1, Direction.Output);
  driver.setDirection(IN0, Direction.Input);
  driver.setInterruptType(IN0, IrqType.EdgeBoth);
  driver.arm(IN0);
  const requestsBefore = frontend.rings[0]!.availIndex;
  assertEquals(frontend.pause()[0], requestsBefore);
  // No guest memory is written and no notification is sent while all rings are
  // stopped.
  pull(socket, ["IN0", 1]);
  assertEquals(driver.waitEvent(QUIET_MS), undefined);
  frontend.resume();
  assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, IN0);
  assertEquals(driver.getValue(1), 1);
});

Deno.test("a buffer whose kick is late is returned by interrupt type NONE", async () => {
  await using service = await Service.start({ plc0: LINES });
  using frontend = Frontend.open(service.socket("plc0"), {
    timeoutMs: 120_000,
  });
  const driver = GpioDriver.attach(frontend);
  driver.setInterruptType(IN0, IrqType.EdgeBoth);
  // The kick of the ring's start is behind us once this one has been served.
  driver.arm(IN0);
  driver.setInterruptType(IN0, IrqType.None);
  assertEquals(driver.waitEvent(LIMIT_MS)?.status, EventStatus.Invalid);
  driver.setInterruptType(IN0, IrqType.EdgeBoth);
  const kickPoint = frontend.kickPoint(1);
  kickPoint.kick = () => {};
  driver.arm(IN0);
  driver.setInterruptType(IN0, IrqType.None);
  assertEquals(driver.waitEvent(QUIET_MS), {
    lineNumber: IN0,
    status: EventStatus.Invalid,
  });
});

Deno.test("guest memory may grow and shrink while requests are under way", async () => {
  await using service = await Service.start({ plc0: LINES });
  using frontend = Frontend.open(service.socket("plc0"), {
    order: "crosvm",
    timeoutMs: 120_000,
  });
  const driver = GpioDriver.attach(frontend);
  const { requests } = driver;
  let done = 0;
  for (let round = 0; round < 20; round++) {
    for (let slot = 0; slot < 64; slot++) {
      requests.prepare(slot, MessageType.GetValue, slot % 8, 0);
      requests.submit(slot);
    }
    requests.flush();
    const extra = frontend.addMemory({
      guestAddress: 0x8000_0000 + round * 0x10_0000,
      length: 0x1_0000,
    });
    let latest = performance.now();
    for (let left = 64; left > 0;) {
      // Answers may come in several turns, and wait() may then wake up for
      // some that were taken before.
      const count = requests.wait(LIMIT_MS);
      if (count > 0) latest = performance.now();
      assert(
        performance.now() - latest < LIMIT_MS,
        `${left} requests were lost in round ${round}`,
      );
      left -= count;
      done += count;
    }
    frontend.updateMemory();
    frontend.removeMemory(extra);
  }
  assertEquals(done, 20 * 64);
  assertEquals(driver.getValue(0), 0);
});

Deno.test("armed interrupts outlast a lost connection with the in-flight log", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  for (const from of ["used", "avail"] as const) {
    using frontend = Frontend.open(socket, {
      order: "cloud-hypervisor",
      timeoutMs: 120_000,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setDirection(IN0, Direction.Input);
    driver.setInterruptType(IN0, IrqType.EdgeBoth);
    driver.arm(IN0);
    // So that the order of taking and giving back differ.
    driver.setInterruptType(IN0 + 1, IrqType.EdgeBoth);
    driver.arm(IN0 + 1);
    pull(socket, ["IN1", 1]);
    assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, IN0 + 1);
    frontend.reconnect(socket, from);
    frontend.start();
    // The backend has forgotten the guest; a frontend that restores one sets
    // its interrupts again, and finds the old buffer in place.
    driver.setDirection(IN0, Direction.Input);
    driver.setInterruptType(IN0, IrqType.EdgeBoth);
    assertEquals(driver.events!.armed(IN0), 1);
    pull(socket, ["IN0", 1]);
    assertEquals(driver.waitEvent(LIMIT_MS), {
      lineNumber: IN0,
      status: EventStatus.Valid,
    });
    pull(socket, ["IN0", 0], ["IN1", 0]);
  }
});

/** Waits until a line interrupts, and arms it again. */
function expectInterrupt(driver: GpioDriver, lineNumber: number): void {
  assertEquals(driver.waitEvent(LIMIT_MS), {
    lineNumber,
    status: EventStatus.Valid,
  });
  driver.arm(lineNumber);
}

for (
  const [what, isCrash] of [["connection", false], ["process", true]] as const
) {
  Deno.test(`a guest that never noticed a lost ${what} goes on: edges, levels, outputs`, async () => {
    await using service = await Service.start({ plc0: LINES });
    const socket = service.socket("plc0");
    for (const order of ["cloud-hypervisor", "qemu", "crosvm"] as const) {
      using frontend = Frontend.open(socket, { order, timeoutMs: 120_000 });
      const driver = GpioDriver.attach(frontend);
      driver.setInterruptType(IN0, IrqType.EdgeBoth);
      driver.arm(IN0);
      driver.setInterruptType(IN0 + 1, IrqType.LevelHigh);
      driver.arm(IN0 + 1);
      driver.setInterruptType(IN0 + 2, IrqType.EdgeRising);
      driver.setOutput(0, 1, Direction.Output);
      for (let life = 0; life < 3; life++) {
        pull(socket, ["IN2", 1]); // masked: the edge is kept
        assertEquals(driver.waitEvent(QUIET_MS), undefined);
        frontend.disconnect();
        if (isCrash) await service.crash();
        frontend.reconnect(socket, order === "qemu" ? "used" : "avail");
        frontend.start();
        assertEquals(driver.events!.armed(IN0), 1);
        pull(socket, ["IN0", 1]);
        expectInterrupt(driver, IN0);
        pull(socket, ["IN0", 0]);
        expectInterrupt(driver, IN0);
        pull(socket, ["IN1", 1]);
        expectInterrupt(driver, IN0 + 1);
        expectInterrupt(driver, IN0 + 1);
        pull(socket, ["IN1", 0]);
        // The last buffer may have come back before the level was low.
        const late = driver.waitEvent(QUIET_MS);
        if (late !== undefined) driver.arm(late.lineNumber);
        driver.arm(IN0 + 2);
        assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, IN0 + 2);
        pull(socket, ["IN2", 0]);
        // Nothing was driven meanwhile; the driver's next word drives again.
        driver.setValue(0, life & 1);
        assertEquals(driver.getValue(0), life & 1);
        const { OUT0 } = await service.lines("plc0");
        assertEquals(OUT0!.direction, "output");
        assertEquals(OUT0!.value, life & 1);
      }
      // Another VM's guest, and then one that was rebooted, begin anew.
      frontend.disconnect();
      using other = Frontend.open(socket, { order, timeoutMs: 120_000 });
      const stranger = GpioDriver.attach(other);
      for (let boot = 0; boot < 2; boot++) {
        for (const lineNumber of [IN0, IN0 + 1, IN0 + 2]) {
          stranger.arm(lineNumber);
        }
        pull(socket, ["IN0", 1], ["IN1", 1], ["IN2", 1]);
        assertEquals(stranger.waitEvent(QUIET_MS), undefined);
        pull(socket, ["IN0", 0], ["IN1", 0], ["IN2", 0]);
        stranger.setInterruptType(IN0, IrqType.EdgeBoth);
        stranger.restart();
      }
    }
  });
}

Deno.test("a guest that was rebooted while it was not served does not inherit", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  for (const isCrash of [false, true]) {
    using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
    const driver = GpioDriver.attach(frontend);
    driver.setInterruptType(IN0, IrqType.EdgeBoth);
    frontend.disconnect();
    if (isCrash) await service.crash();
    // The same region, but rings as a driver makes them.
    for (const ring of frontend.rings) ring.reset();
    driver.requests.reset();
    driver.events!.reset();
    frontend.reconnect(socket, [0, 0]);
    frontend.start();
    driver.arm(IN0);
    pull(socket, ["IN0", 1], ["IN0", 0]);
    assertEquals(driver.waitEvent(QUIET_MS), undefined);
    driver.setInterruptType(IN0, IrqType.EdgeBoth);
    pull(socket, ["IN0", 1]);
    assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, IN0);
    pull(socket, ["IN0", 0]);
  }
});

Deno.test("a hundred guests, a third of them killed, leave no fd or mapping", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  const { pid } = service.process;
  const mappings = () =>
    readSmallFile(`/proc/${pid}/maps`)!.match(/memfd:gpioagg-probe/g)?.length;
  {
    using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
    GpioDriver.attach(frontend).names();
    assertEquals(mappings(), 1);
  }
  const before = await settledFdCount(pid);
  for (let i = 0; i < 100; i++) {
    using frontend = Frontend.open(socket, {
      order: ORDER_NAMES[i % ORDER_NAMES.length]!,
    });
    const driver = GpioDriver.attach(frontend);
    driver.setInterruptType(IN0, IrqType.EdgeBoth);
    driver.arm(IN0);
    assertEquals(driver.getValue(i % 8), 0);
    if (i % 3 === 0) frontend.disconnect();
    else frontend.stop();
  }
  // The first guest's may have been counted before.
  await assertNoMoreFds(pid, before);
  assertEquals(mappings(), undefined, "guest memory that is still mapped");
});
