/**
 * The process that takes a chip down when its maker dies, however it dies: a
 * shell, 1.5 MB big, that waits for the end of a pipe only the maker holds.
 *
 * @module
 */
import { identityOf, type ProcessIdentity } from "./process_identity.ts";

/**
 * What the guardian runs: $1 is the chip's record, $2 its directory in configfs
 * or nothing. It does what `driver.ts` does, with what every machine has.
 *
 * Where the maker has done it all, nothing is left to do; a chip in configfs
 * goes even if somebody has cleared the records away. Signals of a terminal or a
 * service manager that are meant for the maker do not end it.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE TSTP
while read -r word; do :; done
if [ -n "$2" ]; then
  if [ -d "$2" ]; then
    echo 0 >"$2/live"
    rmdir "$2"/line* "$2"
  fi
elif read -r device inode <"$1/device"; then
  set -- "$1" "$2" $(ls -di "/sys/bus/platform/devices/$device/")
  if [ "$3" = "$inode" ]; then
    echo "$device" >/sys/bus/platform/drivers/gpio-aggregator/delete_device
  fi
fi
rm -rf "$1"
`;

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

  private constructor(child: Deno.ChildProcess, identity: ProcessIdentity) {
    this.#child = child;
    this.identity = identity;
  }

  /**
   * Starts the guardian of a chip that is about to be made.
   *
   * @throws {Error} If this machine has no shell at /bin/sh.
   */
  static start(record: string, configfs: string | undefined): Guardian {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT, "gpioagg-guardian", record, configfs ?? ""],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      cwd: "/",
      clearEnv: true,
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
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
    await this.#child.stdin.abort().catch(() => {});
  }
}
