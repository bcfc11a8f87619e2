/**
 * `set --daemonize`: hands the requested lines to a process of its own.
 *
 * This program cannot fork: it has threads. So it requests the lines, which is
 * where most can go wrong, starts itself once more in a new session with the
 * requests' fds, and ends once that one has taken them over. The lines are never
 * let go in between: the kernel keeps a request as long as anybody has its fd.
 *
 * @module
 */
import { readLink, readSmallFile } from "../../ffi/files.ts";
import { OwnedFd } from "../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import { spawnDetached } from "../../ffi/spawn.ts";
import { receive, send, socketPair } from "../../ffi/unix_socket.ts";
import { LineRequest } from "../gpio/line_request.ts";
import type { LineSettings, Value } from "../gpio/line_settings.ts";
import type { RequestGroup } from "./requests.ts";
import type { Before } from "./set_leave.ts";
import { Outputs } from "./set_outputs.ts";
import { reasonOf, ToolError } from "./tool_error.ts";

/** The option with which the second process is told what it is given. */
export const HELD_OPTION = {
  long: "held-lines",
  value: "json",
  help: [],
  extension: true,
  hidden: true,
  sets: "held",
} as const;

/** How long the second process may take to start. **Units**: ms. */
const START_LIMIT_MS = 30_000;
const TAKEN = new Uint8Array(1);

/** What is handed over. */
interface HandOver {
  /** The socket to which the second process says that it has taken over. */
  readonly socket: number;
  readonly ids: readonly string[];
  readonly values: readonly Value[];
  readonly before: readonly Before[];
  readonly requests: readonly {
    readonly fd: number;
    readonly chip: string;
    readonly offsets: readonly number[];
    readonly indices: readonly number[];
  }[];
}

/** Lines that were handed over. */
export interface Received {
  readonly outputs: Outputs;
  readonly before: readonly Before[];
}

/**
 * Starts the process that goes on with the lines, and waits until it has them
 * and hears the signals that are meant for it.
 *
 * @param args The tool's own arguments.
 * @throws {ToolError} If it cannot be started, or ends before that.
 *
 * **Blocking**: as long as this program takes to start.
 */
export function handOver(
  outputs: Outputs,
  before: readonly Before[],
  args: readonly string[],
): void {
  const requests = outputs.groups.map(({ request, indices }) => ({
    fd: request.fd,
    chip: request.chipName,
    offsets: request.offsets,
    indices,
  }));
  const [ours, theirs] = socketPair();
  using _ours = ours;
  const told: HandOver = {
    socket: theirs.fd,
    ids: outputs.ids,
    values: outputs.values,
    before,
    requests,
  };
  try {
    using _theirs = theirs;
    const command = ownCommand(args);
    spawnDetached(readLink("/proc/self/exe") ?? Deno.execPath(), [
      ...command,
      `--${HELD_OPTION.long}`,
      JSON.stringify(told),
      ...args,
    ], { inherit: [theirs.fd, ...requests.map(({ fd }) => fd)] });
  } catch (error) {
    throw new ToolError(`unable to daemonize: ${reasonOf(error)}`, {
      cause: error,
    });
  }
  const isHeard = pollFd(ours.fd, POLLIN, START_LIMIT_MS) !== 0 &&
    receive(ours.fd, new Uint8Array(1), []) > 0;
  if (!isHeard) {
    throw new ToolError(
      "unable to daemonize: the process in the background did not start",
    );
  }
}

/** How this program was started, up to the tool's own arguments. */
function ownCommand(args: readonly string[]): string[] {
  // Each word ends with a NUL, and may be empty.
  const words = (readSmallFile("/proc/self/cmdline") ?? "").split("\0");
  words.pop();
  return words.slice(0, words.length - args.length);
}

/**
 * Takes lines over.
 *
 * @throws {ToolError} If that is not what the option says: it is not for users.
 *
 * **Ownership**: `stack` lets the lines go.
 */
export function takeOver(
  text: string,
  settingsOf: (value: Value) => LineSettings,
  stack: DisposableStack,
): Received {
  let told: HandOver;
  try {
    told = JSON.parse(text);
    const { socket, ids, values, before, requests } = told;
    const groups: RequestGroup[] = requests.map((
      { fd, chip, offsets, indices },
    ) => ({
      request: stack.use(
        new LineRequest(
          fd,
          chip,
          offsets.map((offset, bit) => ({
            offset,
            settings: settingsOf(values[indices[bit]!]!),
          })),
        ),
      ),
      indices,
    }));
    using toldBy = new OwnedFd(socket, "the socket of who hands lines over");
    send(toldBy.fd, TAKEN);
    return { outputs: new Outputs(ids, groups, values), before };
  } catch (error) {
    throw new ToolError(`no lines were handed over: ${reasonOf(error)}`, {
      cause: error,
    });
  }
}
