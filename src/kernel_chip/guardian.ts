/**
 * The process that takes a chip down when its maker dies, however it dies: a
 * shell, 1.5 MB big, that waits for the end of a pipe only the maker holds.
 *
 * @module
 */
import { identityOf, type ProcessIdentity } from "./process_identity.ts";

/**
 * What the guardian runs: $1 is the chip's record, $2 its group in configfs, or
 * nothing for a chip through sysfs. It does what `driver.ts` does, with what
 * every machine has.
 *
 * The pipe tells what the maker has made: before, nothing is the guardian's to
 * end. It knows by the pipe alone, so a chip goes even if somebody has cleared
 * the records away. It removes the record where the chip is seen to be gone; a
 * chip that would not go, or that the maker died over before it told, needs its
 * record for `gpioagg kernel gc`. Signals of a terminal or a service manager
 * that are meant for the maker do not end it.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE TSTP
made= device= inode=
while read -r word first second; do
  made=$word device=$first inode=$second
done
if [ -n "$2" ]; then
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

/** What a guardian is to end. */
export type GuardedChip = "group" | {
  readonly device: string;
  readonly inode: string;
};

/**
 * A running guardian.
 *
 * **Ownership**: whoever started it holds the pipe. Disposing ends the guardian
 * without having it do anything: for when the chip was taken down, or is to
 * stay.
 */
export class Guardian implements AsyncDisposable {
  readonly identity: ProcessIdentity;
  readonly #child: Deno.ChildProcess;
  readonly #pipe: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(child: Deno.ChildProcess, identity: ProcessIdentity) {
    this.#child = child;
    this.#pipe = child.stdin.getWriter();
    this.identity = identity;
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
      args: ["-c", SCRIPT, "gpioagg-guardian", record, group ?? ""],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      cwd: "/",
      clearEnv: true,
      // The last is where NixOS has them.
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin",
      },
      // A session of its own: a terminal's signals go to the maker's group.
      detached: true,
    }).spawn();
    child.unref();
    const identity = identityOf(child.pid);
    if (identity === undefined) {
      throw new Error("Cannot guard the chip: the guardian ended at once");
    }
    return new Guardian(child, identity);
  }

  /**
   * Tells what was made, and is to go with the maker.
   *
   * @throws {Error} If the guardian is there no more.
   */
  async tell(chip: GuardedChip): Promise<void> {
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
    this.#child.ref();
    await this.#child.status;
    await this.#pipe.abort().catch(() => {});
  }
}
