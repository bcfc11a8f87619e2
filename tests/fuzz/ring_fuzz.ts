/**
 * A seeded, structure-aware fuzzer of rings and of the GPIO device on them.
 *
 * Each round has fresh rings. It mixes what an honest driver does with what a
 * hostile one can: any descriptor, any head, any index, any byte of its memory,
 * while ports answer at once or later and queues are stopped, resumed and reset.
 * After every call into the device it is checked that
 *
 * - nothing was thrown, and the call came back soon;
 * - no byte changed but in the used rings and in buffers given to be written;
 * - every head came back at most once for each time it was taken, with a length
 *   that the protocol knows, and the rest is what the queue says is in flight;
 * - no interrupt was delivered on a line whose edges were not requested.
 *
 * @module
 */
import { EventCount } from "../../src/virtio/gpio/counters.ts";
import { GpioDevice } from "../../src/virtio/gpio/device.ts";
import { InflightLog } from "../../src/virtio/queue/inflight.ts";
import { LineOperation } from "../../src/line/port.ts";
import { SplitQueue } from "../../src/virtio/queue/split_queue.ts";
import { ModelPort } from "../doubles/model_port.ts";
import { RingDriver } from "../doubles/ring_driver.ts";
import { FuzzChecks } from "./ring_fuzz_checks.ts";
import { FuzzGuest } from "./ring_fuzz_guest.ts";
import { Random } from "./ring_fuzz_random.ts";
import {
  FuzzMemory,
  LINES,
  REGIONS,
  type RingState,
} from "./ring_fuzz_world.ts";

/** Options of a run. */
export interface RingFuzzOptions {
  /** Seed of the random choices; the same seed repeats a run exactly. */
  seed: number;
  /** Steps to take. */
  iterations: number;
}

/** Report of a run, to see that it reached what it should. */
export interface RingFuzzReport {
  /** Steps taken. */
  steps: number;
  /** Entries that came back, of both queues. */
  returned: number;
  /** Chains the device refused as malformed. */
  refused: number;
  /** Rings that were found malformed. */
  faults: number;
  /** Interrupts delivered. */
  delivered: number;
}

const STEPS_PER_ROUND = 200;
const F_IRQ = 1n;
const F_INDIRECT = 1n << 28n;
const F_EVENT_IDX = 1n << 29n;

/** Runs the fuzzer; throws with seed and step when an invariant does not hold. */
export function runRingFuzz(options: RingFuzzOptions): RingFuzzReport {
  const report = {
    steps: 0,
    returned: 0,
    refused: 0,
    faults: 0,
    delivered: 0,
  };
  const random = new Random(options.seed);
  let round = new Round(random, report);
  for (let step = 0; step < options.iterations; step++) {
    if (step % STEPS_PER_ROUND === 0 && step > 0) {
      round.end();
      round = new Round(random, report);
    }
    try {
      round.step();
    } catch (cause) {
      throw new Error(
        `ring fuzz failed with seed ${options.seed} at step ${step}`,
        { cause },
      );
    }
    report.steps++;
  }
  round.end();
  return report;
}

/** One guest with fresh rings and a fresh device. */
class Round {
  readonly #random: Random;
  readonly #report: RingFuzzReport;
  readonly #memory = new FuzzMemory();
  readonly #guest: FuzzGuest;
  readonly #checks: FuzzChecks;
  readonly #ports: ModelPort[];
  readonly #device: GpioDevice;
  readonly #features: bigint;
  readonly #rings: RingState[];
  /** 0: an honest driver; 1: bad chains too; 2: bad rings too. */
  readonly #hostility: number;

  constructor(random: Random, report: RingFuzzReport) {
    this.#random = random;
    this.#report = report;
    this.#hostility = random.below(3);
    this.#guest = new FuzzGuest(random, this.#memory);
    this.#ports = ["A", "", "C", ""].map((name) => new ModelPort(name));
    for (const port of this.#ports) port.slow = random.oneIn(4);
    // Line 0 is wired to line 1, and reading line 2 moves line 3.
    this.#ports[0]!.onSubmit = (call) => {
      if (call.operation === LineOperation.SetValue) {
        this.#ports[1]!.pull(call.argument);
      }
    };
    this.#ports[2]!.onSubmit = (call) => {
      const other = this.#ports[3]!;
      if (call.operation === LineOperation.GetValue) {
        other.pull(1 - other.level);
      }
    };
    this.#features = (random.oneIn(8) ? 0n : F_IRQ) |
      (random.oneIn(3) ? 0n : F_INDIRECT) |
      (random.oneIn(3) ? 0n : F_EVENT_IDX);
    this.#device = new GpioDevice(this.#ports);
    this.#device.setFeatures(this.#features);
    const size = random.pick([1, 2, 4, 8, 16, 16, 64, 64]);
    const firstIndex = random.pick([0, 1, 0xfffd, 0x7fff]);
    let offset = 0;
    this.#rings = [0, 1].map((index) => {
      const driver = new RingDriver({
        memory: this.#memory.buffer,
        guestAddress: REGIONS[0][0],
        offset,
        size,
        eventIndex: (this.#features & F_EVENT_IDX) !== 0n,
        firstIndex,
      });
      offset = Math.ceil(driver.endOffset / 0x100) * 0x100;
      const log = random.oneIn(3)
        ? new ArrayBuffer(InflightLog.bytesFor(size))
        : undefined;
      return {
        index: index as 0 | 1,
        driver,
        queue: this.#create(driver, log, firstIndex, []),
        log,
        taken: new Int32Array(size),
        returned: new Int32Array(size),
        nextAvail: firstIndex,
        nextUsed: firstIndex,
        isTainted: false,
      };
    });
    for (const ring of this.#rings) {
      this.#device.startQueue(ring.index, ring.queue);
    }
    this.#checks = new FuzzChecks(
      this.#memory,
      this.#device,
      this.#ports,
      this.#rings,
    );
  }

  #create(
    driver: RingDriver,
    log: ArrayBuffer | undefined,
    nextAvail: number,
    resubmit: number[] | undefined,
  ): SplitQueue {
    const inflight = log && InflightLog.open(log, 0, driver.size);
    if (typeof inflight === "string") throw new Error(inflight);
    const queue = SplitQueue.create({
      memory: this.#memory.guest,
      size: driver.size,
      descriptorAddress: driver.descriptorAddress,
      availAddress: driver.availAddress,
      usedAddress: driver.usedAddress,
      features: this.#features,
      nextAvail,
      notify: () => {},
      ...(resubmit === undefined ? {} : { resubmit }),
      ...(inflight === undefined ? {} : { inflight }),
    });
    if (typeof queue === "string") throw new Error(queue);
    return queue;
  }

  /** Adds up what the round did. */
  end(): void {
    const { counters } = this.#device;
    this.#report.returned += this.#checks.returnedCount;
    this.#report.refused += counters.refusedChains[0]! +
      counters.refusedChains[1]!;
    for (const { queue } of this.#rings) {
      if (queue.fault !== undefined) this.#report.faults++;
    }
    for (let line = 0; line < LINES; line++) {
      this.#report.delivered += counters.eventCount(line, EventCount.Delivered);
    }
  }

  /** Does one thing, and checks what came of it. */
  step(): void {
    const random = this.#random;
    const ring = random.pick(this.#rings);
    switch (random.below(20)) {
      case 0:
        if (this.#hostility > 0) this.#guest.addHostile(ring);
        return;
      case 1:
        if (this.#hostility > 1) this.#guest.breakRing(ring, this.#rings);
        return;
      case 2:
        if (random.oneIn(4)) this.#changePort();
        return;
      case 3:
        if (random.oneIn(6)) this.#restart(ring);
        return;
      case 4:
        return this.#checks.call(() => this.#reportNonsense());
      case 5:
      case 6:
      case 7:
        return this.#checks.call(() =>
          random.pick(this.#ports).pull(random.below(2))
        );
      case 8:
      case 9:
      case 10:
        return this.#checks.call(() => {
          for (const port of this.#ports) if (port.isPending) port.finish();
        });
      case 11:
      case 12:
        return this.#serve(ring);
      default:
        this.#guest.addHonest(ring);
        if (random.oneIn(2)) this.#serve(ring);
    }
  }

  /** Any port may be late or wrong; the device must not believe it. */
  #reportNonsense(): void {
    const random = this.#random;
    if (random.oneIn(2)) {
      this.#device.edge(random.below(LINES + 1), random.below(3));
    } else {
      this.#device.completed(LINES + random.below(3), random.below(3));
    }
  }

  #serve(ring: RingState): void {
    const budget = this.#random.pick([1, 3, 64]);
    this.#checks.call(() => {
      // A hostile guest cannot add entries while this runs, so it ends.
      for (let turns = 0; this.#device.processQueue(ring.index, budget);) {
        if (++turns > 0x20000) throw new Error("the queue never runs empty");
      }
    });
    if (!ring.isTainted && this.#random.oneIn(2)) ring.driver.collect();
  }

  #changePort(): void {
    const port = this.#random.pick(this.#ports);
    if (this.#random.oneIn(2)) port.broken = !port.broken;
    else if (!port.isPending) port.slow = !port.slow;
  }

  #restart(ring: RingState): void {
    const random = this.#random;
    if (random.oneIn(3)) {
      // The guest is gone: both queues stop, the device is reset, and a new
      // guest takes the rings as they stand, as one without its buffers.
      this.#checks.call(() => {
        for (const { index, queue } of this.#rings) {
          this.#device.stopQueue(index);
          queue.close();
        }
        this.#device.reset();
        this.#device.setFeatures(this.#features);
      });
      for (const each of this.#rings) {
        if (each.log !== undefined) new Uint8Array(each.log).fill(0);
        this.#startAgain(each, each.driver.availIndex, [], true);
      }
      return;
    }
    const { queue, index } = ring;
    this.#checks.call(() => {
      this.#device.stopQueue(index);
      queue.close();
    });
    if (random.oneIn(2)) {
      this.#checks.call(() => random.pick(this.#ports).pull(random.below(2)));
    }
    // A crash: nothing but the log is left.
    const isCrash = ring.log !== undefined && !ring.isTainted;
    this.#startAgain(
      ring,
      isCrash ? random.below(0x10000) : queue.nextAvail,
      isCrash ? undefined : queue.inFlightHeads(),
    );
  }

  #startAgain(
    ring: RingState,
    nextAvail: number,
    resubmit: number[] | undefined,
    isNew = false,
  ): void {
    if (ring.queue.fault !== undefined) this.#report.faults++;
    ring.queue = this.#create(ring.driver, ring.log, nextAvail, resubmit);
    const actual = ring.queue.inFlightHeads().sort((a, b) => a - b);
    if (!isNew && !ring.isTainted) {
      const expected = this.#checks.inFlight(ring);
      this.#checks.expectEqual(actual, expected, "in flight after a restart");
    }
    ring.taken.fill(0);
    ring.returned.fill(0);
    for (const head of actual) ring.taken[head] = 1;
    ring.nextAvail = ring.queue.nextAvail;
    ring.nextUsed = ring.driver.usedIndex();
    this.#checks.call(() => this.#device.startQueue(ring.index, ring.queue));
  }
}
