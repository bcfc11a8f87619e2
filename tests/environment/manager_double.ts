/**
 * Stands in for systemd, by its documented protocols: sd_notify(3),
 * sd_listen_fds(3), the file-descriptor store.
 *
 * @module
 */
import { bindDatagram } from "../../ffi/datagram.ts";
import { readLink, readSmallFile } from "../../ffi/files.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { spawnDetached } from "../../ffi/spawn.ts";
import { receive } from "../../ffi/socket_message.ts";
import { listenUnix } from "../../ffi/unix_socket.ts";
import { until } from "./wait.ts";
import { PROGRAM, PROGRAM_FILE } from "./program.ts";

const LOOK_MS = 5;

/**
 * $1 is the fds to hand over, the next ones are FDNAMES, NOTIFY_SOCKET,
 * WATCHDOG_USEC and the log. All fds are moved out of the way first, since each
 * of them may have a number that another one is to get.
 */
const SCRIPT = `
fds=($1); export LISTEN_FDNAMES=$2 NOTIFY_SOCKET=$3 log=$5
if [ -n "$4" ]; then export WATCHDOG_USEC=$4; fi
shift 5
base=$((3 + \${#fds[@]}))
for fd in "\${fds[@]}"; do if ((fd >= base)); then base=$((fd + 1)); fi; done
for i in "\${!fds[@]}"; do eval "exec $((base + i))<&\${fds[i]} \${fds[i]}<&-"; done
for i in "\${!fds[@]}"; do eval "exec $((3 + i))<&$((base + i)) $((base + i))<&-"; done
if [ \${#fds[@]} -gt 0 ]; then export LISTEN_PID=$$ LISTEN_FDS=\${#fds[@]}; fi
exec "$@" >>"$log" 2>&1
`;

/** A manager of one service, which is "gpioagg serve". */
export class ManagerDouble implements AsyncDisposable {
  /** Directory for the service's sockets. */
  readonly directory: string;
  /** Everything that the service said. */
  readonly messages: string[] = [];
  /** Fds that it had stored, by name. */
  readonly store = new Map<string, OwnedFd>();
  /** FileDescriptorStoreMax. */
  maxStored = 1024;
  /** Set if it is too busy for its store, and comes to it later. */
  isSlow = false;
  /** Orders about the store that are not carried out yet. */
  readonly #orders: (() => void)[] = [];
  /** Sockets that the manager listens at for it, by name. */
  readonly #sockets = new Map<string, OwnedFd>();
  readonly #notify: OwnedFd;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #piece = new Uint8Array(4096);
  readonly #log: string;
  readonly #command: readonly string[];
  #pid = 0;

  /**
   * Makes one whose service is `gpioagg serve`.
   *
   * @param options File for the output, if not in its directory, and the command
   * of gpioagg, if not the one under test.
   */
  constructor(options: {
    readonly log?: string | undefined;
    readonly command?: readonly string[];
  } = {}) {
    this.#command = options.command ?? [PROGRAM_FILE, ...PROGRAM];
    this.directory = Deno.makeTempDirSync({ prefix: "gpioagg-manager-" });
    this.#log = options.log ?? `${this.directory}/log`;
    this.#notify = bindDatagram(`${this.directory}/notify`);
    this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  /** The service's process. */
  get pid(): number {
    return this.#pid;
  }

  /** Output of the service. */
  get log(): string {
    return readSmallFile(this.#log) ?? "";
  }

  /** Names of what is stored that begin so: `line.`, `guest.`. */
  stored(prefix: string): string[] {
    return [...this.store.keys()].filter((name) => name.startsWith(prefix));
  }

  /** Listens for the service, as a socket unit does. */
  listen(name: string): string {
    const path = `${this.directory}/${name}.sock`;
    this.#sockets.set(name, listenUnix(path));
    Deno.chmodSync(path, 0o600);
    return path;
  }

  /** Hands over another socket by this name. **Ownership**: takes it. */
  give(name: string, socket: OwnedFd): void {
    this.#sockets.set(name, socket);
  }

  /** Returns the link of the fd, in a process, of the socket of this name. */
  socketLink(name: string): string | undefined {
    return readLink(`/proc/self/fd/${this.#sockets.get(name)!.fd}`);
  }

  /** Starts "gpioagg serve" and waits until it is ready. */
  async start(
    args: readonly string[],
    options: {
      readonly watchdogUs?: number;
      readonly command?: readonly string[];
    } = {},
  ): Promise<void> {
    // Whatever a service said is heard before its end is.
    this.#look();
    const handed = [...this.#sockets, ...this.store];
    const before = this.messages.length;
    this.#pid = spawnDetached("/bin/bash", [
      "bash",
      "-c",
      SCRIPT,
      "manager",
      handed.map(([, fd]) => fd.fd).join(" "),
      handed.map(([name]) => name).join(":"),
      `${this.directory}/notify`,
      String(options.watchdogUs ?? ""),
      this.#log,
      ...(options.command ?? this.#command),
      "serve",
      ...args,
    ], { inherit: handed.map(([, fd]) => fd.fd) });
    try {
      await until(
        "READY=1",
        () => {
          if (!this.isRunning) throw new Error("It ended");
          return this.messages.slice(before).includes("READY=1");
        },
      );
    } catch (cause) {
      throw new Error(`The service does not start: ${this.log}`, { cause });
    }
  }

  /** True while the service runs; it is reaped when this process ends. */
  get isRunning(): boolean {
    const stat = readSmallFile(`/proc/${this.#pid}/stat`);
    return stat !== undefined && !/\) [ZX] /.test(stat);
  }

  /** Ends the service with a signal, and waits until it is gone. */
  async stop(signal: Deno.Signal): Promise<void> {
    Deno.kill(this.#pid, signal);
    await until("the service's end", () => !this.isRunning);
    // Its last words too.
    this.#look();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#pid !== 0 && this.isRunning) await this.stop("SIGKILL");
    clearInterval(this.#timer);
    for (const fd of [...this.#sockets.values(), ...this.store.values()]) {
      fd.close();
    }
    this.#notify.close();
    await Deno.remove(this.directory, { recursive: true });
  }

  #look(): void {
    this.#hear();
    if (this.isSlow) return;
    for (const order of this.#orders.splice(0)) order();
  }

  #hear(): void {
    for (;;) {
      const fds: OwnedFd[] = [];
      const count = receive(this.#notify.fd, this.#piece, fds);
      if (count < 0) return;
      const text = new TextDecoder().decode(this.#piece.subarray(0, count));
      this.messages.push(text);
      this.#orders.push(() => this.#obey(text.split("\n"), fds));
    }
  }

  #obey(lines: readonly string[], fds: readonly OwnedFd[]): void {
    const name = lines.find((line) => line.startsWith("FDNAME="))?.slice(7) ??
      "stored";
    if (lines.includes("FDSTORE=1")) {
      for (const fd of fds) {
        if (!this.store.has(name) && this.store.size >= this.maxStored) {
          fd.close();
          continue;
        }
        // Systemd keeps several of one name; copies of one file once only.
        this.store.get(name)?.close();
        this.store.set(name, fd);
      }
      return;
    }
    for (const fd of fds) fd.close();
    if (lines.includes("FDSTOREREMOVE=1")) {
      this.store.get(name)?.close();
      this.store.delete(name);
    }
  }
}
