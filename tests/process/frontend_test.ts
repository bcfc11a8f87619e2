/**
 * This project's own frontend against a running `gpioagg serve`: what guests
 * do, in every known frontend's order of messages.
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { ControlClient } from "../../src/daemon/control_client.ts";
import { controlPathOf } from "../../src/daemon/control_protocol.ts";
import { GpioDriver } from "../../src/tools/probe/driver.ts";
import { RequestRefused } from "../../src/tools/probe/errors.ts";
import { SUPPORTED_FEATURES } from "../../src/tools/probe/features.ts";
import {
  Frontend,
  type FrontendOptions,
} from "../../src/tools/probe/frontend.ts";
import { ORDER_NAMES } from "../../src/tools/probe/orders.ts";
import {
  VIRTIO_F_EVENT_IDX_MASK,
  VIRTIO_F_INDIRECT_DESC_MASK,
} from "../../src/virtio/features.ts";
import {
  Direction,
  EventStatus,
  IrqType,
  MessageType,
} from "../../src/virtio/gpio_protocol.ts";
import { Service } from "../environment/service.ts";
import { settledFdCount } from "./server_fds.ts";

const LIMIT_MS = 2000;
/** Long enough for an interrupt that should not come to come. */
const QUIET_MS = 50;

const LINES = ["sim/4,as=OUT", "sim/4,as=IN,direction=input"];
const NAMES = ["OUT", "IN"].flatMap((name) =>
  [0, 1, 2, 3].map((i) => `${name}${i}`)
);
const IN0 = 4;

function pull(socket: string, ...changes: [string, 0 | 1][]): void {
  using control = new ControlClient(controlPathOf(socket));
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
      using frontend = Frontend.open(socket, { order });
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
    using frontend = Frontend.open(socket, options);
    tour(frontend, GpioDriver.attach(frontend), socket);
  });
}

Deno.test("a pause is no reset: armed interrupts and levels outlast it", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  using frontend = Frontend.open(socket);
  const driver = GpioDriver.attach(frontend);
  driver.setOutput(1, 1, Direction.Output);
  driver.setDirection(IN0, Direction.Input);
  driver.setInterruptType(IN0, IrqType.EdgeBoth);
  driver.arm(IN0);
  const requestsBefore = frontend.rings[0]!.availIndex;
  assertEquals(frontend.pause()[0], requestsBefore);
  // No guest memory is written and nobody is notified while all rings stand.
  pull(socket, ["IN0", 1]);
  assertEquals(driver.waitEvent(QUIET_MS), undefined);
  frontend.resume();
  assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, IN0);
  assertEquals(driver.getValue(1), 1);
});

Deno.test("a buffer whose kick is late is returned by interrupt type NONE", async () => {
  await using service = await Service.start({ plc0: LINES });
  using frontend = Frontend.open(service.socket("plc0"));
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
  using frontend = Frontend.open(service.socket("plc0"), { order: "crosvm" });
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
    for (let left = 64; left > 0;) {
      const count = requests.wait(LIMIT_MS);
      assert(count > 0, `${left} requests were lost in round ${round}`);
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
    using frontend = Frontend.open(socket, { order: "cloud-hypervisor" });
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

Deno.test("a hundred guests, a third of them killed, leave no fd or mapping", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  const { pid } = service.process;
  const mappings = () =>
    readSmallFile(`/proc/${pid}/maps`)!.match(/memfd:gpioagg-probe/g)?.length;
  {
    using frontend = Frontend.open(socket);
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
  assertEquals(await settledFdCount(pid), before);
  assertEquals(mappings(), undefined, "guest memory that is still mapped");
});
