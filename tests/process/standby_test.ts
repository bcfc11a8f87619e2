/** `serve --standby`: a spare process takes over, and no VMM notices. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { readSmallFile } from "../../ffi/files.ts";
import { fileStatus } from "../../ffi/file_status.ts";
import { reapChild, spawnDetached } from "../../ffi/spawn.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { ProcessChannel } from "../../src/service/isolate/process_channel.ts";
import { STANDBY_COMMAND } from "../../src/service/standby/messages.ts";
import { listChildren } from "../environment/child_processes.ts";
import { waitForPair } from "../environment/keeper_pair.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { RawGuest } from "../environment/raw_guest.ts";
import { rounds } from "../environment/rounds.ts";
import { until } from "../environment/wait.ts";

const LIMIT_MS = 120_000;
const GET_VALUE = 4;
const SET_VALUE = 5;
const SET_IRQ_TYPE = 6;
const BOTH = 3;

/** A line that the guest drives, and one that follows it. */
const args = (directory: string) => [
  "--standby",
  "--socket-path",
  `${directory}/plc0.sock`,
  "--name=plc0",
  "--line=sim/1,as=OUT,direction=output,initial=0",
  "--line=wire/plc0.OUT,as=IN",
];

function isRunning(pid: number): boolean {
  const stat = readSmallFile(`/proc/${pid}/stat`);
  return stat !== undefined && !/\) [ZX] /.test(stat);
}

/** A guest whose output is an input too, so that each change is an edge. */
class BusyGuest implements Disposable {
  readonly raw: RawGuest;

  private constructor(raw: RawGuest) {
    this.raw = raw;
  }

  static async start(socket: string): Promise<BusyGuest> {
    const raw = await RawGuest.start(socket);
    await raw.request(SET_IRQ_TYPE, 1, BOTH);
    raw.arm(1);
    return new BusyGuest(raw);
  }

  /** Makes requests, each of which is answered, until a condition holds. */
  async requestUntil(condition: () => boolean): Promise<void> {
    const end = performance.now() + LIMIT_MS;
    do {
      // Both at once; the output stays as it is.
      this.raw.ask(GET_VALUE, 1);
      await this.raw.request(SET_VALUE, 0, 0);
      assert(performance.now() < end, "it never came");
    } while (!condition());
  }

  /** Has its interrupt, which was armed before, for both edges of a pulse. */
  async pulse(): Promise<void> {
    for (const level of [1, 0]) {
      await this.raw.request(SET_VALUE, 0, level);
      assertEquals(await this.raw.interrupts(1), [1]);
      this.raw.arm(1);
    }
  }

  [Symbol.dispose](): void {
    this.raw[Symbol.dispose]();
  }
}

Deno.test("a spare takes over under a guest that goes on: restarts, SIGKILLs, the keeper's own end", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager.directory), { watchdogUs: 400_000 });
  const keeper = manager.pid;
  using guest = await BusyGuest.start(
    `${manager.directory}/plc0.sock`,
  );
  let before: number | undefined;
  for (let round = 0; round < rounds(20, 2); round++) {
    for (const signal of ["SIGUSR1", "SIGKILL"] as const) {
      const [service, spare] = await waitForPair(keeper, before);
      await guest.pulse();
      Deno.kill(signal === "SIGKILL" ? service : keeper, signal);
      await guest.requestUntil(() => listChildren(keeper)[0] === spare);
      await guest.pulse();
      before = service;
    }
  }
  assertEquals(manager.pid, keeper);
  assert(!manager.log.includes("disconnected"), manager.log);
  // For the manager it is one service, which is alive.
  const said = manager.messages.filter((text) => !text.startsWith("FDSTORE"));
  assertEquals(said.filter((text) => text === "READY=1").length, 1);
  assert(!said.includes("STOPPING=1"), said.join());
  await until("a ping", () => manager.messages.at(-1) === "WATCHDOG=1");
  assertEquals(manager.stored("session."), [
    "session.plc0.in",
    "session.plc0.out",
  ]);

  // The keeper's end is a crash of the service, and of its spare.
  for (const signal of ["SIGKILL", "SIGUSR2"] as const) {
    const pids = await waitForPair(manager.pid);
    // As systemd does: all processes of the unit.
    if (signal !== "SIGKILL") {
      for (const pid of pids) Deno.kill(pid, signal);
    }
    await manager.stop(signal);
    await until("their end", () => !pids.some(isRunning));
    await manager.start(args(manager.directory));
    await guest.pulse();
  }
  for (const pid of await waitForPair(manager.pid)) Deno.kill(pid, "SIGTERM");
  await manager.stop("SIGTERM");
  await until("the store is empty", () => manager.store.size === 0);
  await until("the end", () => guest.raw.peer.read() === "ended");
});

Deno.test("a service that sees its keeper's end before the kernel kills it gives up no session", async () => {
  await using manager = new ManagerDouble();
  const { directory, messages } = manager;
  // This process is its keeper, and goes on when the channel ends.
  const [ours, theirs] = socketPair();
  using channel = new ProcessChannel(ours, {
    message: () => {},
    ended: () => {},
  });
  const service = spawnDetached(PROGRAM_FILE, [
    PROGRAM_FILE,
    ...PROGRAM,
    STANDBY_COMMAND,
    String(theirs.fd),
    ...args(directory),
  ], { inherit: [theirs.fd] });
  theirs.close();
  try {
    channel.send({
      kind: "serve",
      notifySocket: `${directory}/notify`,
      storeLimit: 100,
    });
    await until("READY=1", () => messages.includes("READY=1"));
    using guest = await BusyGuest.start(`${directory}/plc0.sock`);
    await guest.pulse();
    channel[Symbol.dispose]();
    await until("its end", () => !isRunning(service));
    assert(!messages.includes("STOPPING=1"), messages.join());
    await manager.start(args(directory));
    await guest.pulse();
  } finally {
    Deno.kill(service, "SIGKILL");
    await until("its end", () => reapChild(service));
  }
});

Deno.test("a service that hangs is not well: the keeper does not speak for it", async () => {
  await using manager = new ManagerDouble();
  await manager.start(args(manager.directory), { watchdogUs: 200_000 });
  await until("a ping", () => manager.messages.includes("WATCHDOG=1"));
  const [service] = await waitForPair(manager.pid, undefined);
  Deno.kill(service, "SIGSTOP");
  // What was said before is heard within one look.
  await new Promise((resolve) => setTimeout(resolve, 300));
  const before = manager.messages.length;
  await new Promise((resolve) => setTimeout(resolve, 600));
  assertEquals(manager.messages.length, before);
  // The manager ends what it knows, which ends the rest.
  await manager.stop("SIGABRT");
  await until("the service's end", () => !isRunning(service));
});

Deno.test("without a manager a spare takes over too, and processes of aggregators end first", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/plant.yaml`;
    const socket = `${directory}/plc0.sock`;
    await Deno.writeTextFile(
      file,
      `aggregators:\n  plc0:\n    isolate: process\n    vhost-user: ${socket}\n` +
        "    lines:\n      - sim/1,as=OUT,direction=output,initial=0\n" +
        "      - wire/plc0.OUT,as=IN\n",
    );
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [...PROGRAM, "serve", "--standby", "--config", file],
    });
    await until("the socket", () => fileStatus(socket) !== undefined);
    using guest = await BusyGuest.start(socket);
    let before: number | undefined;
    for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
      const [service] = await waitForPair(process.pid, before);
      const [isolated] = listChildren(service);
      await guest.pulse();
      Deno.kill(signal === "SIGKILL" ? service : process.pid, signal);
      // What the old processes serve, the simulated lines of the next one forget.
      await guest.requestUntil(() => ![service, isolated!].some(isRunning));
      await guest.pulse();
      before = service;
    }
    // The next process would refuse the file, and the guest lose its lines.
    const pair = await waitForPair(process.pid, before);
    await Deno.writeTextFile(file, "aggregators: { plc0: { lines: [sin/1] } }");
    Deno.kill(process.pid, "SIGUSR1");
    await process.waitFor("not restarted: the configuration is not valid", {
      timeoutMs: LIMIT_MS,
      stream: "stderr",
    });
    await guest.pulse();
    assertEquals(listChildren(process.pid), pair);
    Deno.kill(process.pid, "SIGTERM");
    const { code } = await process.waitForExit({ timeoutMs: 120_000 });
    assertEquals(code, 0);
    assertStringIncludes(process.stderr, "the spare process takes over");
    assertEquals(fileStatus(socket), undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a next process that cannot start leaves all to the one after it, and the last one nothing", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const api = `${directory}/api`;
    await Deno.mkdir(api);
    await using process = new ChildProcess({
      command: PROGRAM_FILE,
      args: [
        ...PROGRAM,
        ...["serve", "--api", `${api}/api.sock`, ...args(directory)],
      ],
    });
    const socket = `${directory}/plc0.sock`;
    await until("the socket", () => fileStatus(socket) !== undefined);
    using guest = await BusyGuest.start(socket);
    const fail = async () => {
      await waitForPair(process.pid);
      await Deno.remove(api, { recursive: true });
      Deno.kill(process.pid, "SIGUSR1");
    };
    const kept = "were kept stay as they are";
    await fail();
    await until("a failed start", () => process.stderr.includes(kept));
    await Deno.mkdir(api);
    await guest.pulse();
    assert(!process.stderr.includes("disconnected"), process.stderr);
    await fail();
    const { code } = await process.waitForExit({ timeoutMs: LIMIT_MS });
    assertEquals(code, 1);
    const [, end] = process.stderr.split("given up\n");
    assertStringIncludes(end ?? process.stderr, `${api} does not exist`);
    assert(!end!.includes(kept), process.stderr);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("serve --standby passes on the exit status of a service that cannot start", async () => {
  await using process = new ChildProcess({
    command: PROGRAM_FILE,
    args: [...PROGRAM, "serve", "--standby", "--config", "/no/such/file"],
  });
  const { code } = await process.waitForExit({ timeoutMs: 120_000 });
  assertEquals(code, 2);
  assertStringIncludes(process.stderr, "/no/such/file");
});
