/**
 * A service on simulated chips whose processes are killed, one of each kind, and
 * what must be so afterwards.
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";
import { Direction, GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { listChildren } from "../environment/child_processes.ts";
import { replaceService, waitForPair } from "../environment/keeper_pair.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { until } from "../environment/wait.ts";
import type { Random } from "../fuzz/ring_fuzz_random.ts";
import { findGuardian, isRunning, startRun } from "../process/run_rig.ts";
import { WrongValue } from "./cell.ts";
import { type ChipCell, chipLabel } from "./chip_cell.ts";
import { plantText } from "./chip_plant.ts";

/** Limit for each answer and each effect; the machine may be busy. */
const LIMIT_MS = 120_000;

/** Lines that the cells leave: that of the isolated aggregator, and of `run`. */
const ISOLATED = { chip: 0, offset: 7 } as const;
const OF_RUN = { chip: 1, offset: 6 } as const;

/** A manager, a keeper, a service, its spare and a process of an aggregator. */
export class KilledService implements AsyncDisposable {
  /** Kills of each kind. */
  readonly kills = {
    "a service": 0,
    "a spare": 0,
    "a keeper": 0,
    "an isolated process": 0,
    "a run": 0,
    "a service with a chip away": 0,
    "a keeper with a chip away": 0,
    "an isolated process with its chip away": 0,
  };
  readonly client: ServiceClient;
  readonly #manager = new ManagerDouble();
  readonly #args: readonly string[];
  readonly #random: Random;
  /** The service that was replaced last. */
  #before: number | undefined;
  #cells: readonly ChipCell[] = [];
  #guest: { frontend: Frontend; driver: GpioDriver } | undefined;
  /** Level of the isolated guest's output. */
  #out = 0;

  /** {@linkcode start} is next, once there are chips. */
  constructor(random: Random) {
    this.#random = random;
    const { directory } = this;
    const api = `${directory}/api.sock`;
    const file = `${directory}/plant.yaml`;
    const chip = chipLabel(ISOLATED.chip);
    Deno.writeTextFileSync(
      file,
      plantText(directory, 0) + `  isolated:
    isolate: process
    vhost-user: ${directory}/isolated.sock
    lines:
      - { chip: ${chip}, offset: ${ISOLATED.offset}, as: OUT, direction: output, safe: 0, optional: true }
`,
    );
    this.#args = ["--standby", "--config", file, "--api", api];
    this.client = new ServiceClient(api, { limitMs: LIMIT_MS });
  }

  /** Directory of the service's sockets. */
  get directory(): string {
    return this.#manager.directory;
  }

  /** Output of the service. */
  get log(): string {
    return this.#manager.log;
  }

  /** Starts the service on these chips, and its isolated guest. */
  async start(cells: readonly ChipCell[]): Promise<void> {
    this.#cells = cells;
    await this.#manager.start(this.#args);
    this.#connect();
  }

  /** Kills of each kind. */
  get acts(): readonly (readonly [string, () => Promise<void>])[] {
    return [
      [
        "a service with a chip away",
        () => this.#whileAway(this.#aCell(), () => this.#killService()),
      ],
      [
        "a keeper with a chip away",
        () => this.#whileAway(this.#aCell(), () => this.#killKeeper()),
      ],
      [
        "an isolated process with its chip away",
        () => this.#whileAway(ISOLATED.chip, () => this.#killIsolated()),
      ],
      ["a service", () => this.#killService()],
      ["a spare", () => this.#killSpare()],
      ["a keeper", () => this.#killKeeper()],
      ["an isolated process", () => this.#killIsolated()],
      ["a run", () => this.#killRun()],
    ].map(([name, kill]) => {
      const kind = name as keyof KilledService["kills"];
      return [`${kind} is killed`, async () => {
        // It has a line whose chip must be there.
        if (kind === "a run" && !this.#cells[OF_RUN.chip]!.isPlugged) return;
        await (kill as () => Promise<void>)();
        this.kills[kind]++;
      }];
    });
  }

  /** The isolated guest sets its output, if the chip is there. */
  change(): void {
    this.#set(this.#random.below(2));
  }

  #set(level: number): void {
    if (!this.#cells[ISOLATED.chip]!.isPlugged) return;
    this.#out = level;
    this.#guest!.driver.setOutput(0, this.#out, Direction.Output);
  }

  /** Its wire, and what it reads, are what it set. */
  async check(): Promise<void> {
    const cell = this.#cells[ISOLATED.chip]!;
    if (!cell.isPlugged) return;
    await this.#level(ISOLATED, this.#out);
    const read = this.#guest!.driver.getValue(0);
    if (read !== this.#out) {
      throw new WrongValue(
        `the isolated guest reads ${read}, not ${this.#out}`,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#guest?.frontend[Symbol.dispose]();
    await this.#manager[Symbol.asyncDispose]();
  }

  #connect(): void {
    const frontend = Frontend.open(`${this.directory}/isolated.sock`, {
      timeoutMs: LIMIT_MS,
    });
    this.#guest = { frontend, driver: GpioDriver.attach(frontend) };
  }

  async #killService(): Promise<void> {
    const { pid } = this.#manager;
    this.#before = await replaceService(pid, "SIGKILL", this.#before);
    const answers = () => this.client.list().then(() => true, () => false);
    await until("the next service", answers, LIMIT_MS);
    this.#forget();
  }

  async #killSpare(): Promise<void> {
    const { pid } = this.#manager;
    const [, spare] = await waitForPair(pid, this.#before);
    Deno.kill(spare, "SIGKILL");
    await until("another spare", () => {
      const children = listChildren(pid);
      return children.length === 2 && !children.includes(spare);
    }, LIMIT_MS);
  }

  async #killKeeper(): Promise<void> {
    const pids = await waitForPair(this.#manager.pid, this.#before);
    await this.#manager.stop("SIGKILL");
    await until("the end of all", () => !pids.some(isRunning), LIMIT_MS);
    this.#before = undefined;
    await this.#manager.start(this.#args);
    this.#forget();
  }

  /** The process is dead; the isolated guest goes on too, and is not asked. */
  #forget(): void {
    for (const cell of this.#cells) cell.forget();
  }

  #aCell(): number {
    return this.#random.below(this.#cells.length);
  }

  /** A chip goes, a process is killed that serves its lines, the chip returns. */
  async #whileAway(chip: number, kill: () => Promise<void>): Promise<void> {
    const cell = this.#cells[chip]!;
    if (cell.isPlugged) {
      // What is lost with a process would be what the lines have at first.
      await cell.leaveDefaults();
      this.#set(1);
      await cell.move();
    }
    await cell.check();
    await kill();
    await cell.check();
    await cell.move();
    await cell.check();
    await this.check();
  }

  async #killIsolated(): Promise<void> {
    const { pid } = await this.client.show("isolated");
    Deno.kill(pid!, "SIGKILL");
    await this.#level(ISOLATED, 0);
    await until("another process", async () => {
      const { pid: next = 0 } = await this.client.show("isolated");
      return next !== 0 && next !== pid;
    }, LIMIT_MS);
    this.#out = 0;
    this.#guest!.frontend[Symbol.dispose]();
    this.#connect();
  }

  /** Its guardian was killed or stopped before, or neither. */
  async #killRun(): Promise<void> {
    const spec = `${chipLabel(OF_RUN.chip)}/${OF_RUN.offset}`;
    await using run = startRun(
      ["--line", `${spec},direction=output,initial=1,safe=0`],
      ["sh", "-c", "echo started; exec sleep 600", "{socket}"],
    );
    await run.waitFor("started", { timeoutMs: LIMIT_MS });
    await this.#level(OF_RUN, 1);
    const guardian = findGuardian(run.pid)!;
    const how = this.#random.below(3);
    if (how === 1) Deno.kill(guardian, "SIGSTOP");
    if (how === 2) {
      Deno.kill(guardian, "SIGKILL");
      await until("another guardian", () => {
        const next = findGuardian(run.pid);
        return next !== undefined && next !== guardian;
      }, LIMIT_MS);
    }
    const last = findGuardian(run.pid)!;
    run.kill("SIGKILL");
    await this.#level(OF_RUN, 0);
    await until("the guardian's end", () => !isRunning(last), LIMIT_MS);
  }

  async #level(
    { chip, offset }: { readonly chip: number; readonly offset: number },
    level: number,
  ): Promise<void> {
    const what = `line ${offset} of ${chipLabel(chip)} is ${level}`;
    await until(
      what,
      () => this.#cells[chip]!.isLevel(offset, level),
      LIMIT_MS,
    );
  }
}
