/**
 * Exposures beside each other in real guests of QEMU: from a change of a guest's
 * input to its program, and from there to its output.
 *
 * @module
 */
import { qemuArguments } from "../../src/qemu/arguments.ts";
import { bootArmGuest } from "../environment/arm_guest.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import {
  bootQemuGuest,
  type QemuGuestOptions,
} from "../environment/qemu_guest.ts";
import { until } from "../environment/wait.ts";
import type { Machine } from "./assembler.ts";
import { echoProgram } from "./echo_program.ts";
import { EchoGuest, type EchoRound } from "./echo_guest.ts";
import type { Effort } from "./effort.ts";
import { wiredArguments } from "./exposures.ts";
import { mapGuestPage } from "./guest_page.ts";
import { VirtioGuest } from "./guests.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { besideFloor } from "./statistics.ts";

/** A guest that boots on a busy machine. **Units**: milliseconds. */
const BOOT_LIMIT_MS = 300_000;
/** Rounds until the clocks agree. */
const MAX_TRIES = 3;
/** Changes of a round, as a share of those of doubles. */
const SHARE = 0.2;

/** Exposures, each with a guest of its own. */
const EXPOSURES: readonly {
  readonly name: string;
  readonly option: (path: string) => readonly string[];
  readonly boot: (path: string) => Promise<GuestSession>;
  /** Default: x86-64. */
  readonly machine?: Machine;
  /** Finds the chip among the lines of gpiodetect. */
  readonly find: (lines: readonly string[]) => string | undefined;
}[] = [
  {
    name: "virtio-gpio",
    option: (path) => ["--socket-path", path],
    boot: (path) => boot({ qemu: "new", sockets: [path] }),
    find: (lines) => lines[0],
  },
  {
    name: "usbredir, LJCA",
    option: (path) => ["--usbredir", `${path},device=ljca`],
    boot: bootUsb,
    find: (lines) => lines.find((line) => line.includes("[usb_ljca")),
  },
  {
    name: "usbredir, CP2112",
    option: (path) => ["--usbredir", `${path},device=cp2112`],
    boot: bootUsb,
    find: (lines) => lines.find((line) => line.includes("[cp2112")),
  },
  {
    name: "vfio-user",
    option: (path) => ["--vfio-user", path],
    boot: (path) =>
      boot({
        ...STOCK,
        qemu: "newest",
        arguments: [
          "-device",
          JSON.stringify({
            driver: "vfio-user-pci",
            socket: { type: "unix", path },
          }),
        ],
      }),
    // Up to 16 lines are on its third chip.
    find: (lines) => lines.filter((line) => line.includes("[0000:"))[2],
  },
  {
    name: "qemu-pins",
    option: (path) => [
      "--qemu-pins",
      `qtest=${path}.qtest,qmp=${path}.qmp,device=pl061`,
    ],
    boot: (path) =>
      bootArmGuest({
        board: "virt",
        qemu: "new",
        kernel: "trixie",
        sharedMemory: true,
        arguments: qemuArguments({
          qtest: `${path}.qtest`,
          qmp: `${path}.qmp`,
        }),
        bootTimeoutMs: BOOT_LIMIT_MS,
      }),
    machine: "arm64",
    find: (lines) => lines.find((line) => line.includes("pl061]")),
  },
];

/** Debian 13's own kernel, which has no virtio-gpio. */
const STOCK = { kernel: "trixie", memoryMiB: 256 } as const;

function boot(options: QemuGuestOptions): Promise<GuestSession> {
  return bootQemuGuest({ ...options, bootTimeoutMs: BOOT_LIMIT_MS });
}

function bootUsb(path: string): Promise<GuestSession> {
  return boot({
    ...STOCK,
    qemu: "new",
    arguments: [
      ...["-device", "qemu-xhci"],
      "-chardev",
      `socket,id=usb,path=${path},reconnect-ms=500`,
      ...["-device", "usb-redir,chardev=usb"],
    ],
  });
}

/**
 * Measures each exposure beside virtio-gpio, in turns. The other end of its wires
 * is a guest with virtio-gpio that is a double in this process.
 *
 * @throws {Error} if a guest does not come up.
 */
export async function measureGuests(
  command: ServerCommand,
  directory: string,
  effort: Effort,
): Promise<Measure[]> {
  await using stack = new AsyncDisposableStack();
  const paths = EXPOSURES.map((_, i) => `${directory}/g${i}.sock`);
  const peerPath = `${directory}/peer.sock`;
  stack.use(
    await Server.run(
      command,
      wiredArguments(
        peerPath,
        EXPOSURES.map(({ option }, i) => option(paths[i]!)),
      ),
      [peerPath],
    ),
  );
  const peer = stack.use(new VirtioGuest(peerPath, EXPOSURES.length));
  const guests: EchoGuest[] = [];
  for (const [i, exposure] of EXPOSURES.entries()) {
    const session = stack.use(await exposure.boot(paths[i]!));
    const mark = crypto.getRandomValues(new Uint32Array(4));
    await startEcho(session, exposure, mark);
    guests.push(stack.use(
      new EchoGuest(mapGuestPage(session.process.pid, mark), {
        set: (level) => peer.set(level, i),
        waitEdge: () => peer.waitEdge(i + EXPOSURES.length),
      }),
    ));
  }

  const all = guests.map((): EchoRound[] => []);
  const changes = Math.ceil(effort.edges * SHARE);
  const rounds = Math.max(1, Math.ceil(effort.rounds / 3));
  // In the first round QEMU translates the code.
  for (const guest of guests) guest.round(changes);
  for (let round = 0; round < rounds; round++) {
    for (const [i, guest] of guests.entries()) {
      all[i]!.push(exactRound(guest, changes));
    }
  }
  return EXPOSURES.flatMap(({ name }, i) =>
    makeMeasures(name, all[i]!, all[0]!)
  );
}

/** Repeats a round whose clocks did not agree, some times. */
function exactRound(guest: EchoGuest, changes: number): EchoRound {
  let round = guest.round(changes);
  for (let i = 1; i < MAX_TRIES && !round.isExact; i++) {
    round = guest.round(changes);
  }
  return round;
}

/** Notes of the floor's lines, which are those of the others. */
const NOTES = {
  event:
    "from the request of a guest that is a double, whose output is wired to a " +
    "real guest's input, until the real guest's program has read the event; " +
    "floor: virtio-gpio",
  set: "from the real guest's program's request to set its output to the " +
    "interrupt of the double whose input is wired to it",
  echo: "from the double's request to its interrupt, by the host's clock alone",
} as const;

/** Measures of an exposure; of one direction only where the clocks agreed. */
function makeMeasures(
  name: string,
  rounds: readonly EchoRound[],
  floorRounds: readonly EchoRound[],
): Measure[] {
  const isExact = [...rounds, ...floorRounds].every((round) => round.isExact);
  const worst = Math.max(...rounds.map(({ uncertainty }) => uncertainty));
  const clock = `the guest's clock is known within ${worst.toFixed(1)} µs` +
    (isExact ? "" : ", or the floor's is not: no event and set");
  const shown = isExact ? ["event", "set", "echo"] as const : ["echo"] as const;
  return shown.flatMap((what, place) =>
    (["p50", "p99"] as const).map((quantile): Measure => {
      const values = rounds.map((round) => round[what][quantile]);
      const floors = floorRounds.map((round) => round[what][quantile]);
      const notes = quantile === "p99" ? [] : [
        ...rounds === floorRounds ? [NOTES[what]] : [],
        ...place === 0 ? [clock] : [],
      ];
      return {
        name: `${name}: ${what} ${quantile}`,
        ...besideFloor(values, floors),
        ...notes.length === 0 ? {} : { note: notes.join("; ") },
      };
    })
  );
}

/** Starts the program that answers, and waits until it has its lines. */
async function startEcho(
  guest: GuestSession,
  { name, find, machine = "x86_64" }: typeof EXPOSURES[number],
  mark: Uint32Array,
): Promise<void> {
  let chip: string | undefined;
  await until(`the guest's chip of ${name}`, async () => {
    const { output } = await guest.exec("gpiodetect");
    chip = find(output.split("\n"))?.split(" ")[0];
    return chip !== undefined && chip !== "";
  });
  const program = echoProgram(machine, `/dev/${chip}`, mark).toBase64();
  await guest.run(
    `echo ${program} | base64 -d >/tmp/echo-${chip} &&
     chmod 755 /tmp/echo-${chip} && { /tmp/echo-${chip} >/dev/null 2>&1 & }`,
  );
  await until(
    `the program of ${name}`,
    async () => (await guest.run(`gpioinfo -c ${chip} 0`)).includes("output"),
  );
}
