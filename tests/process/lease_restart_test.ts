/** Leases of clients go on over a restart under a service manager. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { ServiceClient } from "../../src/client/client.ts";
import {
  type ApiAnswer,
  readText,
  sendRequest,
} from "../../src/client/http_request.ts";
import { ManagerDouble } from "../environment/manager_double.ts";
import { ChildProcess } from "../environment/process.ts";
import { PROGRAM, PROGRAM_FILE } from "../environment/program.ts";
import { RawLease } from "../environment/raw_lease.ts";
import { RawGuest } from "../environment/raw_guest.ts";
import { until } from "../environment/wait.ts";

const GET_VALUE = 4;
/** Longer than any wait of a test. */
const LIMIT_MS = 120_000;

/** A service whose clients may do all. */
function serving({ directory }: ManagerDouble): string[] {
  return [
    `--api=${directory}/api.sock`,
    `--api-look=${directory}/look.sock`,
    `--api-sockets=${directory}`,
    `--audit-log=${directory}/audit.log`,
  ];
}

/** Asks as a client without a library does. */
async function ask(
  { directory }: ManagerDouble,
  method: "GET" | "POST",
  path: string,
  body?: unknown,
  socket = "api",
): Promise<ApiAnswer> {
  return await sendRequest(
    `${directory}/${socket}.sock`,
    { method, path, ...(body === undefined ? {} : { body }) },
    LIMIT_MS,
  );
}

/** Status of a request to take back a lease. */
async function refusal(
  manager: ManagerDouble,
  name: string,
  body: unknown,
  socket?: string,
): Promise<number> {
  const path = `/v1/aggregators/${name}/lease`;
  const answer = await ask(manager, "POST", path, body, socket);
  await readText(answer.body);
  return answer.status;
}

Deno.test("leases and their guests go on over restarts; those of clients that died meanwhile end", async () => {
  await using manager = new ManagerDouble();
  await manager.start(serving(manager));
  const api = `${manager.directory}/api.sock`;
  const client = new ServiceClient(api, { limitMs: LIMIT_MS });
  await using lease = await client.create({
    name: "own",
    lines: ["sim/1,direction=output,safe=0"],
  });
  await using lost = await client.create({ name: "lost", lines: ["sim/1"] });
  await using maker = new ChildProcess({
    command: PROGRAM_FILE,
    args: [
      ...PROGRAM,
      ...["create", "other", "--line", "sim/1", "--api", api],
    ],
  });
  await maker.waitFor("other.sock");
  using guest = await RawGuest.start(lease.socketPath);
  const names = async () =>
    (await client.list()).map(({ name }) => name).toSorted();
  for (const signal of ["SIGUSR2", "SIGKILL"] as const) {
    await manager.stop(signal);
    guest.ask(GET_VALUE, 0);
    if (signal === "SIGUSR2") {
      // A store without room for it.
      manager.store.get("aggregator.lost")!.close();
      manager.store.delete("aggregator.lost");
    } else maker.kill("SIGKILL");
    await manager.start(serving(manager));
    await guest.settle();
    if (signal === "SIGUSR2") {
      await maker.waitFor("other: the service is back", { stream: "stderr" });
      assertStringIncludes(maker.stderr, "other: the service is gone; waiting");
    }
    assertEquals(await names(), ["other", "own"]);
    assertEquals((await client.show("own")).lease, "stream");
  }
  assertMatch(await lost.ended, /outlive a restart: .*no aggregator "lost"/);
  // Its client is not back, and it ends as it does when a client dies.
  await until("its end", async () => (await names()).join() === "own");
  const told = (text: string) =>
    Deno.readTextFileSync(`${manager.directory}/audit.log`).split(text).length -
    1;
  await until(
    "it is told of",
    () => told('"lease-end","aggregator":"other"') === 1,
  );
  assertEquals(told('"lease-resume","aggregator":"own"'), 2);
  await lease[Symbol.asyncDispose]();
  assertEquals(await names(), []);
  assertEquals(await lease.ended, "the connection is closed");
  await until("none is kept", () => manager.stored("aggregator.").length === 0);
});

Deno.test("a lease is taken back by its token only, which nothing shows", async () => {
  await using manager = new ManagerDouble();
  await manager.start(serving(manager));
  const api = `${manager.directory}/api.sock`;
  using lease = await RawLease.create(api, { name: "a", lines: ["sim/1"] });
  const { token = "" } = lease;
  assertMatch(token, /^[\w-]{43}$/);
  assertEquals(await refusal(manager, "a", { token }), 409, "it is held");
  await manager.stop("SIGKILL");
  await manager.start(serving(manager));
  const other = token.slice(0, -2) + (token.endsWith("AA") ? "BB" : "AA");
  for (
    const [name, body, status, socket] of [
      ["a", { token: other }, 403],
      ["a", { token, tokens: 1 }, 400],
      ["a", { token: 5 }, 400],
      ["a", {}, 400],
      ["b", { token }, 404],
      ["a", { token }, 403, "look"],
    ] as const
  ) assertEquals(await refusal(manager, name, body, socket), status);

  const resumed = await RawLease.resume(api, "a", token);
  assertEquals([resumed.state.name, resumed.token], ["a", undefined]);
  assertEquals(await refusal(manager, "a", { token }), 409);

  const texts = [
    manager.log,
    Deno.readTextFileSync(`${manager.directory}/audit.log`),
  ];
  for (const path of ["/v1/aggregators", "/v1/aggregators/a", "/metrics"]) {
    texts.push(await readText((await ask(manager, "GET", path)).body));
  }
  for (const text of texts) {
    assert(text.length > 0 && !text.includes(token), text);
  }
  resumed[Symbol.dispose]();
  const client = new ServiceClient(api);
  await until("its end", async () => (await client.list()).length === 0);
});
