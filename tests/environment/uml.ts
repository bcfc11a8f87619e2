/**
 * User-Mode Linux as a test machine: an ordinary process that sees this
 * machine's files, read-only below a layer in memory.
 *
 * @module
 */
import {
  artefact,
  artefactText,
  PATHS_VARIABLE,
  REPOSITORY,
} from "./environment.ts";
import { CommandSession, type GuestSession } from "./guest_session.ts";
import { ChildProcess } from "./process.ts";

/** Options of a User-Mode-Linux machine. */
export interface UmlOptions {
  /** Its memory in MiB. */
  readonly memoryMiB?: number;
  /** Further words of its kernel's command line. */
  readonly kernelArguments?: readonly string[];
  /** Further environment variables of its commands. */
  readonly env?: Readonly<Record<string, string>>;
  /**
   * A flat device tree's source text, compiled and given to the kernel: brings
   * consumers such as `gpio-keys`.
   */
  readonly deviceTree?: string;
  /**
   * Computing takes no time and idle time passes at once: for programs that
   * were written with quick machines in mind. Waiting for a command is idle
   * time too.
   */
  readonly virtualTime?: boolean;
  /**
   * Systemd is its first program, with no units but the basic targets: for
   * units that a test brings.
   */
  readonly systemd?: boolean;
  /** Limit of its start, in milliseconds. Default: 240 s. */
  readonly bootTimeoutMs?: number;
}

/** A running User-Mode-Linux machine. */
export interface UmlSession extends GuestSession {
  /**
   * A directory on this machine that the test machine sees as `/mnt` and may
   * write to. It goes with the machine.
   */
  readonly share: string;
}

/**
 * Boots a User-Mode-Linux machine and waits until it takes commands.
 *
 * Its commands see libgpiod's tools, Deno with what it has cached, and all
 * programs of this machine. Nothing that they write outside `/mnt` outlives
 * the machine.
 *
 * @throws {Error} when something is not built, or the machine does not come
 * up within the limit.
 */
export async function bootUml(options: UmlOptions = {}): Promise<UmlSession> {
  const kernel = await artefact("uml");
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-uml-" });
  const cleanUp = () => Deno.remove(directory, { recursive: true });
  try {
    const further = [...options.kernelArguments ?? []];
    const env = { ...options.env };
    if (options.systemd) {
      env.GPIOAGG_SYSTEMD = `${REPOSITORY}/tests/environment/uml/systemd.sh`;
      // To the console, which is shown when something fails.
      further.push("systemd.log_target=console");
    }
    const share = `${directory}/share`;
    await Deno.mkdir(share);
    await Deno.writeTextFile(
      `${directory}/settings`,
      await settings(share, env),
    );
    if (options.deviceTree !== undefined) {
      further.push(`dtb=${await compile(options.deviceTree, directory)}`);
    }
    if (options.virtualTime) further.push("time-travel=inf-cpu");
    const memoryMiB = options.memoryMiB ?? 256;
    const process = new ChildProcess({
      command: kernel,
      env: { TMPDIR: await memoryDirectory(memoryMiB, directory, kernel) },
      args: [
        `mem=${memoryMiB}M`,
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        `init=${REPOSITORY}/tests/environment/uml/init.sh`,
        `GPIOAGG_SETTINGS=${directory}/settings`,
        `uml_dir=${directory}`,
        "con0=null,fd:2",
        "con1=fd:0,fd:1",
        "con=null",
        "quiet",
        // Twice as quick at system calls where the machine allows it.
        "seccomp=auto",
        ...further,
      ],
      input: true,
    });
    const session = await CommandSession.open(process, {
      bootTimeoutMs: options.bootTimeoutMs ?? 240_000,
      dispose: cleanUp,
    });
    return Object.assign(session, { share });
  } catch (error) {
    await cleanUp().catch(() => {});
    throw error;
  }
}

/**
 * Directory in which the kernel keeps the machine's memory, in a file that it maps, also to
 * execute it. `/dev/shm` needs no disk to be quick, but containers often have it
 * with `noexec`, where the kernel does not start, and of 64 MB, where the
 * machine would be killed as soon as it uses more. A file on a disk works too.
 */
async function memoryDirectory(
  memoryMiB: number,
  ownDirectory: string,
  kernel: string,
): Promise<string> {
  // Other machines start at the same time.
  const room = 2 * memoryMiB * 2 ** 20;
  for (const path of ["/dev/shm", ownDirectory, "/var/tmp"]) {
    const { stdout } = await new Deno.Command("findmnt", {
      args: ["-bno", "AVAIL,OPTIONS", "-T", path],
      stdin: "null",
      stderr: "null",
    }).output();
    // One mounted over another is the last line.
    const line = new TextDecoder().decode(stdout).trim().split("\n").at(-1)!;
    const [available, flags = ""] = line.trim().split(/\s+/);
    if (Number(available) >= room && !flags.split(",").includes("noexec")) {
      return path;
    }
  }
  // The kernel itself is executed from there.
  return kernel.slice(0, kernel.lastIndexOf("/"));
}

/**
 * The home directory that scripts/environment takes for its cache: without
 * HOME, its shell asks the passwd database.
 */
async function homeDirectory(): Promise<string> {
  const home = Deno.env.get("HOME");
  if (home) return home;
  const { stdout } = await new Deno.Command("bash", {
    args: ["-c", "unset HOME; printf %s ~"],
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout);
}

/** The file that uml/init.sh reads. */
async function settings(
  share: string,
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const deno = await artefact("deno");
  const path = [
    await artefact("gpiod"),
    deno.slice(0, deno.lastIndexOf("/")),
    Deno.env.get("PATH") ?? "/usr/bin:/bin",
  ].join(":");
  const variables: Record<string, string> = {
    HOME: await homeDirectory(),
    // The same things are found at the same places inside.
    ...(pass("GPIOAGG_CACHE")),
    ...(pass("XDG_CACHE_HOME")),
    ...(pass("DENO_DIR")),
    ...(pass("GPIOAGG_EXECUTABLE")),
    ...(pass("GPIOAGG_ALL_ROUNDS")),
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
    LC_ALL: "C.UTF-8",
    PATH: path,
    GPIOAGG_BUSYBOX: await artefact("busybox"),
    GPIOAGG_SESSION: `${REPOSITORY}/tests/environment/guest/session.sh`,
    GPIOAGG_SHARE: share,
    [PATHS_VARIABLE]: await artefactText(),
    ...env,
  };
  return Object.entries(variables)
    .map(([name, value]) => `export ${name}='${quote(value)}'\n`).join("");
}

function pass(name: string): Record<string, string> {
  const value = Deno.env.get(name);
  return value === undefined ? {} : { [name]: value };
}

function quote(text: string): string {
  return text.replaceAll("'", "'\\''");
}

/** Compiles a device tree; the path of the result. */
async function compile(source: string, directory: string): Promise<string> {
  const path = `${directory}/tree`;
  await Deno.writeTextFile(`${path}.dts`, source);
  const result = await new Deno.Command(await artefact("dtc"), {
    args: ["-q", "-I", "dts", "-O", "dtb", "-o", `${path}.dtb`, `${path}.dts`],
    stdin: "null",
  }).output();
  if (!result.success) {
    const text = new TextDecoder().decode(result.stderr);
    throw new Error(`Cannot compile the device tree: ${text.trim()}`);
  }
  return `${path}.dtb`;
}
