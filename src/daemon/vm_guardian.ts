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
 * A guardian that is killed is followed by another one, as long as gpioagg
 * lives. When both are killed at once nobody makes the lines safe; the VM itself
 * is told to end by the kernel, on machines that have util-linux' `setpriv`.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";

const SHELL = "/bin/sh";

/**
 * What the guardian runs. It hears `vm PID START_TIME`, `none`, or `done`; its
 * arguments are the directory of private sockets, what it says of lines that it
 * does nothing about, and the command that makes the lines safe, if there is one,
 * behind the directory to run it in.
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
say() { echo "gpioagg: $1" >&2; }
directory=$1 lines=$2 place=$3
shift 3
if [ -n "$vm" ]; then
  say "run has died; its VM (process $vm) is ended"
  # The kernel may have told it already.
  runs && kill -TERM "$vm"
else
  say 'run has died; there was no VM'
fi
if [ $# -eq 0 ]; then
  say "$lines"
else
  {
    # It has words and paths that gpioagg was started with, and may be deno's.
    cd -- "$place"
    if "$@" </dev/null >/dev/null; then
      say 'its lines are in their safe state'
    else
      say 'not all of its lines are in their safe state'
    fi
  } &
fi
i=0
while runs; do
  i=$((i + 1))
  if [ $i -gt 12 ]; then
    say "its VM did not end within 3 s, and is killed"
    kill -KILL "$vm"
    break
  fi
  sleep 0.25
done
wait
rm -rf -- "$directory"
`;

/**
 * What becomes the VM: $1 is the guardian's process, $2 gpioagg's. It tells the
 * guardian who it is before there is a VM to look after, so that there is no
 * moment in which gpioagg can die and leave one behind; without a guardian there
 * is no VM. Neither is there one whose gpioagg died before the kernel was asked
 * to tell of that.
 */
const BECOME_VM = `
guardian=$1 parent=$2
shift 2
[ "$PPID" = "$parent" ] || exit 1
read -r stat </proc/$$/stat
tell() {
  set -- \${stat##*) }
  echo "vm $$ \${20}" >"/proc/$guardian/fd/0"
}
tell && exec "$@"
`;

/**
 * Has the kernel send SIGTERM to a process when the thread that started it dies:
 * Deno starts processes on its main thread, which lives as long as gpioagg. Not
 * SIGKILL, since the VM shall have its chance where the guardian lives.
 *
 * **Source**: PR_SET_PDEATHSIG(2const), setpriv(1) of util-linux 2.33; busybox'
 * setpriv has none of it.
 */
const TIED_TO_PARENT = [
  "-c",
  'exec setpriv --pdeathsig TERM -- "$@"',
  "gpioagg-vm",
] as const;

/** How soon a guardian may follow one that was killed. **Units**: ms. */
const RENEWAL_MS = 1000;

/** What a guardian does when gpioagg dies. */
export interface GuardianOptions {
  /**
   * The command that puts the lines into their safe state; empty when there
   * are none that have one.
   */
  readonly safeCommand: readonly string[];
  /** Where that command is run: it may have paths of this directory. */
  readonly workingDirectory: string;
  /** What is said of the lines where there is no such command. */
  readonly linesLeft: string;
  /** Whole path of the directory of private sockets, which it removes. */
  readonly directory: string;
  /** Told, in words, of a guardian that was killed. */
  readonly report: (text: string) => void;
}

/** A running guardian. **Ownership**: whoever started it holds the pipe. */
export class VmGuardian implements AsyncDisposable {
  readonly #options: GuardianOptions;
  readonly #isTied: boolean;
  #child: Deno.ChildProcess;
  #pipe: WritableStreamDefaultWriter<Uint8Array>;
  #startedMs = performance.now();
  #vm: number | undefined;
  #isOver = false;
  #renewal: ReturnType<typeof setTimeout> | undefined;

  private constructor(options: GuardianOptions, isTied: boolean) {
    this.#options = options;
    this.#isTied = isTied;
    this.#child = spawn(options);
    this.#pipe = this.#child.stdin.getWriter();
    void this.#watch(this.#child);
  }

  /**
   * Starts the guardian of a VM that is about to be started.
   *
   * @throws {Error} If this machine has no shell at /bin/sh.
   */
  static async start(options: GuardianOptions): Promise<VmGuardian> {
    return new VmGuardian(options, await canBeTied());
  }

  /** The guardian's process. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * The program and arguments by which a VM is started that the guardian looks
   * after. It becomes the VM: it has the VM's process number from the start.
   */
  commandFor(
    command: readonly string[],
  ): { program: string; args: string[] } {
    const become = [
      "-c",
      BECOME_VM,
      "gpioagg-vm",
      String(this.#child.pid),
      String(Deno.pid),
      ...command,
    ];
    return {
      program: SHELL,
      args: this.#isTied ? [...TIED_TO_PARENT, SHELL, ...become] : become,
    };
  }

  /** This is the VM that was started so; the next guardian is told of it. */
  lookAfter(pid: number): void {
    this.#vm = pid;
  }

  /** There is no VM now. */
  async forget(): Promise<void> {
    this.#vm = undefined;
    await this.#say("none");
  }

  /** Ends the guardian without having it do anything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#renewal);
    await this.#say("done");
    await this.#pipe.close().catch(() => {});
    this.#child.ref();
    await this.#child.status;
  }

  /** Waits for the end of a guardian: the next one takes its place. */
  async #watch(child: Deno.ChildProcess): Promise<void> {
    await child.status;
    if (this.#isOver) return;
    this.#options.report("the VM's guardian was ended: another one is started");
    const livedMs = performance.now() - this.#startedMs;
    this.#renewal = setTimeout(
      () => this.#renew(),
      Math.max(0, RENEWAL_MS - livedMs),
    );
  }

  #renew(): void {
    try {
      this.#child = spawn(this.#options);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.report(`the VM has no guardian: ${why}`);
      return;
    }
    this.#startedMs = performance.now();
    this.#pipe = this.#child.stdin.getWriter();
    void this.#watch(this.#child);
    const start = this.#vm === undefined ? undefined : startTimeOf(this.#vm);
    if (start !== undefined) void this.#say(`vm ${this.#vm} ${start}`);
  }

  async #say(text: string): Promise<void> {
    // Somebody may have killed it: the next one is told what it must know.
    await this.#pipe.write(new TextEncoder().encode(`${text}\n`))
      .catch(() => {});
  }
}

function spawn(
  { directory, linesLeft, workingDirectory, safeCommand }: GuardianOptions,
): Deno.ChildProcess {
  const child = new Deno.Command(SHELL, {
    args: [
      "-c",
      SCRIPT,
      "gpioagg-guardian",
      directory,
      linesLeft,
      workingDirectory,
      ...safeCommand,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "inherit",
    cwd: "/",
    // A session of its own: a terminal's signals go to gpioagg's group.
    detached: true,
  }).spawn();
  child.unref();
  return child;
}

/** Whether this machine has a `setpriv` that can tie a process to its parent. */
async function canBeTied(): Promise<boolean> {
  const { success } = await new Deno.Command(SHELL, {
    args: [...TIED_TO_PARENT, "true"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

/** When a process was started, in the kernel's words; undefined if it is gone. */
function startTimeOf(pid: number): string | undefined {
  const stat = readSmallFile(`/proc/${pid}/stat`);
  // The program's name, in parentheses, may hold anything.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
}
