/**
 * `gpioagg ui`.
 *
 * @module
 */
import { fileStatus } from "../../../ffi/file_status.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { listenLoopback, loopbackPort } from "../../../ffi/tcp_socket.ts";
import { socketSuggestion } from "../../client/similar_socket.ts";
import { surviveFileSizeLimit } from "../../async/file_size_limit.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { ServiceManager } from "../../service/restart/service_manager.ts";
import { Gate, newToken } from "../../web/gate.ts";
import { WebServer } from "../../web/web_server.ts";
import { noRest } from "../arguments/arguments.ts";
import { argumentsOrHelp } from "../arguments/command_arguments.ts";
import { writeError, writeLine } from "../output/output.ts";
import { selectClient } from "../service_client.ts";
import { tokenIn } from "../token_file.ts";
import { printableJson } from "../../text/printable.ts";
import {
  API_OPTION,
  type CommandUsage,
  HELP_OPTION,
  JSON_OPTION,
} from "../usage/usage.ts";

const DEFAULT_PORT = 9464;
const MAX_PORT = 65_535;
/** Name of the socket that a service manager hands over. */
const WEB_SOCKET = "web";

/** The command line. */
export const USAGE = {
  name: "ui",
  synopsis: ["[--port N] [--change] [--token-file FILE] [--json]"],
  about:
    `Shows a running service in a browser of this host: lines, waves, events. Listens
on 127.0.0.1 until interrupted, and prints the address, whose last part is the
token that a browser needs. Read only, unless --change lets it pull simulated
lines. From another host: ssh -L ${DEFAULT_PORT}:127.0.0.1:${DEFAULT_PORT} HOST.

A service manager may hand over the listening socket by the name "${WEB_SOCKET}"
(gpioagg-web.socket).`,
  operands: [],
  options: {
    port: {
      kind: "value",
      value: "N",
      help: `TCP port (default: ${DEFAULT_PORT}); 0: any that is free`,
    },
    change: {
      kind: "flag",
      help: "offer to pull simulated lines; needs access to the control socket",
    },
    "token-file": {
      kind: "value",
      value: "FILE",
      help: "the token is in FILE; made there (mode 0600) if it does not exist",
      completes: "file",
    },
    json: {
      ...JSON_OPTION,
      help: "print the address as one JSON object",
    },
    api: API_OPTION,
    help: HELP_OPTION,
  },
} as const satisfies CommandUsage;

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = argumentsOrHelp(args, USAGE);
  if (given === undefined) return 0;
  noRest(given, "gpioagg ui");
  const port = readPort(given.port);
  const file = given["token-file"];
  const upstream = {
    look: selectClient(given.api, "look").socketPath,
    change: given.change
      ? selectClient(given.api, "change").socketPath
      : undefined,
  };
  surviveFileSizeLimit();
  const token = file === undefined ? newToken() : tokenIn(file, newToken());
  // A service may begin later, but a path may be a slip too.
  if (isAbsent(upstream.look)) {
    writeError(
      `there is no socket at ${upstream.look} yet` +
        (socketSuggestion(upstream.look) ||
          "; the page shows the service once it listens there"),
    );
  }
  using manager = new ServiceManager(writeError);
  const listener = manager.takeListeners().get(WEB_SOCKET) ?? listen(port);
  const bound = loopbackPort(listener.fd);
  if (bound === undefined) {
    throw new Error(
      `The service manager's socket "${WEB_SOCKET}" is not a TCP socket that ` +
        "listens on the loopback interface: use ListenStream=127.0.0.1:" +
        `${DEFAULT_PORT}`,
    );
  }
  using _server = new WebServer(listener, new Gate(token), upstream);
  const address = `http://127.0.0.1:${bound}/`;
  const shown = file === undefined ? `${address}#${token}` : address;
  writeLine(given.json ? printableJson({ address: shown }) : shown);
  manager.ready(`at ${address}`, () => Promise.resolve());
  await interrupted();
  manager.stopping();
  return 0;
}

/** Returns true if the socket is known to be absent. */
function isAbsent(path: string): boolean {
  try {
    return fileStatus(path)?.kind !== "socket";
  } catch (error) {
    if (!isOsError(error)) throw error;
    return false;
  }
}

function readPort(text: string | undefined): number {
  const port = text === undefined ? DEFAULT_PORT : Number(text);
  if (text !== undefined && !/^\d{1,5}$/.test(text) || port > MAX_PORT) {
    throw new ConfigError(`"${text}" is not a valid port`, {
      path: "--port",
      hint: `Write 0 to ${MAX_PORT}`,
    });
  }
  return port;
}

function listen(port: number): OwnedFd {
  try {
    return listenLoopback(port);
  } catch (error) {
    if (!isOsError(error, "EADDRINUSE")) throw error;
    throw new Error(
      `Port ${port} of 127.0.0.1 is in use; take another one: --port 0`,
      { cause: error },
    );
  }
}

/** Resolves at SIGINT or SIGTERM. */
function interrupted(): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      for (const signal of SIGNALS) Deno.removeSignalListener(signal, end);
      resolve();
    };
    for (const signal of SIGNALS) Deno.addSignalListener(signal, end);
  });
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
