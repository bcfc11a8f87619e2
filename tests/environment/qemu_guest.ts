/**
 * QEMU as the VMM, with a small x86-64 guest.
 *
 * @module
 */
import { artefact } from "./environment.ts";
import { CommandSession, type GuestSession } from "./guest_session.ts";
import { NO_BUILT_IN_DRIVER, withDriverModule } from "./initramfs.ts";
import { withKexec } from "./kexec.ts";
import { ChildProcess } from "./process.ts";

export { KEXEC } from "./kexec.ts";

/** Debian's own kernels. */
export type StockKernel = keyof typeof STOCK_KERNELS;

const STOCK_KERNELS = {
  bookworm: "stockBookworm",
  trixie: "stockTrixie",
  backports: "stockBackports",
} as const;

/** Options of a QEMU guest. */
export interface QemuGuestOptions {
  /**
   * Which QEMU: "old" is 7.2, which never offers a guest GPIO interrupts;
   * "new" is 10, which does; "newest" is 11, which has vfio-user.
   */
  readonly qemu: "old" | "new" | "newest";
  /**
   * Which kernel: the small one of the tests, which has virtio-gpio, or the
   * stock kernel of a Debian release; "backports" is trixie's of its backports.
   * Default: the small one.
   */
  readonly kernel?: StockKernel;
  /** The vhost-user sockets of its GPIO controllers, in order. */
  readonly sockets?: readonly string[];
  /** Its memory in MiB. Default: 128. */
  readonly memoryMiB?: number;
  /**
   * Its memory backend, with options but for id and size. Default: one that is
   * shared, `memory-backend-memfd,share=on`.
   */
  readonly memoryBackend?: string;
  /** Further arguments of QEMU. */
  readonly arguments?: readonly string[];
  /**
   * Set if it goes on with the state of another guest, which the further
   * arguments say: nothing is waited for.
   */
  readonly isRestored?: boolean;
  /** Further words of the guest kernel's command line. */
  readonly kernelArguments?: readonly string[];
  /** A command, with arguments, that runs QEMU. */
  readonly prefix?: readonly string[];
  /** Set if the guest can start its kernel anew by {@linkcode KEXEC}. */
  readonly kexec?: boolean;
  /**
   * Set if the driver of virtio-gpio is a module, which the guest loads when it
   * boots, so that `rmmod gpio_virtio` removes it. Only of the small kernel.
   */
  readonly driverModule?: boolean;
  /** Ends a guest that does not come up. */
  readonly signal?: AbortSignal;
  /** Limit of its start, in milliseconds. Default: 240 s. */
  readonly bootTimeoutMs?: number;
}

/**
 * Boots a QEMU guest and waits until it takes commands: busybox and libgpiod's
 * tools. Works inside User-Mode Linux too.
 *
 * The guest ends QEMU when it powers off or reboots.
 *
 * @throws {Error} when something is not built, or the guest does not come up
 * within the limit, with QEMU's and the kernel's messages.
 */
export async function bootQemuGuest(
  options: QemuGuestOptions,
): Promise<GuestSession> {
  const qemu = await artefact(QEMUS[options.qemu]);
  const { kernel, initramfs } = await guestFiles(options.kernel);
  const commandLine = [
    KERNEL_ARGUMENTS,
    ...options.driverModule ? [NO_BUILT_IN_DRIVER] : [],
    ...options.kernelArguments ?? [],
  ].join(" ");
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-qemu-" });
  const cleanUp = () => Deno.remove(directory, { recursive: true });
  const log = `${directory}/kernel-log`;
  const memory = options.memoryMiB ?? 128;
  const devices = (options.sockets ?? []).flatMap((socket, index) => [
    "-chardev",
    `socket,path=${socket.replaceAll(",", ",,")},id=vhost${index}`,
    "-device",
    `vhost-user-gpio-pci,chardev=vhost${index}`,
  ]);
  const [command, ...args] = [...options.prefix ?? [], qemu];
  try {
    const process = new ChildProcess({
      command: command!,
      args: [
        ...args,
        "-accel",
        "tcg",
        "-M",
        "q35",
        "-m",
        String(memory),
        "-nodefaults",
        "-display",
        "none",
        "-no-reboot",
        "-kernel",
        kernel,
        "-initrd",
        options.kexec
          ? await withKexec(directory, kernel, initramfs, commandLine)
          : options.driverModule
          ? await withDriverModule(directory, initramfs)
          : initramfs,
        "-append",
        commandLine,
        // Shared memory: the backend maps it.
        "-object",
        `${
          options.memoryBackend ?? "memory-backend-memfd,share=on"
        },id=memory,size=${memory}M`,
        "-numa",
        "node,memdev=memory",
        // The kernel's messages, apart from the commands' output.
        "-chardev",
        `file,id=log,path=${log}`,
        "-serial",
        "chardev:log",
        "-chardev",
        "stdio,id=session,signal=off",
        "-serial",
        "chardev:session",
        ...devices,
        ...options.arguments ?? [],
      ],
      input: true,
    });
    options.signal?.addEventListener("abort", () => process.kill("SIGKILL"));
    return await CommandSession.open(process, {
      bootTimeoutMs: options.bootTimeoutMs ?? 240_000,
      isUp: options.isRestored === true,
      log: () => readLog(log),
      dispose: cleanUp,
    });
  } catch (error) {
    await cleanUp().catch(() => {});
    throw error;
  }
}

/**
 * Words for every guest kernel. On a busy machine its check of the timer finds no
 * tick within ten of its ticks, and it panics ("IO-APIC + timer doesn't work"):
 * `no_timer_check`. The others are time: a stock kernel boots with a fifth less.
 */
const KERNEL_ARGUMENTS =
  "console=ttyS0 quiet panic=-1 no_timer_check nokaslr " +
  "mitigations=off random.trust_cpu=on cryptomgr.notests";

const QEMUS = {
  old: "qemuOld",
  new: "qemuNew",
  newest: "qemuNewest",
} as const;

async function guestFiles(release: QemuGuestOptions["kernel"]) {
  if (release === undefined) {
    return {
      kernel: await artefact("guestKernel"),
      initramfs: await artefact("initramfs"),
    };
  }
  const directory = await artefact(STOCK_KERNELS[release]);
  return {
    kernel: `${directory}/vmlinuz`,
    initramfs: `${directory}/initrd.gz`,
  };
}

function readLog(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    // QEMU did not get as far as making it.
    return "";
  }
}
