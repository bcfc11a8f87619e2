import { assertEquals } from "@std/assert";
import type { ApiEvent } from "../../../client/protocol.ts";
import { openApi } from "./openapi.ts";

/** Every event that there is: a new one is missing here as a type error. */
const EVENTS: Record<ApiEvent["event"], string> = {
  snapshot: "SnapshotEvent",
  created: "AggregatorEvent",
  changed: "AggregatorEvent",
  removed: "AggregatorEvent",
  connected: "AggregatorEvent",
  disconnected: "AggregatorEvent",
  started: "AggregatorEvent",
  stopped: "AggregatorEvent",
  gone: "AggregatorEvent",
  waiting: "AggregatorEvent",
  fault: "AggregatorEvent",
  refused: "AggregatorEvent",
  silent: "AggregatorEvent",
  enforced: "AggregatorEvent",
  forced: "AggregatorEvent",
  unforced: "AggregatorEvent",
  unplugged: "AggregatorEvent",
  plugged: "AggregatorEvent",
  lines: "LinesEvent",
  edges: "EdgesEvent",
  lost: "LostEvent",
};

interface Schema {
  oneOf?: { $ref: string }[];
  discriminator?: { propertyName: string; mapping: Record<string, string> };
  required?: string[];
  properties?: Record<string, { enum?: string[]; default?: unknown }>;
}

interface Operation {
  responses: Record<string, {
    content?: Record<string, { schema: { $ref?: string } }>;
  }>;
}

const { paths, components: { schemas } } = openApi() as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
};

Deno.test("an event's schema is told by its name, for every event", () => {
  const { oneOf = [], discriminator } = schemas["Event"]!;
  assertEquals(discriminator?.propertyName, "event");
  const mapping = discriminator?.mapping ?? {};
  assertEquals(
    mapping,
    Object.fromEntries(
      Object.entries(EVENTS).map((
        [event, schema],
      ) => [event, `#/components/schemas/${schema}`]),
    ),
  );
  assertEquals(
    oneOf.map(({ $ref }) => $ref),
    [...new Set(Object.values(mapping))],
  );
  for (const [event, schema] of Object.entries(EVENTS)) {
    const { required = [], properties = {} } = schemas[schema]!;
    assertEquals(properties["event"]!.enum!.includes(event), true);
    assertEquals(
      required,
      Object.keys(properties).filter((key) => key !== "time"),
    );
  }
});

Deno.test("what a request may leave out has no default, which makes it required in typed clients", () => {
  const { required = [], properties = {} } = schemas["CreateRequest"]!;
  for (const [name, schema] of Object.entries(properties)) {
    assertEquals(
      schema.default,
      undefined,
      `${name} is optional: ${required}`,
    );
  }
});

Deno.test("the answer of a creation is told by its content type", () => {
  const { content = {} } = paths["/v1/aggregators"]!["post"]!.responses["201"]!;
  assertEquals(
    Object.entries(content).map(([type, { schema }]) => [type, schema.$ref]),
    [
      ["application/json", "#/components/schemas/Aggregator"],
      ["application/x-ndjson", "#/components/schemas/LeaseMessage"],
    ],
  );
});
