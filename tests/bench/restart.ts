/**
 * Pause of a guest over restarts and SIGKILLs of the service: with a spare
 * process (`serve --standby`), and beside it without one, by a service manager
 * that keeps descriptors and starts it again at once.
 *
 * @module
 */
import { listChildren } from "../environment/child_processes.ts";
import { waitForPair } from "../environment/keeper_pair.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import { cpuTimeUs } from "./process_usage.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { quantile } from "./statistics.ts";
import { TogglingGuest } from "./toggling_guest.ts";

/** Restarts for each SIGKILL. */
const RESTARTS_PER_KILL = 5;
/** Fewer of those without a spare: each takes a second. */
const MOST_PLAIN = 5;
/** Longest pause that a guest shall notice. **Units**: ms. */
const MOST_PAUSE_MS = 100;
/**
 * A spare has warmed up once it uses less than this in a look's time.
 * **Units**: µs, ms.
 */
const QUIET_US = 2000;
const LOOK_MS = 300;

/** Pauses of both kinds, in milliseconds. */
interface Pauses {
  readonly restarts: number[];
  readonly kills: number[];
  readonly lost: number;
  /** By restarts, and by SIGKILLs. */
  readonly repeated: readonly [number, number];
  readonly errors: number;
  readonly toggles: number;
}

/**
 * Measures a number of restarts, and a fifth as many SIGKILLs, in turns.
 *
 * @param restarts At least one.
 */
export async function measureRestarts(
  command: ServerCommand,
  directory: string,
  restarts: number,
): Promise<Measure[]> {
  const kills = Math.ceil(restarts / RESTARTS_PER_KILL);
  const spare = await pausesWithSpare(command, directory, restarts, kills);
  const plain = await pausesWithoutSpare(
    command,
    Math.min(restarts, MOST_PLAIN),
  );
  return [
    ...makeMeasures("restart", spare.restarts, plain.restarts),
    ...makeMeasures("SIGKILL", spare.kills, plain.kills),
    {
      name: "edges lost",
      value: spare.lost + plain.lost,
      unit: "",
      target: { most: 0, of: "value" },
      note: `of ${spare.toggles + plain.toggles} that a guest made and ` +
        "monitored, in all that is above",
    },
    {
      name: "edges repeated by restarts",
      value: spare.repeated[0] + plain.repeated[0],
      unit: "",
      target: { most: 0, of: "value" },
    },
    {
      name: "edges repeated by SIGKILLs",
      value: spare.repeated[1] + plain.repeated[1],
      unit: "",
      note: "what a process had done and not answered, the next one does again",
    },
    {
      name: "requests failed or answered wrong",
      value: spare.errors + plain.errors,
      unit: "",
      target: { most: 0, of: "value" },
    },
  ];
}

/** Pauses of one guest. */
class PauseList {
  readonly restarts: number[] = [];
  readonly kills: number[] = [];
  readonly #guest: TogglingGuest;
  readonly #repeated = { restarts: 0, kills: 0 };

  constructor(guest: TogglingGuest) {
    this.#guest = guest;
  }

  /** Takes the pause around what `replace` does, which has the service replaced. */
  async add(
    kind: "restarts" | "kills",
    replace: () => Promise<void>,
  ): Promise<void> {
    const guest = this.#guest;
    const { repeated } = guest;
    guest.takePauseMs();
    await replace();
    await guest.goOn();
    this[kind].push(guest.takePauseMs());
    this.#repeated[kind] += guest.repeated - repeated;
  }

  end(): Pauses {
    const { restarts, kills } = this;
    const { lost, errors, toggles } = this.#guest;
    const repeated = [this.#repeated.restarts, this.#repeated.kills] as const;
    return { restarts, kills, lost, repeated, errors, toggles };
  }
}

function makeMeasures(
  what: string,
  pauses: number[],
  plain: number[],
): Measure[] {
  pauses.sort((a, b) => a - b);
  plain.sort((a, b) => a - b);
  return [["p50", 0.5], ["p99", 0.99], ["max", 1]].map(([name, q], i) => ({
    name: `pause of a ${what} with a spare, ${name}`,
    value: quantile(pauses, Number(q)),
    unit: "ms",
    floor: quantile(plain, Number(q)),
    ratio: quantile(pauses, Number(q)) / quantile(plain, Number(q)),
    ...(name === "max"
      ? { target: { most: MOST_PAUSE_MS, of: "value" as const } }
      : {}),
    ...(i === 0
      ? {
        note: `longest time between two toggles around each of ` +
          `${pauses.length}; in the column of the floor: around each of ` +
          `${plain.length} without a spare, started again at once`,
      }
      : {}),
  }));
}

/** Arguments of an aggregator whose input follows its output. */
function argumentsFor(socket: string): string[] {
  return [
    ...["--socket-path", socket, "--name=plc0"],
    "--line=sim/1,as=OUT,direction=output,initial=0",
    "--line=wire/plc0.OUT,as=IN",
  ];
}

async function pausesWithSpare(
  command: ServerCommand,
  directory: string,
  restarts: number,
  kills: number,
): Promise<Pauses> {
  const socket = `${directory}/standby.sock`;
  await using keeper = await Server.run(
    command,
    ["--standby", ...argumentsFor(socket)],
    [socket],
  );
  await using guest = await TogglingGuest.start(socket);
  const pauses = new PauseList(guest);
  for (let i = 0; i < restarts + kills; i++) {
    const [service, spare] = await warmPair(keeper.pid);
    const isKill = i % (RESTARTS_PER_KILL + 1) === RESTARTS_PER_KILL ||
      pauses.restarts.length === restarts;
    await pauses.add(isKill ? "kills" : "restarts", async () => {
      if (isKill) Deno.kill(service, "SIGKILL");
      else Deno.kill(keeper.pid, "SIGUSR1");
      await until("the spare", () => listChildren(keeper.pid)[0] === spare);
    });
  }
  return pauses.end();
}

async function pausesWithoutSpare(
  command: ServerCommand,
  rounds: number,
): Promise<Pauses> {
  await using manager = new ManagerDouble({ command });
  const socket = `${manager.directory}/plc0.sock`;
  const args = argumentsFor(socket);
  await manager.start(args);
  await using guest = await TogglingGuest.start(socket);
  const pauses = new PauseList(guest);
  for (let i = 0; i < rounds; i++) {
    for (const kind of ["restarts", "kills"] as const) {
      await pauses.add(kind, async () => {
        await manager.stop(kind === "kills" ? "SIGKILL" : "SIGUSR2");
        await manager.start(args);
      });
    }
  }
  return pauses.end();
}

/** Waits until a keeper has a service and a spare that has warmed up. */
async function warmPair(
  keeper: number,
): Promise<[service: number, spare: number]> {
  const [service, spare] = await waitForPair(keeper);
  let used = 0;
  for (let before = -QUIET_US; used - before >= QUIET_US;) {
    before = used;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    used = cpuTimeUs(spare);
  }
  return [service, spare];
}
