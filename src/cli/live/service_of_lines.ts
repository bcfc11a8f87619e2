/**
 * Finds the running service that has the lines of a command line.
 *
 * @module
 */
import type { ServiceClient } from "../../client/client.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { nearest } from "../../text/nearest.ts";
import { type Access, selectClients } from "../service_client.ts";
import { NotThereError } from "../not_there.ts";
import { displayName, listSplits } from "./line_names.ts";

/**
 * Returns the client of the service that has aggregators of these words (`NAME`
 * or `NAME.LINE`); of the only service, whatever it has.
 *
 * @throws {Error} If there is no service, or not exactly one of several has them.
 */
export async function serviceOfLines(
  words: readonly string[],
  api: string | undefined,
  access: Access,
): Promise<ServiceClient> {
  return (await chooseService(selectClients(api, access), words)).client;
}

/** A service that can be asked for what it has. */
interface Candidate {
  readonly name: string;
  readonly client: Pick<ServiceClient, "list">;
}

/** The same among services that are given: the only one, or that with the lines. */
export async function chooseService<Service extends Candidate>(
  services: readonly Service[],
  words: readonly string[],
): Promise<Service> {
  const [only, ...others] = services;
  if (only !== undefined && others.length === 0) return only;
  const names = new Set(
    words.flatMap((word) => [word, ...listSplits(word).map(([name]) => name)]),
  );
  const offered: string[] = [];
  const having: Service[] = [];
  for (const service of services) {
    const aggregators = await service.client.list();
    for (const { name, lines } of aggregators) {
      offered.push(
        name,
        ...lines.map((line) => `${name}.${displayName(line)}`),
      );
    }
    if (words.length > 0 && !aggregators.some(({ name }) => names.has(name))) {
      continue;
    }
    having.push(service);
  }
  if (having.length === 1) return having[0]!;
  const hint = "Choose one with --api PATH or --api NAME";
  if (having.length === 0) {
    throw new NotThereError(
      `None of the ${services.length} running services has ${words.join(", ")}`,
      hint,
      nearest(words[0] ?? "", offered),
    );
  }
  throw new ConfigError(
    `several services can do this: ${
      having.map(({ name }) => name).join(", ")
    }`,
    { hint },
  );
}
