/** VMMs that cannot connect again: they never notice a restart. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { RunningQemu } from "../doubles/running_qemu.ts";
import { linesAt } from "../environment/served_lines.ts";
import { failByHungProcess } from "../environment/hung_start.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { RawGuest } from "../environment/raw_guest.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";
import { encode, R } from "../doubles/vhost_peer.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

const SET_DIRECTION = 3;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const OUT = 1;
const BOTH = 3;

/** A line that the guest drives, and one that follows it. */
const args = (manager: ManagerDouble, more: readonly string[] = []) => [
  "--socket-path",
  `${manager.directory}/plc0.sock`,
  "--name=plc0",
  "--line=sim/1,as=OUT,direction=output,initial=0",
  "--line=wire/plc0.OUT,as=IN",
  ...more,
];

const socketOf = ({ directory }: ManagerDouble) => `${directory}/plc0.sock`;

for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
  Deno.test(`a guest goes on over restarts by ${signal}, with what it asked in between`, async () => {
    await using manager = new ManagerDouble();
    await manager.start(args(manager));
    using guest = await RawGuest.start(socketOf(manager));
    await guest.request(SET_IRQ_TYPE, 1, BOTH);
    guest.arm(1);
    const pulse = async () => {
      for (const level of [1, 0]) {
        await guest.request(SET_VALUE, 0, level);
        assertEquals(await guest.interrupts(1), [1]);
        guest.arm(1);
      }
    };
    let fds: number | undefined;
    for (let round = 0; round < rounds(50, 4); round++) {
      await pulse();
      // Half of a message, and a request that is answered for certain.
      const status = encode(R.GET_STATUS, new Uint8Array(0));
      guest.peer.raw(status.subarray(0, 5));
      await guest.request(GET_VALUE, 1);
      await manager.stop(signal);
      guest.peer.raw(status.subarray(5));
      guest.ask(SET_VALUE, 0, 1);
      guest.ask(GET_VALUE, 1);
      await manager.start(args(manager));
      assertEquals(await guest.settle(), 1);
      assertEquals((await guest.answer()).request, R.GET_STATUS);
      assertEquals(await guest.interrupts(1), [1]);
      guest.arm(1);
      await guest.request(SET_VALUE, 0, 0);
      assertEquals(await guest.interrupts(1), [1]);
      guest.arm(1);
      fds ??= await settledFdCount(manager.pid);
      await assertNoMoreFds(manager.pid, fds);
      assertEquals(manager.stored("session."), [
        "session.plc0.in",
        "session.plc0.out",
      ]);
    }
    assert(!manager.log.includes("disconnected"), manager.log);
    await manager.stop("SIGTERM");
    await until("the store is empty", () => manager.store.size === 0);
    await until("the end", () => guest.peer.read() === "ended");
  });
}

Deno.test("no request is lost or answered twice, whenever the service is killed", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager));
  using guest = await RawGuest.start(socketOf(manager));
  let state = 1;
  const random = (limit: number) =>
    (state = Math.imul(state, 1103515245) + 12345 >>> 0) % limit;
  for (let round = 0; round < rounds(40, 4); round++) {
    let left = 20 + random(2000);
    const ask = () => {
      // Whatever the ring has room for.
      while (guest.asked - guest.answered < 30 && left > 0) {
        guest.ask(random(2) === 0 ? GET_VALUE : SET_VALUE, 0, random(2));
        left--;
      }
    };
    while (left > 0) {
      ask();
      guest.take();
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    Deno.kill(manager.pid, "SIGKILL");
    left = random(30);
    ask();
    await until("the service's end", () => !manager.isRunning);
    await manager.start(args(manager));
    await guest.settle();
  }
  assert(!manager.log.includes("disconnected"), manager.log);
});

for (const isolated of [[], ["--isolate"]]) {
  const whose = isolated.length === 0 ? "a guest" : "an isolated guest";
  Deno.test(`${whose} goes on over starts that fail`, async () => {
    await using manager = new ManagerDouble();
    const { directory } = manager;
    const own = args(manager, isolated);
    const missing = `${directory}/missing/any.sock`;
    const kept = "were kept stay as they are";
    // Nothing is kept for the first one.
    const api = ["--api", missing];
    await assertRejects(() => manager.start([...own, ...api]), Error, missing);
    assert(!manager.log.includes(kept), manager.log);
    assertEquals(manager.store.size, 0);
    await manager.start(own);
    using guest = await RawGuest.start(socketOf(manager));
    await guest.request(SET_IRQ_TYPE, 1, BOTH);
    guest.arm(1);
    const sessions = manager.stored("session.");
    await manager.stop("SIGKILL");
    const other = ["--socket-path", missing, "--line=sim/1", ...isolated];
    for (const failing of [[...own, ...api], [...own, ...other]]) {
      const before = manager.log.length;
      await assertRejects(() => manager.start(failing), Error, missing);
      assertStringIncludes(manager.log.slice(before), kept);
      assertEquals(manager.stored("session."), sessions);
    }
    if (isolated.length > 0) {
      const before = manager.log.length;
      await failByHungProcess(manager, own);
      assertStringIncludes(manager.log.slice(before), kept);
      assertEquals(manager.stored("session."), sessions);
    }
    await manager.start(own);
    for (const level of [1, 0]) {
      await guest.request(SET_VALUE, 0, level);
      assertEquals(await guest.interrupts(1), [1]);
      guest.arm(1);
    }
    assert(!manager.log.includes("disconnected"), manager.log);
  });
}

Deno.test("a VM that is gone by the time of the next process is gone", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager));
  {
    using guest = await RawGuest.start(socketOf(manager));
    await guest.request(SET_DIRECTION, 0, OUT);
    await manager.stop("SIGKILL");
  }
  await manager.start(args(manager));
  await until("it is told", () => manager.log.includes("VMM disconnected"));
  assertStringIncludes(manager.log, "VMM connected");
  // The next one is served, and outlives a restart too.
  using guest = await RawGuest.start(socketOf(manager));
  await manager.stop("SIGUSR2");
  await manager.start(args(manager));
  await guest.request(GET_VALUE, 1);
});

Deno.test("a guest of lines that the next process does not have is hung up", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager));
  using guest = await RawGuest.start(socketOf(manager));
  await guest.request(GET_VALUE, 0);
  await manager.stop("SIGUSR2");
  await manager.start(args(manager, ["--line=sim/1,as=NEW"]));
  await until("the end", () => guest.peer.read() === "ended");
  await until("why", () => manager.log.includes("knows other lines"));
  // Without its aggregator it is hung up as well.
  using next = await RawGuest.start(socketOf(manager));
  await manager.stop("SIGKILL");
  await manager.start([
    "--socket-path",
    `${manager.directory}/other.sock`,
    "--name=other",
    "--line=sim/1",
  ]);
  await until("the end", () => next.peer.read() === "ended");
  assertEquals(manager.stored("session.plc0"), []);
});

Deno.test("a process of its own keeps its aggregator's session as well", async () => {
  await using manager = new ManagerDouble();
  const file = `${manager.directory}/plant.yaml`;
  await Deno.writeTextFile(
    file,
    "aggregators:\n  plc0:\n    isolate: process\n" +
      `    vhost-user: ${socketOf(manager)}\n    lines: [sim/2]\n`,
  );
  await manager.start(["--config", file]);
  using guest = await RawGuest.start(socketOf(manager));
  for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
    await guest.request(GET_VALUE, 0);
    await manager.stop(signal);
    guest.ask(GET_VALUE, 1);
    await manager.start(["--config", file]);
    await guest.settle();
  }
});

Deno.test("a QEMU's pins go on over a restart and a crash, on the same connections", async () => {
  await using manager = new ManagerDouble();
  const { directory } = manager;
  using qemu = new RunningQemu(directory);
  const { model } = qemu;
  const pinArgs = (more: readonly string[] = []) => [
    "--qemu-pins",
    `qtest=${directory}/qtest,qmp=${directory}/qmp,device=pl061`,
    "--name=plc0",
    "--line=sim/1,as=OUT,direction=output,safe=0",
    "--line=wire/plc0.OUT,as=IN",
    ...more,
  ];
  /** Each change of the output is one of the guest's input. */
  const becomes = (level: number) =>
    until(`level ${level}`, () => {
      const [pin, last] = model.gpio.inputs.at(-1) ?? [];
      return pin === 1 && last === level;
    });
  await manager.start(pinArgs());
  await until("it is served", () => manager.log.includes("driver started"));
  model.gpio.setDirections(1);
  let level = 0;
  const ends: Deno.Signal[] = ["SIGUSR2", "SIGKILL", "SIGKILL"];
  for (const signal of ends) {
    model.gpio.setData(level ^= 1);
    await becomes(level);
    await manager.stop(signal);
    model.gpio.setData(level ^= 1);
    await manager.start(pinArgs());
    await becomes(level);
    model.gpio.setData(level ^= 1);
    await becomes(level);
  }
  assertEquals(model.qtestClients, 1);
  assert(!manager.log.includes("disconnected"), manager.log);
  // With other lines it is connected to again.
  await manager.stop("SIGKILL");
  await manager.start(pinArgs(["--line=sim/1,as=NEW"]));
  await until("another connection", () => model.qtestClients === 2);
  assertStringIncludes(manager.log, "its lines, or its QEMU, are others");
  await until("it is served", async () => {
    const [out] = await linesAt(`${directory}/qtest`);
    return out?.value === level;
  });
  await manager.stop("SIGTERM");
  await until("the store is empty", () => manager.store.size === 0);
});
