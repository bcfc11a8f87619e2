import { assertEquals, assertThrows } from "@std/assert";
import { HttpError } from "./messages.ts";
import { checkParameters, findRoute, type Route } from "./routes.ts";

const ROUTES = [{
  method: "GET",
  path: /^\/v1\/aggregators\/([^/]+)$/,
  mayLook: true,
  handle() {},
}] as unknown as readonly Route[];

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

Deno.test("checkParameters() refuses what a route does not take, as text", () => {
  checkParameters(new URLSearchParams("line=A&line=B"), ["line"]);
  checkParameters(new URLSearchParams(""), []);
  const refused = (query: string, known: readonly string[]) =>
    assertThrows(
      () => checkParameters(new URLSearchParams(query), known),
      HttpError,
    );
  assertEquals(
    refused("line=A&lin=B", ["line"]).message,
    'Unknown query parameter "lin"',
  );
  assertEquals(
    refused("%1b[2J%0aforged=1", []).message,
    'Unknown query parameter "\\x1b[2J\\nforged"',
  );
});
