import { assertEquals, assertRejects } from "@std/assert";
import type { AggregatorState } from "../../client/protocol.ts";
import { ConfigError } from "../../config/document/config_error.ts";
import { NotThereError } from "../not_there.ts";
import { chooseService } from "./service_of_lines.ts";

/** A service with aggregators, each with a line named so. */
function service(name: string, aggregators: Record<string, string>) {
  const list = Object.entries(aggregators).map(([name, line]) => ({
    name,
    lines: [{ name: line, lineNumber: 0 }],
  }));
  return {
    name,
    client: { list: () => Promise.resolve(list as AggregatorState[]) },
  };
}

const PLANT = service("plant", { press: "START", "oven.2": "HEAT" });
const CRANE = service("crane", { crane: "UP" });
const SPARE = service("spare", { press: "START" });

Deno.test("chooseService() finds the service that has the lines", async () => {
  for (
    const [words, expected] of [
      [["press"], PLANT],
      [["press.START", "crane.UP"], PLANT],
      [["oven.2.HEAT"], PLANT],
      [["crane"], CRANE],
    ] as const
  ) {
    const services = words.length > 1 ? [PLANT] : [PLANT, CRANE];
    assertEquals(await chooseService(services, words), expected);
  }
  // The only one, whatever it has.
  assertEquals(await chooseService([CRANE], ["press"]), CRANE);
});

Deno.test("chooseService() suggests a name that a service has", async () => {
  const error = await assertRejects(
    () => chooseService([PLANT, CRANE], ["pres.START"]),
    NotThereError,
    "None of the 2 running services has pres.START",
  );
  assertEquals(error.hint.includes("press.START"), true, error.hint);
});

Deno.test("chooseService() refuses to choose among several", async () => {
  const error = await assertRejects(
    () => chooseService([PLANT, SPARE, CRANE], ["press"]),
    ConfigError,
    "plant, spare",
  );
  assertEquals(error.hint, "Choose one with --api PATH or --api NAME");
  await assertRejects(() => chooseService([PLANT, CRANE], []), ConfigError);
});
