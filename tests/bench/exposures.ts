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
  PinsGuest,
  VfioGuest,
  VirtioGuest,
} from "./guests.ts";
import type { Measure } from "./report.ts";
import { programCommand, Server, type ServerCommand } from "./server.ts";
import { besideFloor, median, type Round, summarize } from "./statistics.ts";
import { Cp2112Guest, LjcaGuest } from "./usb_guests.ts";
import { UsbipHost, UsbredirHost } from "./usb_wires.ts";

/** An exposure that is measured. */
interface MeasuredExposure {
  /** Its name in the table. */
  readonly name: string;
  /** Arguments of serve. */
  readonly option: (path: string) => readonly string[];
  readonly attach: (path: string) => BenchGuest;
  /** Name of its aggregator; absent: one by its number. */
  readonly aggregator?: string;
}

const VIRTIO: MeasuredExposure = {
  name: "virtio-gpio",
  option: (path) => ["--socket-path", path],
  attach: (path) => new VirtioGuest(path),
};

const EXPOSURES: readonly MeasuredExposure[] = [
  VIRTIO,
  {
    name: "usbredir, LJCA",
    option: (path) => ["--usbredir", `${path},device=ljca`],
    attach: (path) => new LjcaGuest(new UsbredirHost(path)),
  },
  {
    name: "usbredir, CP2112",
    option: (path) => ["--usbredir", `${path},device=cp2112`],
    attach: (path) => new Cp2112Guest(new UsbredirHost(path)),
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

/** Kernel chips by USB, whose kernel is a double, and their floor. */
const KERNEL_CHIPS: readonly MeasuredExposure[] = [
  VIRTIO,
  {
    name: "kernel chip, LJCA",
    option: (path) => ["--usbredir", `${path},device=ljca`],
    attach: (path) => new LjcaGuest(new UsbipHost(path)),
    aggregator: "kernel-ljca",
  },
  {
    name: "kernel chip, CP2112",
    option: (path) => ["--usbredir", `${path},device=cp2112`],
    attach: (path) => new Cp2112Guest(new UsbipHost(path)),
    aggregator: "kernel-cp2112",
  },
];

/**
 * Measures kernel chips by USB as far as they are gpioagg's: from the messages of
 * a kernel, by way of the process that relays, to the service, and back.
 */
export async function measureKernelChips(
  directory: string,
  effort: Effort,
): Promise<Measure[]> {
  const measures = await measureExposures(
    programCommand("kernel_chip_server.ts"),
    directory,
    effort,
    KERNEL_CHIPS,
  );
  // The floor has its lines already.
  return measures.filter(({ name }) => !name.startsWith(VIRTIO.name));
}

/**
 * Measures each exposure beside virtio-gpio, in turns. The guests are doubles in
 * this process, which wait by `poll` for what their kernel would wait for.
 */
export async function measureExposures(
  command: ServerCommand,
  directory: string,
  effort: Effort,
  exposures = EXPOSURES,
): Promise<Measure[]> {
  await using stack = new AsyncDisposableStack();
  const { length } = exposures;
  // The aggregators' names are those of their sockets.
  const own = `${directory}/${length}`;
  await Deno.mkdir(own);
  const peerPath = `${own}/peer.sock`;
  const paths = exposures.map((_, i) => `${own}/e${i}.sock`);
  for (const path of paths) await Deno.mkdir(`${path}.d`);
  // QEMU opens the sockets of its pins; gpioagg connects to them.
  const waiting = new Map<number, BenchGuest>();
  for (const [i, { name, attach }] of exposures.entries()) {
    if (name !== "qemu-pins") continue;
    waiting.set(i, stack.use(attach(paths[i]!)));
  }
  stack.use(
    await Server.run(
      command,
      wiredArguments(
        peerPath,
        exposures.map(({ option }, i) => option(paths[i]!)),
        exposures.map(({ aggregator }, i) => aggregator ?? `e${i}`),
      ),
      [peerPath],
    ),
  );
  const peer = stack.use(new VirtioGuest(peerPath, length));
  const guests: BenchGuest[] = [];
  for (const [i, { attach }] of exposures.entries()) {
    guests.push(
      waiting.get(i) ?? stack.use(attach(paths[i]!)),
    );
  }
  for (const guest of guests) await guest.ready();
  return measureInTurns(
    exposures.map(({ name }) => name),
    guests,
    peer,
    effort,
  );
}

/**
 * Measures both directions of guests in turns, beside the first of them.
 *
 * @param names Their names in the table.
 * @param guests Guests that are ready, each wired to the line of `peer` with its
 * index.
 */
export function measureInTurns(
  names: readonly string[],
  guests: readonly BenchGuest[],
  peer: VirtioGuest,
  effort: Effort,
): Measure[] {
  const times = new Float64Array(effort.edges);
  const few = times.subarray(0, Math.ceil(times.length / 20));
  const sets = guests.map((): Round[] => []);
  const events = guests.map((): Round[] => []);
  const gets = guests.map((): Round[] => []);
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
        guest.isPolled === true ? few : times,
        (level) => peer.set(level, i),
        (level) => guest.waitInput(level),
        () => guest.handleInput(),
      );
      const get = guest.get && timed(times, () => guest.get!(), () => {});
      // In the first round both sides' compilers settle.
      if (round < 0) continue;
      sets[i]!.push(set);
      events[i]!.push(event);
      if (get !== undefined) gets[i]!.push(get);
    }
  }
  return names.flatMap((name, i) =>
    ([["set", sets], ["event", events], ["get", gets]] as const)
      .flatMap(([what, all]) => makeMeasures(name, what, all, i))
  );
}

/** Notes of the floor's lines, which are those of the others. */
const NOTES: Readonly<Record<string, string>> = {
  "virtio-gpio: set p50":
    "from the guest's request for an output to the call for the interrupt of a " +
    "guest with virtio-gpio whose input is wired to it; floor: the same from " +
    "virtio-gpio",
  "virtio-gpio: event p50":
    "from a request of the guest with virtio-gpio to what this exposure tells " +
    "its guest: call, USB event, INTx, or a qtest line; a CP2112 is asked " +
    "without a pause, where a kernel asks every 40 ms, and shows each level for " +
    "30 ms",
  "virtio-gpio: get p50":
    "from the guest's request for a level to its answer; pins have no request",
  "kernel chip, LJCA: set p50":
    "a chip of the host's own kernel by USB (interface: usb), whose kernel is a " +
    "double: what vhci-hcd and the kernel's driver add is not in it",
};

/** Measures of one kind at the exposure of this number; none without rounds. */
function makeMeasures(
  name: string,
  what: string,
  all: readonly (readonly Round[])[],
  i: number,
): Measure[] {
  const own = all[i]!;
  if (own.length === 0) return [];
  const quantiles = (["p50", "p99"] as const).map((quantile): Measure => {
    const values = own.map((each) => each[quantile]);
    const floors = all[0]!.map((each) => each[quantile]);
    const note = NOTES[`${name}: ${what} ${quantile}`];
    return {
      name: `${name}: ${what} ${quantile}`,
      ...besideFloor(values, floors),
      ...note === undefined ? {} : { note },
    };
  });
  return what !== "get" ? quantiles : [...quantiles, {
    name: `${name}: gets a second`,
    value: Math.round(1_000_000 / median(own.map(({ mean }) => mean))),
    unit: "/s",
  }];
}

/**
 * Arguments of serve for aggregators, each with an output and an input, that are
 * wired to one with virtio-gpio: first the lines that it drives, then as many that
 * it reads.
 *
 * @param options Options that say how each of them is presented.
 * @param names Their names.
 */
export function wiredArguments(
  peer: string,
  options: readonly (readonly string[])[],
  names: readonly string[] = options.map((_, i) => `e${i}`),
): string[] {
  return [
    ...["--socket-path", peer],
    ...options.flatMap((_, i) => ["--line", `sim/1,as=OUT${i}`]),
    ...options.flatMap((_, i) => ["--line", `wire/${names[i]}.OUT,as=IN${i}`]),
    ...options.flatMap((option, i) => [
      ...option,
      ...["--name", names[i]!],
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
  return summarize(times);
}
