/** A lane's Worker that dies is replaced, and costs its own lines only. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { Mapping } from "../../../ffi/mapping.ts";
import { AggregatorLine } from "../../aggregator/aggregator_line.ts";
import { LaneEndpoint } from "../../aggregator/lane/lane_line.ts";
import { waitUntil } from "../../async/wait.ts";
import { parseLineSpec } from "../../config/spec/line_spec.ts";
import { Direction, FAILED, LineOperation, PENDING } from "../../line/port.ts";
import { Reactor } from "../../reactor/reactor.ts";
import { HeldLine, PendingAdd } from "./held_lines.ts";
import { RunningLane } from "./running_lane.ts";

const LIMIT_MS = 60_000;

/** A lane of simulated lines in a Worker that dies when told to. */
class Rig implements AsyncDisposable {
  readonly log: string[] = [];
  readonly told: string[] = [];
  readonly lines: AggregatorLine[];
  readonly #directory: string;
  readonly #lane: RunningLane;
  readonly #reactor: Reactor;
  readonly #endpoint: LaneEndpoint;

  private constructor(directory: string, lane: RunningLane, spec: string) {
    this.#directory = directory;
    this.#lane = lane;
    this.#reactor = new Reactor({
      onError: (error) => {
        throw error;
      },
    });
    const { memoryFd, memoryBytes, wakeFd, doneFd } = lane.handover;
    const memory = Mapping.map(memoryFd, {
      length: memoryBytes,
      writable: true,
      subject: "lane memory",
    });
    this.#endpoint = new LaneEndpoint(this.#reactor, {
      memory,
      wakeFd,
      doneFd,
    });
    this.lines = parseLineSpec(spec).map((specification, i) => {
      const source = this.#endpoint.open(i, "", `slow ${i}`);
      const line = new AggregatorLine("", specification, source, this.#reactor);
      line.attach({
        completed: (_, result) => this.log.push(`${i}: ${result}`),
        edge: (_, level) => this.log.push(`${i}! ${level}`),
        restored: () => this.log.push(`${i} is back`),
      }, i);
      return line;
    });
    this.#endpoint.complete();
  }

  static async start(spec: string): Promise<Rig> {
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-lane-" });
    const program = new URL(
      `../../../tests/doubles/dying_lane_worker.ts?flag=${directory}/die`,
      import.meta.url,
    );
    const specifications = parseLineSpec(spec);
    const addition = new PendingAdd();
    const lines = specifications.map((_, i) => {
      const line = new HeldLine(`line ${i}`, false);
      addition.use(line, "press");
      return line;
    });
    const told: string[] = [];
    const lane = RunningLane.create({
      program,
      lines,
      start: {
        lines: specifications.map((specification, slot) => ({
          specification,
          owner: "press",
          slot,
        })),
      },
    }, {
      lost: (owners, text) => told.push(`${owners}: ${text}`),
      fault: (text) => told.push(text),
      problem: (text) => told.push(text),
    });
    await lane.start();
    addition.end(true);
    const rig = new Rig(directory, lane, spec);
    told.forEach((text) => rig.told.push(text));
    told.push = (...texts) => rig.told.push(...texts);
    return rig;
  }

  /** Has the lane's Worker die. */
  kill(): void {
    Deno.writeTextFileSync(`${this.#directory}/die`, "");
  }

  async until(isOver: () => boolean, what: string): Promise<void> {
    const isDone = await waitUntil(() => {
      this.#reactor.turn(0);
      return isOver();
    }, LIMIT_MS);
    assert(isDone, `${what} did not happen: ${this.log} ${this.told}`);
  }

  /** Ends all lines, and waits until the lane has let them go. */
  async end(): Promise<void> {
    for (const line of this.lines) line[Symbol.dispose]();
    await this.until(() => this.#lane.isOver, "the lane's end");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
    this.#reactor[Symbol.dispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }
}

Deno.test("RunningLane replaces a Worker that died, and its lines are taken up as they were", async () => {
  await using rig = await Rig.start("sim/2");
  const [first, second] = rig.lines as [AggregatorLine, AggregatorLine];
  assertEquals(first.submit(LineOperation.Output, 1), PENDING);
  await rig.until(() => rig.log.includes("0: 0"), "the answer");
  rig.kill();
  await rig.until(() => first.source.isAbsent === true, "the loss");
  await rig.until(() => rig.told.length > 0, "the report");
  assertEquals(rig.told.length, 1);
  assert(rig.told[0]!.startsWith("press: the lane of line 0 and 1 more has "));
  assert(rig.told[0]!.includes("provoked"));
  // What is asked meanwhile fails at once.
  assertEquals(first.submit(LineOperation.GetValue, 0), FAILED);
  assertEquals(second.submit(LineOperation.Output, 1), FAILED);
  rig.log.length = 0;
  await rig.until(() => rig.log.length === 2, "the successor");
  assertEquals(rig.log, ["0 is back", "1 is back"]);
  assertEquals(first.direction, Direction.Output);
  assertEquals(second.direction, Direction.Input);
  rig.log.length = 0;
  assertEquals(first.submit(LineOperation.GetValue, 0), PENDING);
  await rig.until(() => rig.log.length === 1, "the answer");
  assertEquals(rig.log, ["0: 1"]);
  // The next one is replaced too, and reported again.
  rig.kill();
  await rig.until(() => first.source.isAbsent === true, "the second loss");
  await rig.until(() => first.source.isAbsent !== true, "its successor");
  await rig.until(() => rig.told.length === 2, "its report");
});

Deno.test("RunningLane makes the rule of a guest that went meanwhile hold before all else", async () => {
  await using rig = await Rig.start("sim/1,direction=output,safe=0");
  const line = rig.lines[0]!;
  assertEquals(line.submit(LineOperation.SetValue, 1), PENDING);
  await rig.until(() => rig.log.includes("0: 0"), "the answer");
  rig.kill();
  await rig.until(() => line.source.isAbsent === true, "the loss");
  line.guestGone();
  rig.log.length = 0;
  await rig.until(() => rig.log.includes("0 is back"), "the successor");
  await rig.until(() => line.pendingRule === undefined, "the rule");
  rig.log.length = 0;
  assertEquals(line.submit(LineOperation.GetValue, 0), PENDING);
  await rig.until(() => rig.log.length === 1, "the answer");
  assertEquals(rig.log, ["0: 0"]);
});

Deno.test("RunningLane ends when the reactor closes the lines of a dead Worker", async () => {
  await using rig = await Rig.start("sim/2");
  rig.kill();
  await rig.until(
    () => rig.lines[0]!.source.isAbsent === true,
    "the loss",
  );
  await rig.end();
});

Deno.test("RunningLane.start() rejects what cannot be had", async () => {
  await assertRejects(
    () => Rig.start("gpio-none/0"),
    Error,
  );
});
