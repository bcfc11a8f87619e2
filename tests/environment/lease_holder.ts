/**
 * Holds the lease of an aggregator until it is killed: the program that a test
 * kills.
 *
 * Usage: lease_holder.ts API_SOCKET REQUEST
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";

const [apiSocket = "", request = ""] = Deno.args;
await using lease = await new ServiceClient(apiSocket).create(
  JSON.parse(request),
);
console.log(JSON.stringify(lease.state));
console.log(await lease.ended);
