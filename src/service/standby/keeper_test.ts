import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { bindDatagram, connectDatagram } from "../../../ffi/datagram.ts";
import { createEventFd } from "../../../ffi/event_fd.ts";
import {
  descriptorsElsewhere,
  helpersAreDone,
} from "../../../ffi/helper_thread.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receive, send } from "../../../ffi/socket_message.ts";
import type { ProcessEnd } from "../../../ffi/spawn.ts";
import { LingeringSocket } from "../../../tests/doubles/lingering_socket.ts";
import { testAlone } from "../../../tests/doubles/test_alone.ts";
import { waitUntil } from "../../async/wait.ts";
import type { GivenManager } from "../restart/service_manager.ts";
import { Keeper, type KeptProcess } from "./keeper.ts";

const LIMIT_MS = 60_000;

/** A process of the test: what it is told, and what it says. */
class ProcessDouble implements KeptProcess {
  readonly #warm = Promise.withResolvers<void>();
  readonly #handedOver = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<ProcessEnd>();
  readonly warm = this.#warm.promise;
  readonly handedOver = this.#handedOver.promise;
  readonly ended = this.#ended.promise;
  isOutdated = false;
  hasEnded = false;
  /** Orders that it was given. */
  readonly told: string[] = [];
  #manager: GivenManager | undefined;

  /** Names of what it was given. */
  get given(): string[] {
    return this.#manager!.fds.map(([name]) => name);
  }

  serve(manager: GivenManager): void {
    this.told.push("serve");
    this.#manager = manager;
  }

  end(): void {
    this.told.push("end");
  }

  signal(signal: Deno.Signal): void {
    this.told.push(signal);
  }

  kill(): void {
    this.finish({ signal: 9 });
  }

  becomeWarm(): void {
    this.#warm.resolve();
  }

  handOver(): void {
    this.#handedOver.resolve();
  }

  /** Says something to its manager. */
  say(
    text: string | Uint8Array<ArrayBuffer>,
    fds: readonly OwnedFd[] = [],
  ): void {
    using socket = connectDatagram(this.#manager!.notifySocket!);
    const bytes = typeof text === "string"
      ? new TextEncoder().encode(text)
      : text;
    send(socket.fd, bytes, fds.map(({ fd }) => fd));
  }

  /** Ends. */
  finish(end: ProcessEnd): void {
    this.hasEnded = true;
    this.#ended.resolve(end);
  }
}

/** A keeper in this process, of such processes. */
class Rig implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "gpioagg-keeper-" });
  readonly processes: ProcessDouble[] = [];
  readonly texts: string[] = [];
  /** Rests after crashes. **Units**: ms. */
  readonly rests: number[] = [];
  readonly keeper: Keeper;
  readonly end: Promise<ProcessEnd>;

  constructor(manager: Partial<GivenManager> = {}) {
    this.keeper = new Keeper({
      start: () => {
        const process = new ProcessDouble();
        this.processes.push(process);
        return process;
      },
      restMs: 1,
      sleep: (ms) => {
        this.rests.push(ms);
        return Promise.resolve();
      },
      directory: this.directory,
      manager: {
        notifySocket: undefined,
        watchdogUs: undefined,
        storeLimit: undefined,
        fds: [],
        ...manager,
      },
      tell: (text) => this.texts.push(text),
    });
    this.end = this.keeper.run();
  }

  /** Waits for the process that serves as the so many-th, which gets ready. */
  async service(serial: number): Promise<ProcessDouble> {
    await this.until(() => this.processes[serial]?.told[0] === "serve");
    const service = this.processes[serial]!;
    service.say("READY=1");
    return service;
  }

  /** Waits for the spare that is the so many-th process. */
  async spare(serial: number): Promise<ProcessDouble> {
    await this.until(() => this.processes.length > serial);
    const spare = this.processes[serial]!;
    assertEquals(spare.told, []);
    spare.becomeWarm();
    return spare;
  }

  async until(condition: () => boolean): Promise<void> {
    if (!await waitUntil(condition, LIMIT_MS)) throw new Error("it never came");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.keeper[Symbol.dispose]();
    for (const process of this.processes) process.kill();
    await this.end;
    await Deno.remove(this.directory, { recursive: true });
  }
}

Deno.test("a spare takes over what a service kept: after a crash, and for a restart", async () => {
  await using rig = new Rig();
  const first = await rig.service(0);
  using fd = createEventFd();
  first.say("FDSTORE=1\nFDNAME=line.a", [fd]);
  first.say("FDSTORE=1\nFDNAME=line.b", [fd]);
  await rig.spare(1);
  first.say("FDSTOREREMOVE=1\nFDNAME=line.a");
  // What it said last counts too.
  first.finish({ signal: 9 });
  const second = await rig.service(1);
  assertEquals(second.given, ["line.b"]);
  assertStringIncludes(rig.texts.join(), "signal 9");
  await rig.spare(2);
  await rig.keeper.restart();
  await rig.until(() => second.told.includes("SIGUSR2"));
  second.finish({ status: 0 });
  assertEquals((await rig.service(2)).given, ["line.b"]);
});

Deno.test("the next process does not wait for the end of one that has handed over", async () => {
  await using rig = new Rig();
  const first = await rig.service(0);
  using fd = createEventFd();
  await rig.spare(1);
  await rig.keeper.restart();
  first.say("FDSTORE=1\nFDNAME=line.a", [fd]);
  first.handOver();
  const second = await rig.service(1);
  assertEquals([second.given, first.hasEnded], [["line.a"], false]);
  first.finish({ status: 0 });
  // What was not asked to restart is followed by nothing.
  second.handOver();
  second.finish({ status: 0 });
  assertEquals(await rig.end, { status: 0 });
});

Deno.test("a service is followed at once by a spare that is warm, however often it crashed", async () => {
  await using rig = new Rig();
  for (let crash = 0; crash < 8; crash++) {
    const service = await rig.service(crash);
    await rig.spare(crash + 1);
    service.finish({ signal: 9 });
  }
  // These have none that is warm.
  for (let crash = 8; crash < 10; crash++) {
    (await rig.service(crash)).finish({ signal: 9 });
  }
  await rig.service(10);
  assertEquals(rig.rests, [100]);
});

Deno.test("the keeper pings between two services, and for none that is ready", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/manager`;
    using socket = bindDatagram(path);
    const buffer = new Uint8Array(100);
    let pings = 0;
    const heardPings = (count: number) => () => {
      for (;;) {
        const bytes = receive(socket.fd, buffer, []);
        if (bytes < 0) return pings >= count;
        const text = new TextDecoder().decode(buffer.subarray(0, bytes));
        if (text === "WATCHDOG=1") pings++;
      }
    };
    await using rig = new Rig({ notifySocket: path, watchdogUs: 30_000 });
    const first = await rig.service(0);
    await rig.spare(1);
    assertEquals([heardPings(0)(), pings], [true, 0]);
    first.finish({ signal: 9 });
    // The next one takes its time.
    await rig.until(heardPings(5));
    const second = await rig.service(1);
    await rig.spare(2);
    const isQuiet = async () => {
      heardPings(0)();
      pings = 0;
      await new Promise((resolve) => setTimeout(resolve, 50));
      assertEquals([heardPings(0)(), pings], [true, 0]);
    };
    await isQuiet();
    // So does one that ends for a restart, and the one that follows it.
    await rig.keeper.restart();
    await rig.until(heardPings(5));
    second.finish({ status: 0 });
    await rig.until(heardPings(10));
    await rig.service(2);
    await rig.spare(3);
    await isQuiet();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a service that ends by itself ends the keeper", async () => {
  await using rig = new Rig();
  const service = await rig.service(0);
  const spare = await rig.spare(1);
  service.finish({ status: 0 });
  assertEquals(await rig.end, { status: 0 });
  assertEquals(spare.told, []);
});

Deno.test("a service that cannot start at all is not tried again", async () => {
  await using rig = new Rig();
  await rig.until(() => rig.processes.length === 1);
  rig.processes[0]!.finish({ status: 2 });
  assertEquals(await rig.end, { status: 2 });
  assertEquals(rig.processes.length, 1);
});

Deno.test("a crash loop ends with the service's status", async () => {
  await using rig = new Rig();
  await rig.service(0).then(() => rig.spare(1));
  for (let crash = 0; crash < 7; crash++) {
    await rig.until(() => rig.processes[crash]?.told[0] === "serve");
    rig.processes[crash]!.finish({ status: 1 });
  }
  assertEquals(await rig.end, { status: 1 });
  assertStringIncludes(rig.texts.at(-1)!, "too often");
});

/** Has a service crash, each time with a spare that is warm, until none follows. */
async function crashForEver(rig: Rig, fd: OwnedFd): Promise<number> {
  for (let crash = 0;; crash++) {
    const service = await rig.service(crash);
    if (crash === 0) service.say("FDSTORE=1\nFDNAME=line.a", [fd]);
    await rig.spare(crash + 1);
    service.finish({ signal: 11 });
    await rig.until(() => rig.texts.length > crash);
    if (rig.texts.at(-1)!.includes("given up")) return crash + 1;
  }
}

Deno.test("a crash loop of services with warm spares is followed later, then no more: the last process makes lines safe", async () => {
  await using rig = new Rig();
  using fd = createEventFd();
  const crashes = await crashForEver(rig, fd);
  assertEquals(crashes, 31);
  assertEquals(rig.rests, [1000, 2000, 4000, 8000, 16_000]);
  assertEquals(
    rig.texts.at(-2),
    "the service ended unexpectedly (signal 11): the spare process takes over in 16 s",
  );
  const last = rig.processes[crashes]!;
  await rig.until(() => last.told.length === 2);
  assertEquals([last.told, last.given], [["serve", "end"], ["line.a"]]);
  last.finish({ status: 0 });
  // It is the end of a crash all the same.
  assertEquals(await rig.end, { signal: 11 });
});

Deno.test("a manager that keeps the lines decides what follows a crash loop", async () => {
  await using rig = new Rig({ storeLimit: 100 });
  using fd = createEventFd();
  const crashes = await crashForEver(rig, fd);
  assertEquals(await rig.end, { signal: 11 });
  assertEquals(rig.processes[crashes]!.told, []);
});

Deno.test("a service is told to end at once, to reload and to restart once it is ready", async () => {
  await using rig = new Rig();
  await rig.until(() => rig.processes.length === 1);
  const [service] = rig.processes;
  rig.keeper.reload();
  await rig.keeper.restart();
  assertStringIncludes(rig.texts.join(), "is starting");
  assertEquals(service!.told, ["serve"]);
  rig.keeper.end();
  assertEquals(service!.told, ["serve", "end"]);
  service!.say("READY=1");
  await rig.until(() => service!.told.includes("SIGHUP"));
  service!.finish({ status: 0 });
  assertEquals(await rig.end, { status: 0 });
});

Deno.test("between two processes an end is one with safe lines: the next one makes them safe", async () => {
  await using rig = new Rig();
  using fd = createEventFd();
  for (let crash = 0; crash < 5; crash++) {
    const service = await rig.service(crash);
    service.say("FDSTORE=1\nFDNAME=line.a", [fd]);
    service.finish({ status: 1 });
    await rig.until(() => rig.texts.length === crash + 1);
  }
  rig.keeper.end();
  await rig.until(() => rig.processes.length === 6);
  const last = rig.processes[5]!;
  await rig.until(() => last.told.length === 2);
  assertEquals([last.told, last.given], [["serve", "end"], ["line.a"]]);
  last.finish({ status: 0 });
  assertEquals(await rig.end, { status: 0 });
});

Deno.test("an end in the midst of a restart is one with safe lines, too", async () => {
  await using rig = new Rig();
  const first = await rig.service(0);
  using fd = createEventFd();
  first.say("FDSTORE=1\nFDNAME=line.a", [fd]);
  await rig.spare(1);
  await rig.keeper.restart();
  rig.keeper.end();
  first.handOver();
  const next = rig.processes[1]!;
  await rig.until(() => next.told.length === 2);
  assertEquals([next.told, next.given], [["serve", "end"], ["line.a"]]);
  next.finish({ status: 0 });
  assertEquals(await rig.end, { status: 0 });
});

Deno.test("a spare of an older program is not used", async () => {
  await using rig = new Rig();
  const service = await rig.service(0);
  const spare = await rig.spare(1);
  spare.isOutdated = true;
  const restarted = rig.keeper.restart();
  await rig.spare(2);
  await restarted;
  assertEquals(spare.hasEnded, true);
  service.finish({ status: 0 });
  const next = await rig.service(2);
  (await rig.spare(3)).isOutdated = true;
  next.finish({ signal: 11 });
  await rig.service(4);
  assertEquals(rig.processes[3]!.told, []);
});

Deno.test("a restart without a next process is none", async () => {
  await using rig = new Rig();
  const service = await rig.service(0);
  await rig.until(() => rig.processes.length === 2);
  const restarted = rig.keeper.restart();
  rig.processes[1]!.finish({ status: 2 });
  await restarted;
  assertStringIncludes(rig.texts.join(), "not restarted");
  assertEquals(service.told, ["serve"]);
});

Deno.test("a spare that ends is reported, and followed later each time", async () => {
  await using rig = new Rig();
  const service = await rig.service(0);
  const spare = async (serial: number) => {
    await rig.until(() => rig.processes.length > serial);
    return rig.processes[serial]!;
  };
  (await spare(1)).finish({ status: 2 });
  (await spare(2)).finish({ status: 2 });
  (await rig.spare(3)).finish({ signal: 9 });
  // Each end that the keeper has brought about is none of these.
  const last = await spare(4);
  rig.keeper.end();
  last.finish({ status: 0 });
  service.finish({ status: 0 });
  await rig.end;
  assertEquals(rig.texts, [
    "the spare process could not be started (status 2): tried again in 0.002 s",
    "the spare process could not be started (status 2): tried again in 0.004 s",
    "the spare process ended unexpectedly (signal 9): another one follows in " +
    "0.002 s",
  ]);
});

testAlone(
  import.meta,
  "a keeper does not wait for the close of what its service was given",
  async () => {
    await using rig = new Rig();
    const service = await rig.service(0);
    using stack = new DisposableStack();
    assert(helpersAreDone(LIMIT_MS), "a close of another test hangs");
    const texts = ["no message: \xff", "X=1", "FDSTORE=1\nFDNAME=guest.a"];
    for (const [i, text] of texts.entries()) {
      const lingering = stack.use(new LingeringSocket(600));
      service.say(Uint8Array.from(text, (letter) => letter.charCodeAt(0)), [
        lingering.socket,
      ]);
      // The message has the last copy.
      lingering.socket.close();
      if (i === 2) service.say("FDSTOREREMOVE=1\nFDNAME=guest.a");
      await rig.until(() => descriptorsElsewhere() === i + 1);
    }
    service.finish({ status: 0 });
    await rig.end;
    stack.dispose();
    assert(helpersAreDone(LIMIT_MS), "a close hangs");
  },
);

Deno.test("the manager is told what concerns the unit, and keeps what the keeper keeps", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/manager`;
    using socket = bindDatagram(path);
    const heard: string[] = [];
    const hear = () => {
      const buffer = new Uint8Array(4096);
      for (;;) {
        const fds: OwnedFd[] = [];
        const count = receive(socket.fd, buffer, fds);
        if (count < 0) return heard;
        const text = new TextDecoder().decode(buffer.subarray(0, count));
        heard.push(`${text}${fds.length > 0 ? " with an fd" : ""}`);
        for (const fd of fds) fd.close();
      }
    };
    const before = createEventFd();
    await using rig = new Rig({
      notifySocket: path,
      storeLimit: 2,
      fds: [["line.before", before.release()]],
    });
    const first = await rig.service(0);
    assertEquals(first.given, ["line.before"]);
    using fd = createEventFd();
    using other = createEventFd();
    first.say("FDSTORE=1\nFDNAME=line.a", [fd]);
    // No room: the manager would not keep it either.
    first.say("FDSTORE=1\nFDNAME=line.b", [other]);
    first.say("STATUS=well\nMAINPID=1");
    first.say("WATCHDOG=1");
    // The end of a reload is awaited, and the next one's start is that too.
    first.say("RELOADING=1");
    first.say("READY=1");
    first.say("READY=1");
    first.say("RELOADING=1");
    await rig.spare(1);
    await rig.keeper.restart();
    first.say("STOPPING=1");
    first.say("FDSTOREREMOVE=1\nFDNAME=line.a");
    first.finish({ status: 0 });
    const second = await rig.service(1);
    assertEquals(second.given, ["line.before"]);
    await rig.spare(2);
    rig.keeper.end();
    second.say("STOPPING=1");
    second.finish({ status: 0 });
    await rig.end;
    assertEquals(hear(), [
      "READY=1",
      "FDSTORE=1\nFDNAME=line.a with an fd",
      "STATUS=well",
      "WATCHDOG=1",
      "RELOADING=1",
      "READY=1",
      "RELOADING=1",
      "FDSTOREREMOVE=1\nFDNAME=line.a",
      "READY=1",
      "STOPPING=1",
    ]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
