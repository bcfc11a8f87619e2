/**
 * SIGKILLs of the process that relays between the kernel and a kernel chip by USB:
 * the time until the kernel's connection ends, which takes the chip away, and
 * until the next process has attached the adapter again. The kernel is a double.
 *
 * @module
 */
import type { Measure } from "./report.ts";
import { programCommand, Server } from "./server.ts";
import { quantile } from "./statistics.ts";
import { UsbipHost } from "./usb_wires.ts";

/** Measures so many SIGKILLs, of an adapter that its kernel uses. */
export async function measureRelayKills(
  directory: string,
  kills: number,
): Promise<Measure[]> {
  const path = `${directory}/kernel-killed.sock`;
  const peer = `${directory}/beside-killed.sock`;
  await using _server = await Server.run(
    programCommand("kernel_chip_server.ts"),
    [
      ...["--usbredir", `${path},device=cp2112`, "--name", "kernel-killed"],
      ...["--line", "sim/8,safe=0"],
      ...["--socket-path", peer, "--line", "sim/1"],
    ],
    // The one that answers at once.
    [peer],
  );
  const ends: number[] = [];
  const returns: number[] = [];
  let host = new UsbipHost(path);
  try {
    for (let i = 0; i < kills; i++) {
      host.configure();
      const before = performance.now();
      host.killRelay();
      ends.push(performance.now() - before);
      host[Symbol.dispose]();
      host = new UsbipHost(path);
      returns.push(performance.now() - before);
    }
  } finally {
    host[Symbol.dispose]();
  }
  return [
    ...makeMeasures("its connection ends", ends),
    ...makeMeasures("attached again", returns),
  ];
}

function makeMeasures(what: string, times: number[]): Measure[] {
  times.sort((a, b) => a - b);
  return [["p50", 0.5] as const, ["max", 1] as const].map(([name, q]) => ({
    name: `kernel chip, relay killed: ${what}, ${name}`,
    value: quantile(times, q),
    unit: "ms",
    ...(name === "max" ? {} : {
      note:
        `of ${times.length}, from the SIGKILL on, by a process that is started ` +
        "at once: a kernel takes the chip away after the end of the connection, " +
        "and makes one some 0.5 s after it is attached",
    }),
  }));
}
