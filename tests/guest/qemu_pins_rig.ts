/**
 * Shared parts of the tests of QEMU pins: an aggregator, of simulated lines or
 * of lines of chips, exposed as the pins of whichever QEMU is there, in a
 * reactor beside the test.
 *
 * @module
 */
import { AggregatorLine } from "../../src/aggregator/aggregator_line.ts";
import { SimLine } from "../../src/aggregator/sources/sim_line.ts";
import { SourceFactory } from "../../src/aggregator/sources/source_factory.ts";
import { parseLineSpec } from "../../src/config/spec/line_spec.ts";
import { qemuArguments } from "../../src/qemu/arguments.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { QmpClient } from "../../src/qemu/qmp.ts";
import type { QemuPinsOptions } from "../../src/qemu/pins_options.ts";
import { QemuPins } from "../../src/qemu/qemu_pins.ts";
import { Reactor } from "../../src/reactor/reactor.ts";
import {
  type LineListener,
  LineOperation,
  type LinePort,
} from "../../src/line/port.ts";
import {
  type ArmGuestOptions,
  bootArmGuest,
} from "../environment/arm_guest.ts";
import { artefact } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { ChildProcess } from "../environment/process.ts";

/** Interval of the test's reactor turns. */
const TURN_MS = 1;
const JOB_LIMIT_MS = 60_000;

/** Job of QEMU, as it reports it. */
interface Job {
  readonly id: string;
  readonly status: string;
  readonly error?: string;
}

/** Notes the levels that a line is driven to. */
class NotedPort implements LinePort {
  readonly levels: number[] = [];
  readonly #port: LinePort;

  constructor(port: LinePort) {
    this.#port = port;
  }

  get name() {
    return this.#port.name;
  }

  get direction() {
    return this.#port.direction;
  }

  attach(listener: LineListener, lineNumber: number): void {
    this.#port.attach(listener, lineNumber);
  }

  submit(operation: LineOperation, argument: number): number {
    if (
      operation === LineOperation.Output || operation === LineOperation.SetValue
    ) this.levels.push(argument);
    return this.#port.submit(operation, argument);
  }
}

/** Lines behind the pins of a QEMU. */
export class PinRig implements AsyncDisposable {
  readonly directory: string;
  readonly pins: QemuPins;
  /** Simulated pins, in order: pull them, look at their level. */
  readonly sims: readonly SimLine[];
  /** The levels that each line was driven to. */
  readonly driven: readonly (readonly number[])[];
  /** Reports of the exposure. */
  readonly log: string[] = [];
  /** Notices of the exposure. */
  readonly notices: string[] = [];
  #jobs = 0;
  readonly #reactor: Reactor;
  readonly #sources: SourceFactory;
  readonly #lines: readonly AggregatorLine[];
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(
    directory: string,
    specs: readonly string[],
    options: Partial<QemuPinsOptions> & { device: string },
  ) {
    this.directory = directory;
    this.#reactor = new Reactor({
      onError: (error) => {
        throw error;
      },
    });
    const specifications = specs.flatMap((spec) => parseLineSpec(spec));
    this.#sources = new SourceFactory(this.#reactor);
    const lines = specifications.map((one, i) =>
      new AggregatorLine(
        `line${i}`,
        one,
        this.#sources.open(one, "pins"),
        this.#reactor,
      )
    );
    this.#lines = lines;
    for (const line of lines) line.start();
    this.sims = lines.map(({ source }) => source)
      .filter((source) => source instanceof SimLine);
    const ports = lines.map((line) => new NotedPort(line));
    this.driven = ports.map(({ levels }) => levels);
    const note = (text: string) => this.log.push(text);
    this.pins = new QemuPins({
      loop: this.#reactor,
      lines: ports.map((port, i) => ({
        port,
        rule: specifications[i]!.direction,
      })),
      qtestPath: `${directory}/qtest`,
      qmpPath: `${directory}/qmp`,
      onGuestGone: () => {
        for (const line of lines) line.guestGone();
      },
      events: {
        connected: () => note("connected"),
        disconnected: () => note("disconnected"),
        started: () => note("started"),
        stopped: () => note("stopped"),
        fault: ({ message, hint }) => note(`fault: ${message} (${hint})`),
        notice: (text) => this.notices.push(text),
        answered: () => {},
        refused: (lineNumber) => note(`refused: ${lineNumber}`),
      },
      ...options,
    });
    this.#timer = setInterval(() => this.#reactor.turn(0), TURN_MS);
  }

  /** Makes an exposure that waits for a QEMU. */
  static async create(
    specs: string | readonly string[],
    options: Partial<QemuPinsOptions> & { device: string },
  ): Promise<PinRig> {
    return new PinRig(
      await Deno.makeTempDir({ prefix: "gpioagg-pins-" }),
      typeof specs === "string" ? [specs] : specs,
      options,
    );
  }

  /** Arguments of a QEMU for this exposure, with a monitor for the test. */
  get qemuArguments(): string[] {
    const { directory } = this;
    return [
      ...qemuArguments({
        qtest: `${directory}/qtest`,
        qmp: `${directory}/qmp`,
      }),
      ...["-qmp", `unix:${directory}/monitor,server=on,wait=off`],
    ];
  }

  /** Boots a board with this exposure and waits for commands. */
  async boot(options: ArmGuestOptions): Promise<GuestSession> {
    const guest = await bootArmGuest({
      ...options,
      arguments: [...this.qemuArguments, ...options.arguments ?? []],
    });
    // On a busy machine a QEMU comes late and answers late, which is reported.
    const connected = this.log.indexOf("connected");
    if (this.log.slice(0, connected).every(isFault)) {
      this.log.splice(0, connected);
    }
    return guest;
  }

  /** Starts a machine for this exposure that has no guest system. */
  async start(
    qemu: "old" | "new",
    args: readonly string[],
  ): Promise<ChildProcess> {
    const programs = await artefact(
      qemu === "old" ? "qemuArmOld" : "qemuArmNew",
    );
    return new ChildProcess({
      command: `${programs}/qemu-system-aarch64`,
      args: [
        ...args,
        ..."-accel tcg -nodefaults -display none".split(" "),
        ...this.qemuArguments,
      ],
    });
  }

  /** Runs a command on QEMU's monitor, and tells what it answers. */
  async monitor(
    command: string,
    parameters: Readonly<Record<string, unknown>> = {},
  ): Promise<unknown> {
    const fd = connectUnix(`${this.directory}/monitor`);
    const ready = Promise.withResolvers<void>();
    const done = Promise.withResolvers<unknown>();
    using client = new QmpClient(this.#reactor, fd, this.#reactor.share(), {
      ready: ready.resolve,
      event: () => {},
      closed: (reason) => ready.reject(new Error(reason)),
      failed: (reason) => ready.reject(new Error(reason)),
    });
    await ready.promise;
    client.execute(
      command,
      parameters,
      (result, error) =>
        error === undefined ? done.resolve(result) : done.reject(error),
    );
    return await done.promise;
  }

  /** Runs a command on QEMU's monitor that is a job, to its end. */
  async job(
    command: string,
    parameters: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    const id = `job${this.#jobs++}`;
    await this.monitor(command, { ...parameters, "job-id": id });
    const deadline = performance.now() + JOB_LIMIT_MS;
    for (;;) {
      const jobs = await this.monitor("query-jobs") as Job[];
      const job = jobs.find((one) => one.id === id);
      if (job?.status === "concluded") {
        if (job.error !== undefined) {
          throw new Error(`${command}: ${job.error}`);
        }
        return void await this.monitor("job-dismiss", { id });
      }
      if (performance.now() > deadline) {
        throw new Error(
          `${command} is ${job?.status} after ${JOB_LIMIT_MS} ms`,
        );
      }
    }
  }

  /**
   * Waits until a condition holds.
   *
   * @throws {Error} when the limit passes, with what was waited for.
   */
  async until(
    what: string,
    condition: () => boolean,
    limitMs = 120_000,
  ): Promise<void> {
    const deadline = performance.now() + limitMs;
    while (!condition()) {
      if (performance.now() > deadline) {
        throw new Error(
          `After ${limitMs} ms: ${what}; levels ` +
            `${this.sims.map(({ level }) => level)}, log ${this.log}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /**
   * Pulls a simulated pin up and down while the guest watches one of its lines;
   * the next change waits until the guest has seen the last one.
   *
   * @returns The edges that the guest saw.
   */
  async edgesSeen(
    guest: GuestSession,
    options: { chip: string; offset: number; sim?: number; count: number },
  ): Promise<string[]> {
    const { chip, offset, count } = options;
    const sim = this.sims[options.sim ?? offset]!;
    const findEdges = (output: string) =>
      output.match(/^(rising|falling)$/gm) ?? [];
    let pulled = 0;
    const output = await guest.run(
      `gpiomon --banner -n ${count} -F '%E' -c ${chip} ${offset}`,
      {
        timeoutMs: 60_000,
        onOutput: (output) => {
          const isDue = output.includes("Monitoring") &&
            findEdges(output).length === pulled;
          if (isDue && pulled < count) sim.pull(++pulled & 1 ? 1 : 0);
        },
      },
    );
    return findEdges(output);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.pins[Symbol.dispose]();
    for (const line of this.#lines) line[Symbol.dispose]();
    this.#sources[Symbol.dispose]();
    this.#reactor[Symbol.dispose]();
    await Deno.remove(this.directory, { recursive: true });
  }
}

function isFault(text: string): boolean {
  return text.startsWith("fault: ");
}
