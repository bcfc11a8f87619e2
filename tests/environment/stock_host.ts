/**
 * A machine with Debian's own kernel that gpioagg runs on: this machine's files,
 * read-only, below a QEMU guest's kernel, or a copy of those that gpioagg needs.
 *
 * @module
 */
import { artefact, REPOSITORY } from "./environment.ts";
import type { ExecOptions, ExecResult, GuestSession } from "./guest_session.ts";
import { HOST_FILES, withHostFiles } from "./host_files.ts";
import { bootQemuGuest } from "./qemu_guest.ts";
import { cacheProgram } from "./uml_host.ts";

/**
 * Top of the files that gpioagg sees, as the shell of the machine has it; what it
 * writes stays in memory.
 */
export const HOST_ROOT = "/tmp/host";
const ROOT = HOST_ROOT;
/** The runtime and its compiled modules, under emulation. */
const MEMORY_MIB = 1536;
const PROGRAM_LIMIT_MS = 240_000;
/** Its initial file system is large. */
const BOOT_LIMIT_MS = 300_000;

/** A running machine. */
export interface StockHost extends GuestSession {
  /** Runs gpioagg with arguments, as a shell takes them, and waits for its end. */
  gpioagg(args: string, options?: ExecOptions): Promise<ExecResult>;
  /** Starts gpioagg, with its output in a file; its process id. */
  start(args: string, output: string, how?: StartOptions): Promise<number>;
  /**
   * Runs one of the further programs of the checkout, with the permissions of
   * tests, and waits for its end. Its temporary files are in memory.
   *
   * @param module Its path in the checkout.
   * @param args Its arguments, as a shell takes them.
   */
  program(
    module: string,
    args: string,
    options?: ExecOptions,
  ): Promise<ExecResult>;
}

/** Options of a start. */
export interface StartOptions {
  /** User id that it has, with a runtime directory; default: root. */
  readonly uid?: number;
  /** Redirections of the shell, which is root's: `9>FILE`. */
  readonly redirections?: string;
}

/** Options of a machine. */
export interface StockHostOptions {
  /** Socket of a PCI card, whose chips the machine has (QEMU 11). */
  readonly vfioUser?: string;
  /**
   * Set if it has its files in memory, where they survive that it is suspended;
   * of this machine's it has gpioagg's alone, and no `setpriv`.
   */
  readonly inMemory?: boolean;
  /** Further programs of the checkout that it runs; not with `inMemory`. */
  readonly programs?: readonly string[];
  /** Further arguments of QEMU. */
  readonly arguments?: readonly string[];
}

/**
 * Boots the machine, with the kernel's virtual USB host controllers.
 *
 * @throws {Error} If it does not come up.
 */
export async function bootStockHost(
  kernel: "bookworm" | "trixie",
  {
    vfioUser,
    inMemory = false,
    programs = [],
    arguments: more = [],
  }: StockHostOptions = {},
): Promise<StockHost> {
  await cacheProgram(programs);
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-host-" });
  let session: GuestSession;
  try {
    session = await bootQemuGuest({
      qemu: vfioUser === undefined ? "new" : "newest",
      kernel,
      memoryMiB: MEMORY_MIB,
      bootTimeoutMs: BOOT_LIMIT_MS,
      arguments: [
        ...["-smp", "2"],
        ...inMemory
          ? ["-initrd", await initialFiles(directory, kernel)]
          : THIS_MACHINE,
        ...vfioUser === undefined ? [] : ["-device", vfioUserDevice(vfioUser)],
        ...more,
      ],
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  try {
    await session.run(LOAD_MODULES + (inMemory ? SHOW_MEMORY : SHOW_MACHINE), {
      timeoutMs: BOOT_LIMIT_MS,
    });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  const words = environment();
  const deno = await artefact("deno");
  const runProgram = (module: string, permissions: string) =>
    `'${deno}' run -q --no-check --cached-only -P=${permissions} ` +
    `--config '${REPOSITORY}/deno.json' '${REPOSITORY}/${module}'`;
  const program = runProgram("src/cli/main.ts", "gpioagg");
  const gpioaggCommand = (uid?: number) =>
    `chroot ${ROOT} /usr/bin/env -i ${words} ` +
    (uid === undefined ? "" : `XDG_RUNTIME_DIR=/run/user-${uid} ` +
      `/usr/bin/setpriv --reuid ${uid} --regid ${uid} --clear-groups `) +
    program;
  // What its hook for the host's sleep calls.
  await session.run(
    `cat >${ROOT}/usr/bin/gpioagg <<'END'
#!/bin/sh
exec /usr/bin/env -i ${words} ${program} "$@"
END
     chmod 755 ${ROOT}/usr/bin/gpioagg`,
  );
  return Object.assign(session, {
    gpioagg: (args: string, options: ExecOptions = {}) =>
      session.exec(`${gpioaggCommand()} ${args}`, {
        timeoutMs: PROGRAM_LIMIT_MS,
        ...options,
      }),
    program: (module: string, args: string, options: ExecOptions = {}) =>
      session.exec(
        `chroot ${ROOT} /usr/bin/env -i ${words} TMPDIR=/run ` +
          `${runProgram(module, "unit")} ${args}`,
        { timeoutMs: PROGRAM_LIMIT_MS, ...options },
      ),
    start: async (
      args: string,
      output: string,
      { uid, redirections = "" }: StartOptions = {},
    ) => {
      if (uid !== undefined) {
        // The runtime and the compiled modules may be in root's home.
        await session.run(
          `directory=${ROOT}/run/user-${uid} &&
           chmod 755 ${ROOT}/root && mkdir $directory &&
           chmod 700 $directory && chown ${uid} $directory`,
        );
      }
      return Number(
        await session.run(
          `${gpioaggCommand(uid)} ${args} ${redirections} ` +
            `>${output} 2>&1 </dev/null & echo $!`,
        ),
      );
    },
  });
}

/** An initial file system with gpioagg's files. */
async function initialFiles(
  directory: string,
  kernel: "bookworm" | "trixie",
): Promise<string> {
  const stock = await artefact(
    kernel === "trixie" ? "stockTrixie" : "stockBookworm",
  );
  return await withHostFiles(
    directory,
    `${stock}/initrd.gz`,
    denoCache(),
    await findUdevd(kernel),
  );
}

/** Returns the path of the release's udev daemon in a machine with inMemory. */
export function findUdevd(kernel: "bookworm" | "trixie"): Promise<string> {
  return artefact(kernel === "trixie" ? "udevdTrixie" : "udevd");
}

function vfioUserDevice(path: string): string {
  return JSON.stringify({
    driver: "vfio-user-pci",
    socket: { type: "unix", path },
  });
}

const THIS_MACHINE = [
  "-virtfs",
  "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
];

const LOAD_MODULES = `
  while read -r module; do
    insmod /lib/modules/$module.ko || exit
  done </lib/modules/order.host
  mkdir ${ROOT}`;

const SHOW_KERNEL = `
  for directory in proc sys dev; do
    mount -o bind /$directory ${ROOT}/$directory || exit
  done &&
  mount -t tmpfs -o mode=755 none ${ROOT}/run`;

/** Puts this machine's files below a writable layer. */
const SHOW_MACHINE = `
  mkdir /tmp/lower /tmp/above /tmp/work
  mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 \\
    host /tmp/lower &&
  mount -t tmpfs none /tmp/above &&
  mkdir /tmp/above/files /tmp/above/work &&
  mount -t overlay \\
    -o lowerdir=/tmp/lower,upperdir=/tmp/above/files,workdir=/tmp/above/work \\
    none ${ROOT} &&${SHOW_KERNEL}`;

const SHOW_MEMORY = `
  mount -o bind ${HOST_FILES} ${ROOT} &&${SHOW_KERNEL}`;

function denoCache(): string {
  const home = Deno.env.get("HOME") ?? "/root";
  return Deno.env.get("DENO_DIR") ?? `${home}/.cache/deno`;
}

/** Variables of gpioagg, as words of a shell. */
function environment(): string {
  const variables = {
    HOME: Deno.env.get("HOME") ?? "/root",
    PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
    DENO_DIR: denoCache(),
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
  return Object.entries(variables).map(([name, value]) => `'${name}=${value}'`)
    .join(" ");
}
