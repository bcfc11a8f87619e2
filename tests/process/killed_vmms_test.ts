/**
 * VMMs that are killed one after the other, with each exposure: lines are safe,
 * the next guest is served, and nothing is left over.
 */
import { assertEquals } from "@std/assert";
import { listOpenFiles, untilNoneIsLeft } from "../environment/open_files.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { linesAt, pullLines } from "../environment/served_lines.ts";
import { until } from "../environment/wait.ts";
import {
  type BenchGuest,
  PinsGuest,
  VfioGuest,
  VirtioGuest,
} from "../bench/guests.ts";
import { Cp2112Guest, LjcaGuest } from "../bench/usb_guests.ts";
import { UsbredirHost } from "../bench/usb_wires.ts";

const KILLS = 5;

/** Exposures, by their options, each with the guest of a VMM that is a double. */
const EXPOSURES: readonly (readonly [
  name: string,
  option: (path: string) => readonly string[],
  boot: (path: string) => BenchGuest,
])[] = [
  [
    "virtio-gpio",
    (path) => ["--socket-path", path],
    (path) => new VirtioGuest(path),
  ],
  [
    "usbredir, LJCA",
    (path) => ["--usbredir", `${path},device=ljca`],
    (path) => new LjcaGuest(new UsbredirHost(path)),
  ],
  [
    "usbredir, CP2112",
    (path) => ["--usbredir", `${path},device=cp2112`],
    (path) => new Cp2112Guest(new UsbredirHost(path)),
  ],
  [
    "vfio-user",
    (path) => ["--vfio-user", path],
    (path) => new VfioGuest(path),
  ],
  [
    "qemu-pins",
    (path) => [
      "--qemu-pins",
      `qtest=${path},qmp=${path.replace(/qtest$/, "qmp")},device=pl061`,
    ],
    (path) => new PinsGuest(path.replace(/\/qtest$/, "")),
  ],
];

for (const [name, option, boot] of EXPOSURES) {
  Deno.test(`${name}: ${KILLS} VMMs are killed in a row, and nothing is left`, async () => {
    await using stack = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir({ prefix: "gpioagg-killed-" });
    stack.defer(() => Deno.remove(directory, { recursive: true }));
    // QEMU's doubles have their sockets under these names.
    const path = `${directory}/qtest`;
    const service = stack.use(
      new ChildProcess({
        command: PROGRAM_FILE,
        args: [
          ...[...PROGRAM, "serve", "--json", ...option(path)],
          ...["--line", "sim/1,as=OUT,safe=0", "--line", "sim/1,as=IN"],
        ],
      }),
    );
    await service.waitFor('"event":"ready"', { timeoutMs: 120_000 });
    const output = async () => (await linesAt(path))[0]?.value;
    let before: ReturnType<typeof listOpenFiles> | undefined;
    for (let kill = 0; kill < KILLS; kill++) {
      const level = 1 - kill % 2;
      {
        using guest = boot(path);
        await guest.ready();
        guest.set(1);
        await until(`output ${kill}`, async () => {
          guest.turn?.();
          return await output() === 1;
        });
        await pullLines(path, [`IN=${level}`]);
        guest.waitInput(level);
      }
      await until(`line ${kill} is safe`, async () => await output() === 0);
      before ??= listOpenFiles(service.pid);
    }
    await untilNoneIsLeft(service.pid, before!);
    assertEquals(service.stdout.includes('"event":"fault"'), false);
    // Nothing keeps its session, and its VMM connects once.
    assertEquals(
      service.stdout.includes("keeps the session of a PCI card"),
      name === "vfio-user",
    );
  });
}
