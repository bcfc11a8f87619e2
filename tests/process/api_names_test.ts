/** Owners of names: the file, a client, and a reload between them. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ServiceClient, ServiceError } from "../../src/client/client.ts";
import { ConfigService } from "../environment/config_service.ts";
import { until } from "../environment/wait.ts";

const RACES = 40;
/** Removes what the file's is, too. */
const FORCED = { isForced: true };

/** A file with aggregators of these names. */
const config = (...names: string[]) => (directory: string) => `
aggregators:
  steady: { vhost-user: ${directory}/steady.sock, lines: [sim/1] }
${
  names.map((name) =>
    `  ${name}: { vhost-user: ${directory}/${name}.sock, lines: [sim/1] }`
  ).join("\n")
}
`;

/** Names and leases of all that is served, but for the steady one. */
async function listed(client: ServiceClient): Promise<string[]> {
  return (await client.list()).filter(({ name }) => name !== "steady")
    .map(({ name, lease }) => `${name} ${lease}`);
}

for (const kind of ["stream", "none"] as const) {
  Deno.test(`a reload leaves alone what a client has by a name of the file's (lease ${kind})`, async () => {
    await using service = await ConfigService.start(config("x"));
    const client = new ServiceClient(service.api);
    await client.remove("x", FORCED);
    const request = { name: "x", lines: ["sim/2"] };
    const lease = kind === "stream" ? await client.create(request) : undefined;
    if (kind === "none") await client.createLasting(request);

    const without = await service.hangUp(config());
    assertEquals([without.removed, without.refused], [[], []]);
    assertEquals(await listed(client), [`x ${kind}`]);
    const again = await service.reload(config("x"));
    assertStringIncludes(again.stdout, "a client of the control API has made");
    assertEquals(await listed(client), [`x ${kind}`]);

    // Once it is gone, the name is the file's again.
    if (lease === undefined) await client.remove("x");
    else await lease[Symbol.asyncDispose]();
    assertEquals(await listed(client), []);
    assertEquals((await client.reload()).added, ["x"]);
    assertEquals(await listed(client), ["x service"]);
    await client.remove("x", FORCED);
    await client.createLasting(request);
  });
}

Deno.test("an aggregator that is removed and made at once is its maker's", async () => {
  await using service = await ConfigService.start(config("x"));
  const client = new ServiceClient(service.api);
  for (let race = 0; race < RACES; race++) {
    const [, made] = await Promise.allSettled([
      client.remove("x", FORCED),
      client.createLasting({ name: "x", lines: ["sim/2"] }),
    ]);
    if (made.status === "fulfilled") {
      assertEquals(made.value.lease, "none");
      assertEquals(await listed(client), ["x none"]);
      await client.remove("x");
    } else {
      assert(made.reason instanceof ServiceError, String(made.reason));
      assertEquals(made.reason.status, 409);
      assertEquals(await listed(client), []);
    }
    assertEquals((await client.reload()).added, ["x"]);
  }
});

Deno.test("a reload's result is an event, whatever requested it", async () => {
  await using service = await ConfigService.start(config("x"));
  const client = new ServiceClient(service.api);
  const told: string[] = [];
  const listening = (async () => {
    for await (const event of client.events()) {
      if (event.event === "created" || event.event === "removed") {
        told.push(`${event.event} ${event.aggregator}: ${event.detail}`);
      } else told.push(event.event);
    }
  })();
  await until("the snapshot", () => told.length === 1);
  await service.hangUp(config("y"));
  await until("two events", () => told.length === 3);
  await service.reload(config("z"));
  await until("two more", () => told.length === 5);
  service.process.kill("SIGKILL");
  await listening;
  assertEquals(told, [
    "snapshot",
    "removed x: reloaded",
    "created y: reloaded",
    "removed y: reloaded",
    "created z: reloaded",
  ]);
});
