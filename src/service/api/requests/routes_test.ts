import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { ApiRoutes, type RequestContext } from "../routes/api_routes.ts";
import { HttpError } from "./messages.ts";
import { openApi } from "../answers/openapi.ts";
import {
  checkConditions,
  checkOrigin,
  checkParameters,
  findRoute,
  type Route,
} from "./routes.ts";

const ROUTES = [{
  method: "GET",
  path: /^\/v1\/aggregators\/([^/]+)$/,
  mayLook: true,
  handle() {},
}] as unknown as readonly Route[];

interface Operation {
  parameters?: { name: string; in: string; schema: { type?: string } }[];
  responses: object;
}

function find(url: string) {
  return findRoute(
    ROUTES,
    { url, method: "GET" } as Parameters<typeof findRoute>[1],
  );
}

Deno.test("findRoute() reads a path, a name and a query, also behind a host", () => {
  for (
    const target of [
      "/v1/aggregators/press?x=1",
      "/v1/aggregators/pre%73s?x=1",
      "http://localhost/v1/aggregators/press?x=1",
    ]
  ) {
    const { name, query } = find(target);
    assertEquals([name, query.get("x")], ["press", "1"], target);
  }
});

Deno.test("findRoute() takes no part of a path for a host", () => {
  for (
    const target of [
      "//v1/aggregators/press",
      "//host/v1/aggregators/press",
      "///v1/aggregators/press",
      "/v1/aggregators/press/",
      "/\\host/v1/aggregators/press",
    ]
  ) {
    const { status, message } = assertThrows(() => find(target), HttpError);
    assertEquals(status, 404, target);
    assertEquals(
      message,
      `There is nothing at ${target.replaceAll("\\", "/")}`,
    );
  }
});

Deno.test("findRoute() suggests the path that was probably meant", () => {
  for (
    const [target, hint] of [
      ["/v1/aggregators/press/", "Did you mean /v1/aggregators/press?"],
      ["/v1//aggregators//press", "Did you mean /v1/aggregators/press?"],
      ["/aggregators/press", "Did you mean /v1/aggregators/press?"],
      ["/v1/nothing", "/openapi.json lists all paths"],
      ["/", "/openapi.json lists all paths"],
    ] as const
  ) {
    const error = assertThrows(() => find(target), HttpError);
    assertEquals([error.status, error.hint], [404, hint], target);
  }
});

Deno.test("checkConditions() refuses conditions that cannot be looked at", () => {
  const check = (headers: Record<string, string>) =>
    checkConditions({ method: "DELETE", headers });
  check({});
  check({ "if-match": "*", "if-none-match": '"a"' });
  for (const name of ["if-match", "if-unmodified-since"]) {
    const { status, message } = assertThrows(
      () => check({ [name]: '"a"' }),
      HttpError,
    );
    assertEquals(status, 412);
    assertStringIncludes(
      message,
      `Cannot DELETE under the condition of ${name}`,
    );
  }
});

Deno.test("checkOrigin() refuses changes that a web page asks for", () => {
  checkOrigin({ method: "POST", headers: { host: "localhost:9464" } });
  for (
    const origin of ["http://evil\x1b[2J", "http://localhost:9464", "null"]
  ) {
    const { status, message } = assertThrows(
      () => checkOrigin({ method: "POST", headers: { origin } }),
      HttpError,
    );
    assertEquals(status, 403);
    assertStringIncludes(message, "Cannot POST for the web page of ");
    assertEquals(message.includes("\x1b"), false);
  }
});

Deno.test("checkParameters() refuses what a route does not have, as text", () => {
  const LINE = { line: "repeatable", limit: "once" } as const;
  checkParameters(new URLSearchParams("line=A&line=B&limit=1"), LINE);
  checkParameters(new URLSearchParams(""), {});
  for (
    const [query, known, message, hint] of [
      ["line=A&lin=B", LINE, 'Unknown query parameter "lin"', "mean line?"],
      ["LIMIT=1", LINE, 'Unknown query parameter "LIMIT"', "mean limit?"],
      ["x=1", LINE, 'Unknown query parameter "x"', "are line, limit"],
      ["limit=1&limit=2", LINE, "limit is given twice", ""],
      ["line=", LINE, "line is empty", "Leave it out"],
      ["toString=1", LINE, 'Unknown query parameter "toString"', "are line"],
      [
        "%1b[2J%0aforged=1",
        {},
        'Unknown query parameter "\\x1b[2J\\nforged"',
        "no query parameters",
      ],
    ] as const
  ) {
    const error = assertThrows(
      () => checkParameters(new URLSearchParams(query), known),
      HttpError,
    );
    assertEquals([error.status, error.message], [400, message]);
    assertStringIncludes(error.hint, hint);
  }
});

Deno.test("the OpenAPI document has each route, with its parameters", () => {
  const context = { hub: {}, creations: {} } as unknown as RequestContext;
  const inTable = new ApiRoutes(context).all.map(({ method, path, query }) => [
    `${method} ${path.source}`,
    query ?? {},
  ]);
  const { paths } = openApi() as {
    paths: Record<string, Record<string, Operation>>;
  };
  const inDocument = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, operation]) => {
      if (method === "parameters") return [];
      assertEquals(
        Object.hasOwn(operation.responses, "400"),
        true,
        `${method} ${path} refuses unknown parameters with 400`,
      );
      const { source } = new RegExp(
        `^${path.replaceAll(/[/.]/g, "\\$&").replace("{name}", "([^/]+)")}$`,
      );
      const parameters = (operation.parameters ?? []).filter((one) =>
        one.in === "query"
      );
      return [[
        `${method.toUpperCase()} ${source}`,
        Object.fromEntries(parameters.map(({ name, schema }) => [
          name,
          schema.type === "array" ? "repeatable" : "once",
        ])),
      ]];
    })
  );
  const sorted = (all: unknown[][]) =>
    Object.entries(Object.fromEntries(all)).toSorted(([a], [b]) =>
      a < b ? -1 : 1
    );
  assertEquals(sorted(inDocument), sorted(inTable));
});
