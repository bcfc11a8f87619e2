/**
 * QEMU guests that go while their VMM stays, and VMMs that are set up so that
 * nothing works: what happens to the lines, and what is said.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { receive, send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { EdgeMonitor } from "../environment/edge_monitor.ts";
import { mustSkip } from "../environment/environment.ts";
import type { GuestSession } from "../environment/guest_session.ts";
import {
  bootQemuGuest,
  KEXEC,
  type QemuGuestOptions,
} from "../environment/qemu_guest.ts";
import { Service } from "../environment/service.ts";
import { until } from "../environment/wait.ts";

const ignore = await mustSkip(
  "qemuOld",
  "qemuNew",
  "guestKernel",
  "guestDriver",
  "initramfs",
  "deno",
);

const LINES = ["sim/1,as=LAMP,safe=0", "sim/1,as=BUTTON"];
/** A guest that counts as gone does so within 3 s; the rest is for slow hosts. */
const GONE_LIMIT_MS = 120_000;

/** Says one thing to a QEMU monitor, waits until it is done, returns the answer. */
async function tellMonitor(path: string, words: string): Promise<string> {
  using monitor = connectUnix(path);
  const piece = new Uint8Array(4096);
  let text = "";
  const prompts = (count: number) =>
    until(`prompt ${count} of the monitor`, () => {
      const length = receive(monitor.fd, piece, []);
      if (length > 0) {
        text += new TextDecoder().decode(piece.subarray(0, length));
      }
      return text.split("(qemu)").length > count;
    });
  await prompts(1);
  send(monitor.fd, new TextEncoder().encode(`${words}\n`));
  await prompts(2);
  return text;
}

const valueOf = async (service: Service, line: string) =>
  (await service.lines("plc0"))[line]?.value;

/** Returns the service's reports about guests, in order. */
function told(service: Service): string[] {
  return [...service.process.stdout.matchAll(/"event":"(\w+)"/g)]
    .map(([, event]) => event!)
    .filter((event) => /^(started|stopped|gone|disconnected)$/.test(event));
}

/** A booted guest that has switched the lamp on. */
async function withLamp(
  options: Omit<QemuGuestOptions, "sockets">,
  use: (it: {
    service: Service;
    guest: GuestSession;
    tell: (words: string) => Promise<string>;
  }) => Promise<void>,
): Promise<void> {
  await using service = await Service.start({ plc0: LINES });
  const directory = await Deno.makeTempDir();
  const monitor = `${directory}/monitor`;
  try {
    await using guest = await bootQemuGuest({
      ...options,
      sockets: [service.socket("plc0")],
      arguments: [
        "-monitor",
        `unix:${monitor},server=on,wait=off`,
        "-action",
        "reboot=reset",
        ...options.arguments ?? [],
      ],
    });
    await guest.run("gpioset LAMP=1 >/dev/null 2>&1 &");
    await until(
      "the lamp",
      async () => await valueOf(service, "LAMP") === 1,
    );
    await use({ service, guest, tell: (words) => tellMonitor(monitor, words) });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const ENDS: Record<
  string,
  (
    it: { guest: GuestSession; tell: (words: string) => Promise<string> },
  ) => unknown
> = {
  "is reset": ({ tell }) => tell("system_reset"),
  "says reboot -f": ({ guest }) => guest.sendLast("reboot -f"),
  // By a non-maskable interrupt; it reboots at once (panic=-1).
  "panics": ({ tell }) => tell("nmi"),
  // The reset is that of the bus: nothing of the machine is.
  "starts another kernel": ({ guest }) => guest.sendLast(KEXEC),
  // The kernel removes no module in use: the lamp's process has to end, and the
  // line keeps its value.
  "removes its driver": ({ guest }) =>
    guest.run(
      "killall gpioset; until rmmod gpio_virtio 2>/dev/null; do sleep 0.1; done",
    ),
  "unbinds its driver": ({ guest }) =>
    guest.run("echo virtio0 >/sys/bus/virtio/drivers/gpio_virtio/unbind"),
};

/** Commands that bring the driver back, in the same kernel. */
const BACK: Readonly<Record<string, string>> = {
  "removes its driver": "insmod /lib/modules/gpio-virtio.ko",
  "unbinds its driver":
    "echo virtio0 >/sys/bus/virtio/drivers/gpio_virtio/bind",
};

/** First words of a guest's command loop. */
const READY = "\x1eready\x1e";

/** Switches the lamp on by a command of the next kernel's session. */
async function useAgain(
  { process }: GuestSession,
  service: Service,
): Promise<void> {
  const from = process.stdout.indexOf(READY) + READY.length;
  await process.waitFor(READY, { from, timeoutMs: 120_000 });
  await process.write("again ! gpioset -t 0 LAMP=1\n");
  await process.waitFor("\x1eagain 0", { timeoutMs: 60_000 });
  assertEquals(await valueOf(service, "LAMP"), 1);
}

for (const qemu of ["old", "new"] as const) {
  for (const [what, end] of Object.entries(ENDS)) {
    Deno.test({
      name: `QEMU guest (${qemu}): a guest that ${what} is gone, though its ` +
        "VMM is not",
      ignore,
      fn: () =>
        withLamp({
          qemu,
          kernelArguments: ["unknown_nmi_panic"],
          kexec: what === "starts another kernel",
          driverModule: what === "removes its driver",
        }, async ({ service, guest, tell }) => {
          await end({ guest, tell });
          await until(
            "the lamp's safe value",
            async () => await valueOf(service, "LAMP") === 0,
            GONE_LIMIT_MS,
          );
          await service.process.waitFor('"event":"gone"');
          assertEquals(told(service).slice(0, 3), [
            "started",
            "stopped",
            "gone",
          ]);
          if (what === "starts another kernel") await useAgain(guest, service);
          const back = BACK[what];
          if (back === undefined) return;
          await guest.run(back);
          await guest.run("gpioset -t 0 LAMP=1");
          assertEquals(await valueOf(service, "LAMP"), 1);
        }),
    });
  }
}

Deno.test({
  name: "QEMU guest (new): a guest that goes on after a long pause works on, " +
    "and its outputs wait for it",
  ignore,
  fn: () =>
    withLamp({ qemu: "new" }, async ({ service, guest, tell }) => {
      const monitor = await EdgeMonitor.start(guest, "BUTTON");
      await tell("stop");
      await service.process.waitFor('"event":"gone"', {
        timeoutMs: GONE_LIMIT_MS,
      });
      assertStringIncludes(service.process.stdout, "within 3 s (paused-for)");
      assertEquals(await valueOf(service, "LAMP"), 0);
      await tell("cont");
      await service.process.waitFor("counted as gone: its lines stay");
      assertEquals(await valueOf(service, "LAMP"), 0);
      await service.pull("plc0", "BUTTON=1");
      assertEquals(await monitor.seen(1), ["rising"]);
      await guest.run("killall gpioset; gpioset -t 0 LAMP=1");
      assertEquals(await valueOf(service, "LAMP"), 1);
    }),
});

/** The number of a PCI capability's first byte in a configuration space. */
function capability(config: readonly number[], id: number): number {
  for (let at = config[0x34]!; at !== 0; at = config[at + 1]!) {
    if (config[at] === id) return at;
  }
  throw new Error(`there is no capability ${id}`);
}

const PCI_EXPRESS = 0x10;
const SLOT_CONTROL = 0x18;
/** Slot control: power and its indicator on, and off. */
const SLOT_ON = "\\000\\001";
const SLOT_OFF = "\\000\\007";

Deno.test({
  name: "QEMU guest (new): a device that is added where one was removed works",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: LINES });
    const directory = await Deno.makeTempDir();
    const monitor = `${directory}/monitor`;
    const tell = (words: string) => tellMonitor(monitor, words);
    try {
      await using guest = await bootQemuGuest({
        qemu: "new",
        arguments: [
          "-monitor",
          `unix:${monitor},server=on,wait=off`,
          // The slot's own hot-plug, which needs no ACPI driver in the guest.
          "-global",
          "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off",
          "-device",
          "pcie-root-port,id=rp0,chassis=1,slot=1,addr=1",
          "-chardev",
          `socket,path=${service.socket("plc0")},id=cv`,
        ],
      });
      const port = "/sys/bus/pci/devices/0000:00:01.0/config";
      const dump = await guest.run(`od -An -v -tu1 ${port}`);
      const config = dump.trim().split(/\s+/).map(Number);
      const slot = capability(config, PCI_EXPRESS) + SLOT_CONTROL;
      // What a hot-plug driver does, which this guest does not have.
      const setSlot = (value: string) =>
        guest.run(
          `printf '${value}' | dd of=${port} bs=2 seek=${
            slot / 2
          } conv=notrunc`,
        );
      for (let round = 0; round < 2; round++) {
        await tell("device_add vhost-user-gpio-pci,chardev=cv,id=g0,bus=rp0");
        await setSlot(SLOT_ON);
        await guest.run("echo 1 >/sys/bus/pci/rescan");
        await guest.run("gpioset LAMP=1 >/dev/null 2>&1 &");
        await until(
          `the lamp, round ${round}`,
          async () => await valueOf(service, "LAMP") === 1,
        );
        await tell("device_del g0");
        await guest.run("echo 1 >/sys/bus/pci/devices/0000:01:00.0/remove");
        await setSlot(SLOT_OFF);
        await until(
          "the device's end",
          async () => !(await tell("info pci")).includes('"g0"'),
        );
        await until(
          "the lamp's safe value",
          async () => await valueOf(service, "LAMP") === 0,
          GONE_LIMIT_MS,
        );
      }
      assert(!told(service).includes("disconnected"));
      assert(!service.process.stdout.includes('"event":"fault"'));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
});

/** Returns the report of a guest that cannot be served. */
async function waitForFault(options: QemuGuestOptions): Promise<string> {
  await using service = await Service.start({ plc0: LINES });
  const end = new AbortController();
  const guest = bootQemuGuest({
    ...options,
    sockets: [service.socket("plc0")],
    signal: end.signal,
  }).then(
    (session) => session[Symbol.asyncDispose](),
    // It hangs in its driver.
    () => {},
  );
  try {
    const [fault] = await service.process.waitFor(/{.*"event":"fault".*}/, {
      timeoutMs: 60_000,
    });
    return fault;
  } finally {
    end.abort();
    await guest;
  }
}

for (
  const [memoryBackend, text] of [
    ["memory-backend-ram", "shares no memory with gpioagg"],
    ["memory-backend-file,mem-path=/dev/shm,share=off", "mapped privately"],
  ] as const
) {
  Deno.test({
    name: `QEMU guest (new): with ${memoryBackend} a line says what to do`,
    ignore,
    fn: async () => {
      const fault = await waitForFault({ qemu: "new", memoryBackend });
      assertStringIncludes(fault, text);
      assertStringIncludes(fault, "share=on");
    },
  });
}

Deno.test({
  name: "QEMU guest (old): the option is named that cannot be served",
  ignore,
  fn: async () => {
    const fault = await waitForFault({
      qemu: "old",
      arguments: ["-global", "vhost-user-gpio-pci.packed=on"],
    });
    assertStringIncludes(fault, "packed=on");
  },
});

Deno.test({
  name: "QEMU guest (old): with reconnect=1 a guest is served again after a " +
    "crash of the service",
  ignore,
  fn: async () => {
    await using service = await Service.start({ plc0: LINES });
    await using guest = await bootQemuGuest({
      qemu: "old",
      arguments: [
        "-chardev",
        `socket,path=${service.socket("plc0")},id=cv,reconnect=1`,
        "-device",
        "vhost-user-gpio-pci,chardev=cv",
      ],
    });
    await guest.run("gpioset -t 0 LAMP=1");
    await service.crash();
    await service.process.waitFor('"event":"started"', { timeoutMs: 120_000 });
    await guest.run("gpioset -t 0 LAMP=0 && gpioset -t 0 LAMP=1");
    assertEquals(await valueOf(service, "LAMP"), 1);
  },
});
