/**
 * A machine with Debian's own kernel that gpioagg runs on: this machine's files,
 * read-only, below a QEMU guest's kernel.
 *
 * @module
 */
import { artefact, REPOSITORY } from "./environment.ts";
import type { ExecOptions, ExecResult, GuestSession } from "./guest_session.ts";
import { bootQemuGuest } from "./qemu_guest.ts";
import { cacheProgram } from "./uml_host.ts";

/** Top of the files that gpioagg sees; what it writes stays in memory. */
const ROOT = "/tmp/host";
/** The runtime and its compiled modules, under emulation. */
const MEMORY_MIB = 1536;
const PROGRAM_LIMIT_MS = 90_000;

/** A running machine. */
export interface StockHost extends GuestSession {
  /** Runs gpioagg with arguments, as a shell takes them, and waits for its end. */
  gpioagg(args: string, options?: ExecOptions): Promise<ExecResult>;
  /** Starts gpioagg, with its output in a file; its process id. */
  start(args: string, output: string, how?: StartOptions): Promise<number>;
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
}

/**
 * Boots the machine, with the kernel's virtual USB host controllers.
 *
 * @throws {Error} If it does not come up.
 */
export async function bootStockHost(
  kernel: "bookworm" | "trixie",
  { vfioUser }: StockHostOptions = {},
): Promise<StockHost> {
  await cacheProgram();
  const session = await bootQemuGuest({
    qemu: vfioUser === undefined ? "new" : "newest",
    kernel,
    memoryMiB: MEMORY_MIB,
    arguments: [
      "-smp",
      "2",
      "-virtfs",
      "local,path=/,mount_tag=host,security_model=none,readonly=on," +
      "multidevs=remap",
      ...vfioUser === undefined ? [] : ["-device", vfioUserDevice(vfioUser)],
    ],
  });
  try {
    await session.run(SET_UP, { timeoutMs: PROGRAM_LIMIT_MS });
  } catch (error) {
    await session[Symbol.asyncDispose]();
    throw error;
  }
  const words = await environment();
  const program = `'${await artefact("deno")}' run -q --no-check ` +
    `--cached-only -P=gpioagg --config '${REPOSITORY}/deno.json' ` +
    `'${REPOSITORY}/src/cli/main.ts'`;
  const commandOf = (uid?: number) =>
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
      session.exec(`${commandOf()} ${args}`, {
        timeoutMs: PROGRAM_LIMIT_MS,
        ...options,
      }),
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
          `${commandOf(uid)} ${args} ${redirections} ` +
            `>${output} 2>&1 </dev/null & echo $!`,
        ),
      );
    },
  });
}

function vfioUserDevice(path: string): string {
  return JSON.stringify({
    driver: "vfio-user-pci",
    socket: { type: "unix", path },
  });
}

/** Loads the modules, and puts this machine's files below a writable layer. */
const SET_UP = `
  while read -r module; do
    insmod /lib/modules/$module.ko || exit
  done </lib/modules/order.host
  mkdir /tmp/lower /tmp/above /tmp/work ${ROOT}
  mount -t 9p -o ro,trans=virtio,version=9p2000.L,cache=loose,msize=262144 \\
    host /tmp/lower &&
  mount -t tmpfs none /tmp/above &&
  mkdir /tmp/above/files /tmp/above/work &&
  mount -t overlay \\
    -o lowerdir=/tmp/lower,upperdir=/tmp/above/files,workdir=/tmp/above/work \\
    none ${ROOT} &&
  for directory in proc sys dev; do
    mount -o bind /$directory ${ROOT}/$directory || exit
  done &&
  mount -t tmpfs -o mode=755 none ${ROOT}/run`;

async function environment(): Promise<string> {
  const home = Deno.env.get("HOME") ?? "/root";
  const variables = {
    HOME: home,
    PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
    DENO_DIR: Deno.env.get("DENO_DIR") ?? `${home}/.cache/deno`,
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
  return await Promise.resolve(
    Object.entries(variables).map(([name, value]) => `'${name}=${value}'`)
      .join(" "),
  );
}
