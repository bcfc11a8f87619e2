/**
 * The process that removes a chip when its maker dies, for any reason: a shell
 * of 1.5 MB that waits for the end of a pipe that only the maker holds.
 *
 * @module
 */
import { childEnd } from "../async/child_end.ts";
import { WAKE_ALL, WAKER } from "../async/waker.ts";
import { identifyProcess, type ProcessIdentity } from "./process_identity.ts";

/**
 * Script of the guardian: $1 is the chip's record, $2 its group in configfs, or
 * nothing for a chip through sysfs. It removes a chip as `driver.ts` does, with
 * commands that every machine has. A second process continues it if it is
 * stopped before it is done, also before its maker died.
 *
 * The pipe reports what the maker has made: before that, the guardian removes
 * nothing. It depends only on the pipe, so a chip is removed even if a user has
 * deleted the records. It removes the record once the chip is gone; a chip that
 * cannot be removed, or whose maker died before it reported, needs its record
 * for `gpioagg kernel gc`. Signals of a terminal or a service manager for the
 * maker do not end it.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE TSTP
${WAKER}made= device= inode=
while read -r word first second; do
  made=$word device=$first inode=$second
done
${WAKE_ALL}if [ -n "$2" ]; then
  if [ "$made" = group ] && [ -d "$2" ]; then
    echo 0 >"$2/live"
    rmdir "$2"/line*
  fi
  # This alone ends no group that has lines, which the maker's has not yet.
  rmdir "$2"
  [ -d "$2" ] && exit
elif [ "$made" = device ]; then
  path=/sys/bus/platform/devices/$device
  set -- "$1" "$2" $(ls -di "$path/")
  if [ "$3" = "$inode" ]; then
    echo "$device" >/sys/bus/platform/drivers/gpio-aggregator/delete_device
    set -- "$1" "$2" $(ls -di "$path/")
  fi
  [ -d "$path" ] && [ "\${3:-$inode}" = "$inode" ] && exit
else
  exit
fi
rm -rf "$1"
`;

/** Name of the shell's script. */
const NAME = "gpioagg-guardian";

/**
 * Returns true if a command line, as in `/proc/PID/cmdline`, is that of the
 * guardian of a record, of this version or another one.
 */
export function isGuardian(commandLine: string, record: string): boolean {
  return guardedRecord(commandLine) === record;
}

/**
 * Returns the path of the record whose guardian has a command line; undefined if
 * it is that of another program.
 */
export function guardedRecord(commandLine: string): string | undefined {
  const words = commandLine.split("\0");
  // The last word ends with a NUL too.
  return words.length === 7 && words[0] === "/bin/sh" && words[1] === "-c" &&
      words[3] === NAME
    ? words[4]
    : undefined;
}

/** The object that a guardian removes. */
export type GuardedChip = "group" | {
  readonly device: string;
  readonly inode: string;
};

/**
 * A running guardian.
 *
 * **Ownership**: the holder of the object owns the pipe. Disposing ends the
 * guardian without any of its actions: for when the chip was removed, or is to
 * stay.
 */
export class Guardian implements AsyncDisposable {
  readonly identity: ProcessIdentity;
  readonly #child: Deno.ChildProcess;
  readonly #end: Promise<void>;
  readonly #pipe: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(child: Deno.ChildProcess, identity: ProcessIdentity) {
    this.#child = child;
    this.#pipe = child.stdin.getWriter();
    this.identity = identity;
    // What is left of it ends with that.
    this.#end = child.status.then(() => child.stdout.cancel());
  }

  /**
   * Starts the guardian of a chip that is about to be made.
   *
   * @param record The chip's record.
   * @param group Where its group in configfs will be; undefined through sysfs.
   * @throws {Error} If this machine has no shell at /bin/sh.
   */
  static start(record: string, group: string | undefined): Guardian {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT, NAME, record, group ?? ""],
      stdin: "piped",
      // Never read: its end shows the second process that the maker has died.
      stdout: "piped",
      stderr: "null",
      cwd: "/",
      clearEnv: true,
      // The last is NixOS's.
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin",
      },
      // A session of its own: a terminal's signals go to the maker's group.
      detached: true,
    }).spawn();
    child.unref();
    const identity = identifyProcess(child.pid);
    if (identity === undefined) {
      throw new Error("Cannot guard the chip: the guardian ended at once");
    }
    return new Guardian(child, identity);
  }

  /**
   * Reports what was made, and is to be removed with the maker.
   *
   * @throws {Error} If the guardian has ended.
   */
  async report(chip: GuardedChip): Promise<void> {
    const words = chip === "group"
      ? chip
      : `device ${chip.device} ${chip.inode}`;
    try {
      await this.#pipe.write(new TextEncoder().encode(`${words}\n`));
    } catch (error) {
      throw new Error("Cannot guard the chip: the guardian has ended", {
        cause: error,
      });
    }
  }

  /** Ends the guardian. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      // It ignores everything else.
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await childEnd(this.#child);
    await this.#end;
    await this.#pipe.abort().catch(() => {});
  }
}
