/**
 * The process that looks after a VM and its lines when gpioagg dies, for any
 * reason: a shell of 1.5 MB that waits for the end of a pipe that only gpioagg
 * holds.
 *
 * By then the kernel has closed the vhost-user socket, so the guest's device is
 * dead and drives nothing any more. The kernel has released the lines as they
 * were. The guardian puts them into their safe state, and ends the VM, which is
 * of no use any more.
 *
 * A guardian that is killed is replaced, as long as gpioagg lives, and one that
 * was stopped is continued: by gpioagg while it lives, and then by a second
 * process of its own. If gpioagg and the guardian are killed at once, the lines
 * are not made safe; the kernel ends the VM itself, on machines with util-linux'
 * `setpriv`.
 *
 * @module
 */
import { readSmallFile } from "../../ffi/files.ts";
import { childEnd } from "../async/child_end.ts";
import { settlesWithin } from "../async/wait.ts";
import { WAKE_ALL, WAKER } from "../async/waker.ts";
import { USABLE_PATH } from "./usable_path.ts";

const SHELL = "/bin/sh";
/** Name of the guardian's process. */
const NAME = "gpioagg-guardian";

/**
 * Script of the guardian. Its input has the lines `vm PID START_TIME`, `none`,
 * or `done`. Its arguments are the directory of private sockets, the message
 * about lines without a safe state, the working directory, the kind of the
 * program, the VM that runs already (PID and START_TIME, or two empty words), and
 * the command that makes the lines safe, if any.
 *
 * Signals of a terminal or a service manager, which are meant for gpioagg, do
 * not end it. A VM is identified by its start time too: process ids are reused.
 */
const SCRIPT = `${USABLE_PATH}
trap '' HUP INT QUIT TERM PIPE TSTP
${WAKER}# The running program, wherever its file is by the time that it is needed.
[ -r "/proc/$PPID/exe" ] && exec 3<"/proc/$PPID/exe"
vm=$5 start=$6
while read -r word first second; do
  case $word in
    vm) vm=$first start=$second ;;
    none) vm= ;;
    done) exit 0 ;;
  esac
done
exec </dev/null
${WAKE_ALL}work=
runs() {
  [ -n "$vm" ] && read -r stat 2>/dev/null <"/proc/$vm/stat" || return 1
  set -- \${stat##*) }
  [ "\${20}" = "$start" ] && [ "$1" != Z ]
}
# Not waited for: a reader may stand still, and the lines may not.
say() { (echo "gpioagg: $1" >&2 &) }
directory=$1 lines=$2 place=$3 kind=$4
shift 6
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
    cd -- "$place" 2>/dev/null
    "$@" </dev/null >/dev/null
    status=$?
    if [ $status -ge 126 ]; then
      # Its file was removed, or is just being replaced.
      shift
      if [ "$kind" = executable ]; then
        # Which reads its own file, by its path.
        for copy in "$directory" /run /dev/shm /var/tmp /tmp; do
          copy=$copy/gpioagg-guardian-$$
          mkdir -m 700 -- "$copy" 2>/dev/null || continue
          cat <&3 >"$copy/gpioagg" && chmod 700 "$copy/gpioagg" &&
            "$copy/gpioagg" "$@" </dev/null >/dev/null
          status=$?
          rm -rf -- "$copy"
          [ $status -lt 126 ] && break
          # Its position is at the end now.
          exec 3</proc/self/fd/3
        done
      else
        /proc/self/fd/3 "$@" </dev/null >/dev/null
        status=$?
      fi
    fi
    if [ $status -eq 0 ]; then
      say 'its lines are in their safe state'
    else
      say 'not all of its lines are in their safe state'
    fi
  } &
  work=$!
fi
i=0
while runs; do
  i=$((i + 1))
  if [ $i -gt 12 ]; then
    say "its VM did not end within 3 s and is killed"
    kill -KILL "$vm"
    break
  fi
  sleep 0.25
done
[ -n "$work" ] && wait "$work"
rm -rf -- "$directory"
`;

/**
 * Script that becomes the VM: $1 is the guardian's process, $2 gpioagg's. It
 * reports itself to the guardian before there is a VM, so that gpioagg cannot
 * die in between and leave one behind. Without a guardian there is no VM, nor
 * is there one whose gpioagg died before the kernel was asked to notify it.
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
tell || exit 1
# Variables of the launcher and of Deno are not the VM's.
for name in $GPIOAGG_LAUNCHER_SET; do unset "$name"; done
unset GPIOAGG_CALLED_AS GPIOAGG_LAUNCHER GPIOAGG_LAUNCHER_SET DENO_NODE_SHIM_ACTIVE
${USABLE_PATH}exec "$@"
`;

/**
 * Arguments of a shell that has the kernel send a signal to a process when the
 * thread that started it dies: Deno starts processes on its main thread, which
 * lives as long as gpioagg. TERM for the VM, not KILL: it may shut down if the
 * guardian lives. CONT for the guardian, which may have been stopped.
 *
 * **Source**: PR_SET_PDEATHSIG(2const), setpriv(1) of util-linux 2.33; busybox'
 * setpriv does not have it.
 */
function tiedToParent(signal: "TERM" | "CONT", name: string): string[] {
  const script = `${USABLE_PATH}exec setpriv --pdeathsig ${signal} -- "$@"`;
  return ["-c", script, name];
}

const TIED_VM = tiedToParent("TERM", "gpioagg-vm");
const TIED_GUARDIAN = tiedToParent("CONT", NAME);

/**
 * Limit of the end of a guardian that was asked to end. It is killed then: it
 * stands still, and has nothing to do any more. **Units**: milliseconds.
 */
const END_LIMIT_MS = 2000;

/** Interval of looking for a guardian that was stopped. **Units**: ms. */
const LOOK_MS = 1000;

/** Least time between a killed guardian and its successor. **Units**: ms. */
const RENEWAL_MS = 1000;

/** Actions of a guardian when gpioagg dies. */
interface GuardianOptions {
  /**
   * Command that puts the lines into their safe state; empty if no line has
   * one.
   */
  readonly safeCommand: readonly string[];
  /** Working directory of that command, whose paths may be relative. */
  readonly workingDirectory: string;
  /** Message about the lines if there is no such command. */
  readonly linesLeft: string;
  /** Absolute path of the directory of private sockets, which it removes. */
  readonly directory: string;
  /** Receives the text of events, such as a killed guardian. */
  readonly report: (text: string) => void;
}

/**
 * A running guardian. **Ownership**: the one that started it holds the pipe.
 */
export class VmGuardian implements AsyncDisposable {
  readonly #options: GuardianOptions;
  readonly #isTied: boolean;
  #child: Deno.ChildProcess;
  #pipe: WritableStreamDefaultWriter<Uint8Array>;
  #startedMs = performance.now();
  #vm: number | undefined;
  #isOver = false;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  readonly #look: ReturnType<typeof setInterval>;

  private constructor(options: GuardianOptions, isTied: boolean) {
    this.#options = options;
    this.#isTied = isTied;
    this.#child = spawn(options, isTied);
    this.#pipe = this.#child.stdin.getWriter();
    void this.#watch(this.#child);
    this.#look = setInterval(() => this.#continueStopped(), LOOK_MS);
    Deno.unrefTimer(this.#look);
  }

  /**
   * Starts the guardian of a VM that is about to be started.
   *
   * @throws {Error} If this machine has no shell at /bin/sh.
   */
  static async start(options: GuardianOptions): Promise<VmGuardian> {
    return new VmGuardian(options, await canBeTied());
  }

  /** Process id of the guardian. */
  get pid(): number {
    return this.#child.pid;
  }

  /**
   * Returns the command by which a guarded VM is started. It becomes the VM: it
   * has the VM's process id from the start.
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
      args: this.#isTied ? [...TIED_VM, SHELL, ...become] : become,
    };
  }

  /** Registers the VM, also for the next guardian. */
  lookAfter(pid: number): void {
    this.#vm = pid;
  }

  /** There is no VM now. */
  async forget(): Promise<void> {
    this.#vm = undefined;
    await this.#say("none");
  }

  /** Ends the guardian without any of its actions. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#renewal);
    clearInterval(this.#look);
    await this.#say("done");
    await this.#pipe.close().catch(() => {});
    const end = childEnd(this.#child);
    if (await settlesWithin(end, END_LIMIT_MS)) return;
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It ended in this moment.
    }
    await end;
  }

  /** Waits for the end of a guardian, and replaces it. */
  async #watch(child: Deno.ChildProcess): Promise<void> {
    await child.status;
    // What is left of it ends with that.
    await child.stdout.cancel();
    if (this.#isOver) return;
    this.#options.report(
      "the VM's guardian was killed: another one is started",
    );
    const livedMs = performance.now() - this.#startedMs;
    this.#renewal = setTimeout(
      () => this.#renew(),
      Math.max(0, RENEWAL_MS - livedMs),
    );
  }

  /** Continues a guardian that was stopped: it could not act in time. */
  #continueStopped(): void {
    if (readStat(this.#child.pid)?.[0] !== "T") return;
    try {
      this.#child.kill("SIGCONT");
    } catch {
      // It has ended, and is replaced.
      return;
    }
    this.#options.report("the VM's guardian was stopped: it is continued");
  }

  #renew(): void {
    try {
      this.#child = spawn(this.#options, this.#isTied, this.#vm);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.report(`the VM has no guardian: ${why}`);
      return;
    }
    this.#startedMs = performance.now();
    this.#pipe = this.#child.stdin.getWriter();
    void this.#watch(this.#child);
  }

  async #say(text: string): Promise<void> {
    // It may have been killed: its successor gets the same messages.
    await this.#pipe.write(new TextEncoder().encode(`${text}\n`))
      .catch(() => {});
  }
}

/** Starts a guardian that knows a VM from its first moment on, if there is one. */
function spawn(
  { directory, linesLeft, workingDirectory, safeCommand }: GuardianOptions,
  isTied: boolean,
  vm?: number,
): Deno.ChildProcess {
  const start = vm === undefined ? undefined : readStartTime(vm);
  const child = new Deno.Command(SHELL, {
    args: [
      ...(isTied ? [...TIED_GUARDIAN, SHELL] : []),
      "-c",
      SCRIPT,
      NAME,
      directory,
      linesLeft,
      workingDirectory,
      Deno.build.standalone ? "executable" : "script",
      ...(start === undefined ? ["", ""] : [String(vm), start]),
      ...safeCommand,
    ],
    stdin: "piped",
    // Never read: its end shows the second process that this one has died.
    stdout: "piped",
    stderr: "inherit",
    cwd: "/",
    // A session of its own: a terminal's signals go to gpioagg's group.
    detached: true,
  }).spawn();
  child.unref();
  return child;
}

/**
 * Returns true if this machine has a `setpriv` that can tie a process to its
 * parent.
 */
async function canBeTied(): Promise<boolean> {
  const { success } = await new Deno.Command(SHELL, {
    args: [...TIED_VM, "true"],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).output();
  return success;
}

/**
 * Returns the start time of a process in the kernel's unit; undefined if it is
 * gone.
 */
function readStartTime(pid: number): string | undefined {
  return readStat(pid)?.[19];
}

/**
 * Returns the fields of a process in `/proc`, from its state on; undefined if it
 * is gone.
 */
function readStat(pid: number): string[] | undefined {
  const stat = readSmallFile(`/proc/${pid}/stat`);
  // The program's name, in parentheses, may hold anything.
  return stat?.slice(stat.lastIndexOf(")") + 2).split(" ");
}
