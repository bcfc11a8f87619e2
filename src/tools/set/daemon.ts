/**
 * `set --daemonize`: passes the requested lines to a process of its own.
 *
 * This program cannot fork: it has threads. It requests the lines, where most
 * errors occur, starts itself again in a new session with the requests' fds,
 * and ends once that process has taken them over. The lines are never released
 * in between: the kernel keeps a request as long as any process has its fd.
 *
 * @module
 */
import { startableCommand } from "../../../ffi/own_command.ts";
import { OwnedFd } from "../../../ffi/owned_fd.ts";
import { pollFd, POLLIN } from "../../../ffi/poll.ts";
import { spawnDetached } from "../../../ffi/spawn.ts";
import { receiveBytes, send } from "../../../ffi/socket_message.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { LineRequest } from "../../gpio/line_request.ts";
import type { LineSettings } from "../../gpio/line_settings.ts";
import type { Value } from "../../line/value.ts";
import type { RequestGroup } from "../lines/requests.ts";
import type { Before } from "./leave.ts";
import { Outputs } from "./outputs.ts";
import { explainError, ToolError } from "../program/tool_error.ts";

/** Internal option that describes the second process's descriptors. */
export const HELD_OPTION = {
  long: "held-lines",
  value: "json",
  help: [],
  extension: true,
  hidden: true,
  sets: "held",
} as const;

/** Time limit of the second process's start. **Units**: ms. */
const START_LIMIT_MS = 30_000;
const TAKEN = new Uint8Array(1);

/** State that is passed on. */
interface HandOver {
  /** The socket on which the second process reports its takeover. */
  readonly socket: number;
  readonly ids: readonly string[];
  readonly values: readonly Value[];
  readonly before: readonly Before[];
  readonly requests: readonly {
    readonly fd: number;
    readonly chip: string;
    readonly path: string;
    readonly offsets: readonly number[];
    readonly indices: readonly number[];
  }[];
}

/** Lines that were taken over. */
export interface Received {
  readonly outputs: Outputs;
  readonly before: readonly Before[];
}

/**
 * Starts the process that goes on with the lines, and waits until it holds them
 * and handles its signals.
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
  const requests = outputs.groups.map(({ request, chipPath, indices }) => ({
    fd: request.fd,
    chip: request.chipName,
    path: chipPath,
    offsets: request.offsets,
    indices,
  }));
  const [ours, theirs] = socketPair();
  using _ours = ours;
  using started = new DisposableStack();
  const told: HandOver = {
    socket: theirs.fd,
    ids: outputs.ids,
    values: outputs.values,
    before,
    requests,
  };
  try {
    using _theirs = theirs;
    const { path, argv } = started.use(startableCommand(args.length));
    spawnDetached(path, [
      ...argv,
      `--${HELD_OPTION.long}`,
      JSON.stringify(told),
      ...args,
    ], { inherit: [theirs.fd, ...requests.map(({ fd }) => fd)] });
  } catch (error) {
    throw new ToolError(`unable to daemonize: ${explainError(error)}`, {
      cause: error,
    });
  }
  const isHeard = pollFd(ours.fd, POLLIN, START_LIMIT_MS) !== 0 &&
    receiveBytes(ours.fd, new Uint8Array(1)) > 0;
  if (!isHeard) {
    throw new ToolError(
      "unable to daemonize: the process in the background did not start",
    );
  }
}

/**
 * Takes lines over.
 *
 * @throws {ToolError} If the option, which is not for users, is invalid.
 *
 * **Ownership**: `stack` releases the lines.
 */
export function takeOver(
  text: string,
  makeSettings: (value: Value) => LineSettings,
  stack: DisposableStack,
): Received {
  let told: HandOver;
  try {
    told = JSON.parse(text);
    const { socket, ids, values, before, requests } = told;
    const groups: RequestGroup[] = requests.map((
      { fd, chip, path, offsets, indices },
    ) => ({
      request: stack.use(
        new LineRequest(
          fd,
          chip,
          offsets.map((offset, bit) => ({
            offset,
            settings: makeSettings(values[indices[bit]!]!),
          })),
        ),
      ),
      chipPath: path,
      indices,
    }));
    using toldBy = new OwnedFd(
      socket,
      "the socket of the process that passes lines",
    );
    send(toldBy.fd, TAKEN);
    return { outputs: new Outputs(ids, groups, values), before };
  } catch (error) {
    throw new ToolError(`no lines were received: ${explainError(error)}`, {
      cause: error,
    });
  }
}
