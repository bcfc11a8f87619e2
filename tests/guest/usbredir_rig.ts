/**
 * Guests with Debian's own kernels and GPIO adapters on USB.
 *
 * @module
 */
import { noteTime } from "../environment/figures.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import { bootQemuGuest } from "../environment/qemu_guest.ts";
import type { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";

/** Options of a guest. */
export interface UsbGuestOptions {
  readonly kernel: "bookworm" | "trixie";
  readonly qemu: "old" | "new" | "newest";
  /** Sockets of its adapters, in order. */
  readonly sockets: readonly string[];
  /** QEMU listens at the sockets. Default: it connects, again and again. */
  readonly listens?: boolean;
  /** It goes on with the state of another one. Default: it boots. */
  readonly isRestored?: boolean;
  /** Further arguments of QEMU. */
  readonly arguments?: readonly string[];
  /** Limit of its start, in milliseconds. Default: 300 s. */
  readonly bootTimeoutMs?: number;
}

/**
 * Boots a guest, and waits until it has a chip for each adapter; one that is
 * restored is only started.
 */
export async function bootUsbGuest(
  {
    kernel,
    qemu,
    sockets,
    listens = false,
    isRestored = false,
    arguments: more = [],
    bootTimeoutMs = 300_000,
  }: UsbGuestOptions,
): Promise<GuestSession> {
  const how = listens
    ? "server=on,wait=off"
    : qemu === "old"
    ? "reconnect=1"
    : "reconnect-ms=500";
  const guest = await bootQemuGuest({
    qemu,
    kernel,
    memoryMiB: 256,
    isRestored,
    bootTimeoutMs,
    arguments: [
      ...["-device", "qemu-xhci"],
      ...sockets.flatMap((path, i) => [
        "-chardev",
        `socket,id=usb${i},path=${path},${how}`,
        ...["-device", `usb-redir,chardev=usb${i}`],
      ]),
      ...more,
    ],
  });
  try {
    // One that is restored may not run yet.
    if (!isRestored) await untilChips(guest, sockets.length);
    return guest;
  } catch (error) {
    await guest[Symbol.asyncDispose]();
    throw error;
  }
}

/** Waits until the guest has so many chips; what gpiodetect says of them. */
export async function untilChips(
  guest: GuestSession,
  count: number,
): Promise<string[]> {
  let chips: string[] = [];
  await until(`${count} chips in the guest`, async () => {
    const { output } = await guest.exec("gpiodetect");
    chips = output.split("\n").filter((line) => line.startsWith("gpiochip"));
    return chips.length === count;
  }, 60_000);
  return chips;
}

/**
 * Kills gpioagg (SIGKILL), starts it again without what it had, and waits until
 * the guest drives line `simOFFSET` to 1 by its only chip. Notes which part of
 * the time is gpioagg's, QEMU's and the guest's.
 */
export async function untilBack(
  service: Service,
  guest: GuestSession,
  offset: number,
): Promise<void> {
  let since = performance.now();
  const note = (part: string) => {
    const now = performance.now();
    noteTime(`a killed gpioagg and its guest's chip, ${part}`, now - since);
    since = now;
  };
  await service.crash();
  note("until gpioagg is ready again");
  await service.process.waitFor('"event":"connected"', {
    timeoutMs: 120_000,
  });
  note("until QEMU has connected");
  await service.process.waitFor('"event":"started"', { timeoutMs: 120_000 });
  note("until the guest's kernel uses the adapter");
  await until("the chip is back", async () => {
    await guest.exec(
      `gpioset -t 0 -c $(gpiodetect | cut -d' ' -f1) ${offset}=1`,
    );
    return (await service.lines("plc0"))[`sim${offset}`]?.value === 1;
  }, 120_000);
  note("until a program in the guest drives a line");
}

/** Starts `gpiomon` in the guest, and waits until it is ready. */
export async function monitor(
  guest: GuestSession,
  what: string,
): Promise<void> {
  await guest.run(
    `: >/tmp/events; gpiomon --banner -F 'event %E' ${what} >/tmp/events 2>&1 &`,
  );
  await until(
    "gpiomon is ready",
    async () => (await guest.run("cat /tmp/events")).includes("Monitoring"),
  );
}

/** Waits until `gpiomon` has seen so many events. */
export async function events(
  guest: GuestSession,
  count: number,
): Promise<string[]> {
  let seen: string[] = [];
  await until(`${count} events`, async () => {
    const text = await guest.run("cat /tmp/events");
    seen = text.split("\n").filter((line) => line.startsWith("event"));
    return seen.length >= count;
  }, 120_000);
  return seen.map((line) => line.split(" ")[1]!);
}
