/** Many lines: they are all told of, and no guest waits long for it. */
import { assertEquals, assertRejects } from "@std/assert";
import { ServiceError } from "../../src/client/client.ts";
import { MAX_CREATED_LINES } from "../../src/client/requests.ts";
import { ApiService } from "../environment/api_service.ts";

Deno.test("a list and the metrics tell of all aggregators, in turns", async () => {
  await using service = await ApiService.start({
    aggregators: { own: ["sim/700"] },
  });
  const { client } = service;
  const lines = (count: number) => [`sim/${count},direction=output,initial=1`];
  const sizes = { a: 700, b: MAX_CREATED_LINES, c: 1, d: 2000, e: 1 };
  for (const [name, size] of Object.entries(sizes)) {
    await client.createLasting({ name, lines: lines(size) });
  }
  const all = (await client.list()).map((
    { name, lines },
  ) => [name, lines.length]);
  assertEquals(all, [["own", 700], ...Object.entries(sizes)]);
  const uptimes = (await client.metrics())
    .matchAll(
      /^gpioagg_aggregator_uptime_seconds\{aggregator="(.*)"\} (.*)$/gm,
    );
  assertEquals([...uptimes].map(([, name]) => name), [
    "own",
    ...Object.keys(sizes),
  ]);
  // What is removed in between leaves no gap.
  await client.remove("b");
  assertEquals((await client.list()).map(({ name }) => name), [
    "own",
    "a",
    "c",
    "d",
    "e",
  ]);
});

Deno.test("a client's aggregator has a bounded number of lines", async () => {
  await using service = await ApiService.start();
  const error = await assertRejects(
    () =>
      service.client.createLasting({
        name: "a",
        lines: [`sim/${MAX_CREATED_LINES}`, "sim/1"],
      }),
    ServiceError,
    `lines: has more than the ${MAX_CREATED_LINES} lines`,
  );
  assertEquals(error.status, 400);
});
