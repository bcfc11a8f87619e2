/**
 * Finds the running service that a command talks to.
 *
 * @module
 */
import { ownRuntimeDirectory } from "../../ffi/runtime_directory.ts";
import { ServiceClient, ServiceError } from "../client/client.ts";
import { API_SOCKET_NAME, LOOK_SOCKET_NAME } from "../client/protocol.ts";
import {
  findServices,
  type FoundService,
  serviceDirectories,
} from "../client/services.ts";
import { ConfigError } from "../config/document/config_error.ts";
import { nearest } from "../text/nearest.ts";
import { noAggregator, NotThereError } from "./not_there.ts";

/** Kind of access: reading also works at the look-only socket. */
export type Access = "look" | "change";

/** A service and a client of it. */
interface ServiceWithClient {
  /** Its name; its path if it was given by path. */
  readonly name: string;
  readonly client: ServiceClient;
}

/**
 * Returns the client for `--api`, or for the one running service.
 *
 * @throws {Error} If there is no service, several, or none that this user may
 * access in this way.
 */
export function selectClient(
  api: string | undefined,
  access: Access,
): ServiceClient {
  const [only, ...others] = selectClients(api, access);
  if (only !== undefined && others.length === 0) return only.client;
  throw severalServices([only!, ...others]);
}

/**
 * Returns clients of all running services that this user may access: one or
 * more.
 *
 * @throws {Error} If there is none.
 */
export function selectClients(
  api: string | undefined,
  access: Access,
): ServiceWithClient[] {
  if (api !== undefined && isPath(api)) {
    return [{ name: api, client: new ServiceClient(api) }];
  }
  const found = findServices();
  if (api !== undefined) {
    const named = found.filter(({ name }) => name === api);
    if (named.length === 0) throw unknownService(api, found);
    return usable(named, access);
  }
  return usable(found, access);
}

/**
 * Returns the client of the service that has an aggregator of this name. A
 * single service is not queried: it reports a missing one itself.
 *
 * @throws {Error} If no service has one, or several have.
 */
export async function clientFor(
  name: string,
  api: string | undefined,
  access: Access,
): Promise<ServiceClient> {
  const services = selectClients(api, access);
  if (services.length === 1) return services[0]!.client;
  const names: string[] = [];
  const having: ServiceWithClient[] = [];
  for (const service of services) {
    const aggregators = await service.client.list();
    names.push(...aggregators.map((one) => one.name));
    if (aggregators.some((one) => one.name === name)) having.push(service);
  }
  const [only, ...others] = having;
  if (only === undefined) {
    const near = nearest(name, names);
    throw new NotThereError(
      `No running service has an aggregator "${name}" (${
        formatServices(services)
      })`,
      "gpioagg list shows them",
      near,
    );
  }
  if (others.length > 0) throw severalServices(having);
  return only.client;
}

/**
 * Queries a service about its aggregator `name`. If there is none of that name,
 * the error suggests a similar one.
 *
 * @throws {NotThereError} If there is none.
 * @throws {ServiceError} As `ask` does.
 */
export async function withSuggestion<T>(
  client: ServiceClient,
  name: string,
  ask: (client: ServiceClient) => Promise<T>,
): Promise<T> {
  try {
    return await ask(client);
  } catch (error) {
    if (!(error instanceof ServiceError) || error.status !== 404) throw error;
    throw noAggregator(name, (await client.list()).map((one) => one.name));
  }
}

/** A word without a slash is a service's name, whatever files exist. */
function isPath(api: string): boolean {
  return api.includes("/");
}

function usable(
  found: readonly FoundService[],
  access: Access,
): ServiceWithClient[] {
  const usable = found.flatMap((service) => {
    const path = pathFor(service, access);
    return path === undefined
      ? []
      : [{ name: service.name, client: new ServiceClient(path) }];
  });
  if (usable.length > 0) return usable;
  const [first] = found;
  if (first === undefined) throw noService();
  throw new Error(
    `Cannot reach ${access === "change" ? first.api : first.look}: ${
      explainState(first, access)
    }`,
  );
}

function pathFor(service: FoundService, access: Access): string | undefined {
  if (service.apiState === "served") return service.api;
  return access === "look" && service.lookState === "served"
    ? service.look
    : undefined;
}

function explainState({ apiState, lookState }: FoundService, access: Access) {
  if (access === "change" && lookState === "served") {
    return apiState === "denied"
      ? "EACCES; you may only look at this service: the socket's owner, group " +
        "and mode decide"
      : "this service has a look-only socket and none for changes";
  }
  return "EACCES; you may not use this socket; its owner, group and mode decide";
}

function noService(): Error {
  const directories = serviceDirectories();
  const looked = directories.length === 0
    ? "there is no gpioagg or gpioagg-* directory in $XDG_RUNTIME_DIR or /run"
    : `nothing answers at ${API_SOCKET_NAME} or ${LOOK_SOCKET_NAME} in ${
      directories.join(", ")
    }`;
  const { problem } = ownRuntimeDirectory();
  const why = problem === undefined ? looked : `${looked}. ${problem}`;
  return Object.assign(new Error(`No running service found: ${why}`), {
    hint:
      "Start one (gpioagg serve --api PATH), or name its socket: --api PATH",
  });
}

function unknownService(
  api: string,
  found: readonly FoundService[],
): NotThereError {
  const names = found.map(({ name }) => name);
  return new NotThereError(
    `--api: no service "${api}" is running`,
    names.length === 0
      ? "No service is running; a path needs a slash"
      : `Running: ${names.join(", ")}; a path needs a slash`,
    nearest(api, names),
  );
}

function severalServices(services: readonly ServiceWithClient[]): ConfigError {
  return new ConfigError(
    `several services can do this: ${formatServices(services)}`,
    { hint: "Choose one with --api PATH or --api NAME" },
  );
}

function formatServices(services: readonly ServiceWithClient[]): string {
  return services.map(({ name, client }) =>
    name === client.socketPath ? name : `${name} (${client.socketPath})`
  ).join(", ");
}
