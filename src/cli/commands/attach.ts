/**
 * `gpioagg run --attach`: gives aggregators of a running service to a VM.
 *
 * @module
 */
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import {
  API_SOCKET_NAME,
  LOOK_SOCKET_NAME,
  type QemuPinsState,
  type UsbredirState,
} from "../../client/protocol.ts";
import { socketSuggestion } from "../../client/similar_socket.ts";
import { defaultControlPath } from "../../config/specification.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { absolutePath } from "../arguments/absolute_path.ts";
import { ControlClient } from "../../service/control/control_client.ts";
import type { AggregatorDescription } from "../../service/messages/messages.ts";
import { findControlSocket } from "../control_path.ts";
import { clientFor, withSuggestion } from "../service_client.ts";
import type { VmSocket } from "../../vm/vmm_arguments.ts";

/** Sockets of aggregators that a service presents. */
export interface Attached {
  readonly sockets: readonly VmSocket[];
  readonly cards: readonly VmSocket[];
  readonly adapters: readonly UsbredirState[];
  readonly pins: readonly QemuPinsState[];
}

/** `--attach` and `--api`, taken out of the arguments of `run`. */
interface AttachArguments {
  /** Names of aggregators, and paths of vhost-user sockets. */
  readonly targets: readonly string[];
  readonly api: string | undefined;
  /** All other arguments, in order. */
  readonly rest: readonly string[];
}

const HOW = "gpioagg run --attach NAME -- VMM ARGUMENT...";

/**
 * Removes `--attach NAME|PATH`, which can be repeated, and `--api` from `args`.
 *
 * @throws {ConfigError} If one has no value, or `--api` is repeated.
 */
export function takeAttach(args: readonly string[]): AttachArguments {
  const targets: string[] = [];
  const rest: string[] = [];
  let api: string | undefined;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i]!;
    const [, name, value] = /^--(attach|api)(?:=(.*))?$/s.exec(arg) ?? [];
    if (name === undefined) {
      rest.push(arg);
      // The value of an option with a separate value is never an option.
      if (arg === "--line" && args[i + 1] !== undefined) rest.push(args[++i]!);
      continue;
    }
    const given = value ?? args[++i];
    if (given === undefined || given === "" || given.startsWith("--")) {
      throw new ConfigError("needs a value", { path: `--${name}`, hint: HOW });
    }
    if (name === "attach") targets.push(given);
    else if (api === undefined) api = given;
    else throw new ConfigError("is given twice", { path: "--api" });
  }
  // Without --attach it is rejected like other options of a service.
  if (targets.length === 0) return { targets, api: undefined, rest: args };
  return { targets, api, rest };
}

/**
 * Finds the sockets of the targets.
 *
 * @throws {ConfigError} If one cannot be attached to a VMM, or is repeated.
 * @throws {Error} If no service has it, or another VMM uses it.
 */
export async function attach(
  { targets, api }: AttachArguments,
): Promise<Attached> {
  const sockets: VmSocket[] = [];
  const cards: VmSocket[] = [];
  const adapters: UsbredirState[] = [];
  const pins: QemuPinsState[] = [];
  for (const target of targets) {
    if (target.includes("/")) {
      sockets.push(socketAt(target));
      continue;
    }
    const state = await findAggregator(target, api);
    refuseUnusable(state);
    if (state.qemuPins !== undefined) pins.push(state.qemuPins);
    else if (state.usbredir !== undefined) adapters.push(state.usbredir);
    else if (state.vfioUser !== undefined) {
      cards.push({ name: state.name, path: state.vfioUser.socketPath });
    } else sockets.push({ name: state.name, path: state.socketPath! });
  }
  for (const [i, { name }] of sockets.entries()) {
    if (sockets.findIndex((one) => one.name === name) !== i) {
      throw new ConfigError(`the name "${name}" is given twice`, {
        path: "--attach",
      });
    }
  }
  return { sockets, cards, adapters, pins };
}

/**
 * Queries an aggregator's service about it. Where no service that is found by
 * itself has it (its control API is at a path of its own, or it has none), the
 * aggregator's own control socket is asked.
 *
 * @throws {Error} If there is neither.
 */
async function findAggregator(
  name: string,
  api: string | undefined,
): Promise<AggregatorDescription> {
  try {
    const client = await clientFor(name, api, "look");
    return await withSuggestion(client, name, (client) => client.show(name));
  } catch (error) {
    const path = api === undefined ? findControlSocket(name) : undefined;
    if (path === undefined) throw error;
    try {
      using control = new ControlClient(path);
      return control.ask({});
    } catch (cause) {
      // One that has ended, or another user's, does not count.
      if (!isOsError(cause)) throw cause;
      throw error;
    }
  }
}

function refuseUnusable(state: AggregatorDescription): void {
  const { name, kernelChip, qemuPins, vfioUser, usbredir, connected } = state;
  // QEMU's own sockets are there once it runs.
  if (usbredir?.connects === true) return;
  const socketPath = usbredir?.sockets[0] ?? vfioUser?.socketPath ??
    state.socketPath;
  if (kernelChip !== undefined) {
    throw new ConfigError(
      `is a chip of the host's kernel, ${kernelChip.path}, which a VMM cannot use`,
      {
        path: `--attach ${name}`,
        hint: "Give the aggregator a vhost-user socket",
      },
    );
  }
  if (qemuPins === undefined && socketPath === undefined) {
    throw new ConfigError("has no socket in the file system", {
      path: `--attach ${name}`,
      hint: "Its service got the socket as a file descriptor: give its " +
        "path, --attach PATH",
    });
  }
  if (qemuPins === undefined && connected) {
    throw new Error(
      `Cannot attach ${name}: another VMM is connected to ${socketPath}`,
    );
  }
}

function socketAt(target: string): VmSocket {
  const path = absolutePath(target);
  const kind = fileStatus(path)?.kind;
  if (kind !== "socket") {
    throw new Error(
      kind === undefined
        ? `Cannot attach ${path}: there is no such socket${
          socketSuggestion(path) || "; is its service running?"
        }`
        : `Cannot attach ${path}: it is a ${kind}, not a socket`,
    );
  }
  const other = otherPurpose(path);
  if (other !== undefined) {
    throw new ConfigError(`is ${other}, not a vhost-user socket`, {
      path: `--attach ${target}`,
      hint: "gpioagg list shows the sockets of aggregators; --attach NAME " +
        "finds them by itself",
    });
  }
  const file = path.slice(path.lastIndexOf("/") + 1);
  return { name: file.replace(/\.sock(et)?$/, ""), path };
}

/**
 * Returns the purpose of one of gpioagg's other sockets; undefined for any that
 * may be a vhost-user socket. It is not connected to: some back ends serve one
 * connection, and end with it.
 */
function otherPurpose(path: string): string | undefined {
  const file = path.slice(path.lastIndexOf("/") + 1);
  if (file.endsWith(".control")) {
    return "the control socket of an aggregator (for gpioagg sim)";
  }
  const isApi = file === API_SOCKET_NAME || file === LOOK_SOCKET_NAME;
  // An aggregator may have such a name; then it has a control socket as well.
  return isApi && fileStatus(defaultControlPath(path)) === undefined
    ? "the socket of a service's control API (for --api)"
    : undefined;
}
