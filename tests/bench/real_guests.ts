/**
 * Exposures beside each other in real guests of QEMU: from a change of a guest's
 * input to what its program makes of it at its output.
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
import type { Effort } from "./effort.ts";
import { timed, wiredArguments } from "./exposures.ts";
import { VirtioGuest } from "./guests.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";
import { median, medianRatio, type Round } from "./statistics.ts";

/** A guest that boots on a busy machine. **Units**: milliseconds. */
const BOOT_LIMIT_MS = 300_000;
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
  for (const [i, exposure] of EXPOSURES.entries()) {
    await startEcho(stack.use(await exposure.boot(paths[i]!)), exposure);
  }

  const times = new Float64Array(Math.ceil(effort.edges * SHARE));
  const all = EXPOSURES.map((): Round[] => []);
  const rounds = Math.max(1, Math.ceil(effort.rounds / 3));
  for (let round = -1; round < rounds; round++) {
    for (const i of EXPOSURES.keys()) {
      const line = i + EXPOSURES.length;
      const measured = timed(
        times,
        (level) => peer.set(level, i),
        () => peer.waitEdge(line),
      );
      // In the first round QEMU translates the code.
      if (round >= 0) all[i]!.push(measured);
    }
  }
  return EXPOSURES.flatMap(({ name }, i) => [
    measureOf(`${name}: echo p50`, all, i, ({ p50 }) => p50),
    measureOf(`${name}: echo p99`, all, i, ({ p99 }) => p99),
  ]);
}

function measureOf(
  name: string,
  all: readonly (readonly Round[])[],
  i: number,
  pick: (round: Round) => number,
): Measure {
  const values = all[i]!.map(pick);
  const floors = all[0]!.map(pick);
  return {
    name,
    value: median(values),
    unit: "µs",
    floor: median(floors),
    ratio: medianRatio(values, floors),
    ...name !== "virtio-gpio: echo p50" ? {} : {
      note: "from the request of a guest that is a double, whose output is " +
        "wired to a real guest's input, to the interrupt for the output that " +
        "the real guest's program has set thereupon; floor: virtio-gpio",
    },
  };
}

/** Starts the program that answers, and waits until it has its lines. */
async function startEcho(
  guest: GuestSession,
  { name, find, machine = "x86_64" }: typeof EXPOSURES[number],
): Promise<void> {
  let chip: string | undefined;
  await until(`the guest's chip of ${name}`, async () => {
    const { output } = await guest.exec("gpiodetect");
    chip = find(output.split("\n"))?.split(" ")[0];
    return chip !== undefined && chip !== "";
  });
  const program = echoProgram(machine, `/dev/${chip}`, new Uint32Array(4))
    .toBase64();
  await guest.run(
    `echo ${program} | base64 -d >/tmp/echo-${chip} &&
     chmod 755 /tmp/echo-${chip} && { /tmp/echo-${chip} >/dev/null 2>&1 & }`,
  );
  await until(
    `the program of ${name}`,
    async () => (await guest.run(`gpioinfo -c ${chip} 0`)).includes("output"),
  );
}
