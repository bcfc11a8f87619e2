/**
 * Exposures beside each other: a guest's request until it shows in another guest,
 * and the other way round.
 *
 * Each exposure has an aggregator whose output is wired to an input of a guest
 * with virtio-gpio, and an input that is wired to an output of that guest.
 *
 * @module
 */
import type { Effort } from "./effort.ts";
import {
  type BenchGuest,
  LjcaGuest,
  PinsGuest,
  VfioGuest,
  VirtioGuest,
} from "./guests.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { median, medianRatio, type Round, roundOf } from "./statistics.ts";

/** Exposures, by the name that the table has, and their arguments of serve. */
const EXPOSURES: readonly {
  readonly name: string;
  readonly option: (path: string) => readonly string[];
  readonly attach: (path: string) => BenchGuest;
}[] = [
  {
    name: "virtio-gpio",
    option: (path) => ["--socket-path", path],
    attach: (path) => new VirtioGuest(path),
  },
  {
    name: "usbredir, LJCA",
    option: (path) => ["--usbredir", `${path},device=ljca`],
    attach: (path) => new LjcaGuest(path),
  },
  {
    name: "vfio-user",
    option: (path) => ["--vfio-user", path],
    attach: (path) => new VfioGuest(path),
  },
  {
    name: "qemu-pins",
    option: (path) => [
      "--qemu-pins",
      `qtest=${path}.d/qtest,qmp=${path}.d/qmp,device=pl061`,
    ],
    attach: (path) => new PinsGuest(`${path}.d`),
  },
];

/**
 * Measures each exposure beside virtio-gpio, in turns. The guests are doubles in
 * this process, which wait by `poll` for what their kernel would wait for.
 */
export async function measureExposures(
  command: ServerCommand,
  directory: string,
  effort: Effort,
): Promise<Measure[]> {
  await using stack = new AsyncDisposableStack();
  const paths = EXPOSURES.map((_, i) => `${directory}/e${i}.sock`);
  for (const path of paths) await Deno.mkdir(`${path}.d`);
  // QEMU opens the sockets of its pins; gpioagg connects to them.
  const waiting = new Map<number, BenchGuest>();
  for (const [i, { name, attach }] of EXPOSURES.entries()) {
    if (name !== "qemu-pins") continue;
    waiting.set(i, stack.use(attach(paths[i]!)));
  }
  stack.use(
    await Server.run(
      command,
      wiredArguments(
        `${directory}/peer.sock`,
        EXPOSURES.map(({ option }, i) => option(paths[i]!)),
      ),
      [`${directory}/peer.sock`],
    ),
  );
  const peer = stack.use(
    new VirtioGuest(`${directory}/peer.sock`, EXPOSURES.length),
  );
  const guests: BenchGuest[] = [];
  for (const [i, { attach }] of EXPOSURES.entries()) {
    guests.push(
      waiting.get(i) ?? stack.use(attach(paths[i]!)),
    );
  }
  for (const guest of guests) await guest.ready();

  const measures: Measure[] = [];
  const times = new Float64Array(effort.edges);
  const sets = guests.map((): Round[] => []);
  const events = guests.map((): Round[] => []);
  const rounds = Math.max(1, Math.ceil(effort.rounds / 3));
  for (let round = -1; round < rounds; round++) {
    for (const [i, guest] of guests.entries()) {
      const line = i + guests.length;
      const set = timed(
        times,
        (level) => guest.set(level),
        () => peer.waitEdge(line, guest.turn),
      );
      const event = timed(
        times,
        (level) => peer.set(level, i),
        (level) => guest.waitInput(level),
        () => guest.handleInput(),
      );
      // In the first round both sides' compilers settle.
      if (round < 0) continue;
      sets[i]!.push(set);
      events[i]!.push(event);
    }
  }
  const p50 = (list: readonly Round[]) => list.map((each) => each.p50);
  for (const [i, { name }] of EXPOSURES.entries()) {
    for (const [what, all] of [["set", sets], ["event", events]] as const) {
      measures.push({
        name: `${name}: ${what} p50`,
        value: median(p50(all[i]!)),
        unit: "µs",
        floor: median(p50(all[0]!)),
        ratio: medianRatio(p50(all[i]!), p50(all[0]!)),
        ...i > 0 ? {} : {
          note: what === "set"
            ? "from the guest's request for an output to the call for the " +
              "interrupt of a guest with virtio-gpio whose input is wired to it; " +
              "floor: the same from virtio-gpio"
            : "from a request of the guest with virtio-gpio to what this " +
              "exposure tells its guest: call, USB event, INTx, or a qtest line",
        },
      });
    }
  }
  return measures;
}

/**
 * Arguments of serve for aggregators, each with an output and an input, that are
 * wired to one with virtio-gpio: first the lines that it drives, then as many that
 * it reads.
 *
 * @param options Options that say how each of them is presented.
 */
export function wiredArguments(
  peer: string,
  options: readonly (readonly string[])[],
): string[] {
  return [
    ...["--socket-path", peer],
    ...options.flatMap((_, i) => ["--line", `sim/1,as=OUT${i}`]),
    ...options.flatMap((_, i) => ["--line", `wire/e${i}.OUT,as=IN${i}`]),
    ...options.flatMap((option, i) => [
      ...option,
      ...["--name", `e${i}`],
      ...["--line", "sim/1,as=OUT", "--line", `wire/peer.OUT${i},as=IN`],
    ]),
  ];
}

/** Changes a level to and fro, and waits each time until it has arrived. */
export function timed(
  times: Float64Array,
  set: (level: number) => void,
  wait: (level: number) => void,
  after?: () => void,
): Round {
  for (let i = 0; i < times.length; i++) {
    const level = i & 1 ? 0 : 1;
    const before = performance.now();
    set(level);
    wait(level);
    times[i] = (performance.now() - before) * 1000;
    after?.();
  }
  return roundOf(times);
}
