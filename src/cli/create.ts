/**
 * `gpioagg create`: an aggregator that lives as long as this command.
 *
 * @module
 */
import type { AggregatorState, CreateRequest } from "../client/protocol.ts";
import { ConfigError } from "../config/config_error.ts";
import { readArguments } from "./arguments.ts";
import { writeError, writeOutput } from "./output.ts";
import { API_HELP, clientOf } from "./service_client.ts";

/** Runs the command. */
export async function main(args: readonly string[]): Promise<number> {
  const given = readArguments(args, {
    help: "flag",
    json: "flag",
    detach: "flag",
    api: "value",
    line: "values",
    mode: "value",
    owner: "value",
    group: "value",
  });
  if (given.help) {
    writeOutput(HELP);
    return 0;
  }
  const [name, ...others] = given.rest;
  if (name === undefined || others.length > 0 || given.line.length === 0) {
    throw new ConfigError("needs one NAME, and lines", {
      hint: "gpioagg create NAME --line SPEC...",
    });
  }
  const { mode, owner, group } = given;
  const socket = {
    ...(mode === undefined ? {} : { mode }),
    ...(owner === undefined ? {} : { owner }),
    ...(group === undefined ? {} : { group }),
  };
  const request: Omit<CreateRequest, "lease"> = {
    name,
    lines: given.line,
    socket,
  };
  const tell = (state: AggregatorState) =>
    writeOutput(given.json ? JSON.stringify(state) : state.socketPath ?? name);
  const client = clientOf(given.api);
  if (given.detach) {
    tell(await client.createLasting(request));
    return 0;
  }
  await using lease = await client.create(request);
  const told = Promise.withResolvers<void>();
  const onSignal = () => told.resolve();
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, onSignal);
  try {
    tell(lease.state);
    const reason = await Promise.race([lease.ended, told.promise]);
    if (reason === undefined) return 0;
    writeError(`${name} is gone: ${reason}`);
    return 1;
  } finally {
    for (const signal of signals) Deno.removeSignalListener(signal, onSignal);
  }
}

const HELP = `Usage: gpioagg create NAME --line SPEC... [--detach]

Makes an aggregator in a running service (gpioagg serve --api PATH) and prints
its vhost-user socket. It lives as long as this command: when that ends, however
it ends, the guest is disconnected, the lines get their safe state and are
released, and the socket is removed.

  --line SPEC  add lines, as for gpioagg serve
  --detach     return at once; it lives until gpioagg remove, or the service's
               end
  --mode MODE, --owner USER, --group GROUP
               who may connect to the socket
  --json       tell all about it, as one JSON object
${API_HELP}
  -h, --help   this text`;
