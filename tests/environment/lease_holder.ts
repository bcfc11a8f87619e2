/**
 * Holds the lease of an aggregator until it is killed: the program that a test
 * kills.
 *
 * Usage: lease_holder.ts API_SOCKET NAME SPEC...
 *
 * @module
 */
import { ServiceClient } from "../../src/client/client.ts";

const [apiSocket = "", name = "", ...lines] = Deno.args;
await using lease = await new ServiceClient(apiSocket).create({ name, lines });
console.log(lease.socketPath);
console.log(await lease.ended);
