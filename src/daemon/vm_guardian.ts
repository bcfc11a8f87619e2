/**
 * The process that looks after a VM and its lines when gpioagg dies, however
 * it dies: a shell, 1.5 MB big, that waits for the end of a pipe that only
 * gpioagg holds.
 *
 * By then the kernel has closed the vhost-user socket, so the guest's device is
 * dead: it drives nothing any more. What is left to do is to put the lines,
 * which the kernel has let go as they were, into their safe state, and to end a
 * VM that is of no use.
 *
 * @module
 */
/**
 * What the guardian runs. It hears `vm PID START_TIME`, `none`, or `done`; its
 * arguments are the command that makes the lines safe, if there is one.
 *
 * Signals of a terminal or a service manager that are meant for gpioagg do not
 * end it. A VM is known by its start time too: numbers are used again.
 */
const SCRIPT = `
trap '' HUP INT QUIT TERM PIPE TSTP
vm= start=
while read -r word first second; do
  case $word in
    vm) vm=$first start=$second ;;
    none) vm= ;;
    done) exit 0 ;;
  esac
done
exec </dev/null
runs() {
  [ -n "$vm" ] && read -r stat 2>/dev/null <"/proc/$vm/stat" || return 1
  set -- \${stat##*) }
  [ "\${20}" = "$start" ] && [ "$1" != Z ]
}
runs && kill -TERM "$vm"
if [ $# -gt 0 ]; then "$@" </dev/null >/dev/null & fi
i=0
while runs; do
  i=$((i + 1))
  if [ $i -gt 12 ]; then kill -KILL "$vm"; break; fi
  sleep 0.25
done
wait
`;

/**
 * What becomes the VM: $1 is the guardian's process. It tells the guardian who
 * it is before there is a VM to look after, so that there is no moment in which
 * gpioagg can die and leave one behind; without a guardian there is no VM.
 */
const BECOME_VM = `
guardian=$1
shift
read -r stat </proc/$$/stat
tell() {
  set -- \${stat##*) }
  echo "vm $$ \${20}" >"/proc/$guardian/fd/0"
}
tell && exec "$@"
`;

/** A running guardian. **Ownership**: whoever started it holds the pipe. */
export class VmGuardian implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #pipe: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#pipe = child.stdin.getWriter();
  }

  /**
   * Starts the guardian of a VM that is about to be started.
   *
   * @param safeCommand What puts the lines into their safe state; empty when
   * there are none that have one.
   * @throws {Error} If this machine has no shell at /bin/sh.
   */
  static start(safeCommand: readonly string[]): VmGuardian {
    const child = new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT, "gpioagg-guardian", ...safeCommand],
      stdin: "piped",
      stdout: "null",
      stderr: "inherit",
      cwd: "/",
      // A session of its own: a terminal's signals go to gpioagg's group.
      detached: true,
    }).spawn();
    child.unref();
    return new VmGuardian(child);
  }

  /**
   * The program and arguments by which a VM is started that the guardian looks
   * after. It becomes the VM: it has the VM's process number from the start.
   */
  commandFor(
    command: readonly string[],
  ): { program: string; args: string[] } {
    return {
      program: "/bin/sh",
      args: [
        "-c",
        BECOME_VM,
        "gpioagg-vm",
        String(this.#child.pid),
        ...command,
      ],
    };
  }

  /** There is no VM now. */
  async forget(): Promise<void> {
    await this.#say("none");
  }

  /** Ends the guardian without having it do anything. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#say("done");
    await this.#pipe.close().catch(() => {});
    this.#child.ref();
    await this.#child.status;
  }

  async #say(text: string): Promise<void> {
    // Somebody may have killed it: then there is no guardian, and a VM still.
    await this.#pipe.write(new TextEncoder().encode(`${text}\n`))
      .catch(() => {});
  }
}
