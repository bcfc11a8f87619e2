/**
 * A chip of this machine's own kernel, which it makes of a USB adapter of
 * gpioagg's, beside virtio-gpio: needs root and the module vhci-hcd.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { listChips, openChip } from "../../src/gpio/mod.ts";
import type { UsbDeviceName } from "../../src/config/values/values.ts";
import type { Effort } from "./effort.ts";
import { measureInTurns } from "./exposures.ts";
import { VirtioGuest } from "./guests.ts";
import { KernelChipGuest } from "./kernel_chip_guest.ts";
import type { Measure } from "./report.ts";
import { Server, type ServerCommand } from "./server.ts";

/** Adapters; the labels of the chips that drivers make of them have `label`. */
const ADAPTERS: Readonly<
  Record<UsbDeviceName, { name: string; label: string }>
> = {
  ljca: { name: "LJCA", label: "ljca-gpio" },
  cp2112: { name: "CP2112", label: "cp2112_gpio" },
};

/** A start under emulation, with an adapter's driver. **Units**: milliseconds. */
const START_LIMIT_MS = 240_000;

/** Returns true if a text names an adapter. */
export function isAdapter(device: string): device is UsbDeviceName {
  return Object.hasOwn(ADAPTERS, device);
}

/**
 * Measures both directions of a kernel chip: from a program that has its lines to
 * a guest with virtio-gpio, and back; virtio-gpio to virtio-gpio is the floor.
 *
 * @throws {Error} If the kernel makes no chip.
 */
export async function measureKernelChip(
  command: ServerCommand,
  directory: string,
  effort: Effort,
  device: UsbDeviceName,
): Promise<Measure[]> {
  const adapter = ADAPTERS[device];
  await using stack = new AsyncDisposableStack();
  const floorPath = `${directory}/floor.sock`;
  const peerPath = `${directory}/peer.sock`;
  const config = `${directory}/kernel-chip.yaml`;
  await Deno.writeTextFile(
    config,
    wiredConfig(peerPath, {
      floor: { "vhost-user": floorPath },
      chip: { "kernel-chip": { interface: "usb", device } },
    }),
  );
  const before = new Set(listChips());
  stack.use(
    await Server.run(
      command,
      ["--config", config],
      [],
      // Nothing is asked meanwhile: a driver waits 20 ms for an LJCA's answer.
      (process) =>
        process.waitFor("chip: serving", {
          stream: "stderr",
          timeoutMs: START_LIMIT_MS,
        }),
    ),
  );
  const path = listChips().find((each) =>
    !before.has(each) && readLabel(each).includes(adapter.label)
  );
  if (path === undefined) throw new Error(`no chip is a ${adapter.label}`);
  const peer = stack.use(new VirtioGuest(peerPath, 2));
  const floor = stack.use(new VirtioGuest(floorPath));
  const guest = stack.use(new KernelChipGuest(path));
  const release = readSmallFile("/proc/sys/kernel/osrelease") ?? "";
  const name = `kernel chip, ${adapter.name}, ${shortVersion(release)}`;
  const measures = measureInTurns(
    ["virtio-gpio", name],
    [floor, guest],
    peer,
    effort,
  );
  return measures.filter((one) => one.name.startsWith(name)).map((one) =>
    one.name !== `${name}: set p50` ? one : { ...one, note: NOTE }
  );
}

const NOTE =
  "a program with lines of a chip of this kernel (interface: usb): " +
  "set is from its ioctl to the interrupt of a guest with virtio-gpio that is a " +
  "double, event from that guest's request to an event that the program has " +
  "read, get its ioctl; floor: the same from virtio-gpio in the same machine";

/** The version of a kernel without what a distribution adds: `6.12`. */
export function shortVersion(release: string): string {
  return /^\d+\.\d+/.exec(release)?.[0] ?? release.trim();
}

/**
 * Configuration file with aggregators that each have an output OUT and an input
 * IN, wired to one with virtio-gpio: first the lines that it drives, then as many
 * that it reads.
 *
 * @param peer Socket of that one.
 * @param exposures Presentation of each of the others, by its name.
 */
export function wiredConfig(
  peer: string,
  exposures: Readonly<Record<string, object>>,
): string {
  const names = Object.keys(exposures);
  const own = Object.entries(exposures).map(([name, exposure], i) => [
    name,
    {
      ...exposure,
      lines: [{ sim: 1, as: "OUT" }, { wire: `peer.OUT${i}`, as: "IN" }],
    },
  ]);
  return JSON.stringify({
    aggregators: {
      ...Object.fromEntries(own),
      peer: {
        "vhost-user": peer,
        lines: [
          ...names.map((_, i) => ({ sim: 1, as: `OUT${i}` })),
          ...names.map((name, i) => ({ wire: `${name}.OUT`, as: `IN${i}` })),
        ],
      },
    },
  });
}

/** Label of a chip; empty: it is gone, or cannot be opened yet. */
function readLabel(path: string): string {
  try {
    using chip = openChip(path);
    return chip.label;
  } catch {
    return "";
  }
}
