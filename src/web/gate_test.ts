import { assertEquals, assertMatch } from "@std/assert";
import { Gate, newToken } from "./gate.ts";

const TOKEN = "0123456789abcdef";
const gate = new Gate(TOKEN);
const head = (headers: Record<string, string | string[]>) => ({
  method: "GET",
  headers,
});
const withToken = (headers: Record<string, string | string[]>) =>
  head({ authorization: `Bearer ${TOKEN}`, ...headers });

Deno.test("only loopback names of the host are served", () => {
  for (
    const host of [
      "localhost",
      "localhost:9464",
      "LOCALHOST:1",
      "127.0.0.1:80",
      "[::1]:9464",
    ]
  ) {
    assertEquals(gate.refusePage(head({ host })), undefined);
    assertEquals(gate.refuse(withToken({ host })), undefined);
  }
  for (
    const host of [
      "",
      "evil.example",
      "evil.example:9464",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "localhost:9464@evil.example",
      "127.0.0.2",
      "localhost:",
      "localhost:123456",
      "0.0.0.0:9464",
    ]
  ) {
    assertEquals(gate.refusePage(head({ host }))?.status, 421, host);
    assertEquals(gate.refuse(withToken({ host }))?.status, 421, host);
  }
  assertEquals(gate.refusePage(head({}))?.status, 421);
  const twice = head({ host: ["localhost", "evil.example"] });
  assertEquals(gate.refusePage(twice)?.status, 421);
});

Deno.test("requests that another page makes are refused", () => {
  const host = "localhost:9464";
  for (
    const origin of [
      "http://evil.example",
      "http://localhost:9465",
      "https://localhost:9464",
      "http://127.0.0.1:9464",
      "null",
      "http://localhost:9464.evil.example",
    ]
  ) {
    assertEquals(gate.refusePage(head({ host, origin }))?.status, 403, origin);
    assertEquals(gate.refuse(withToken({ host, origin }))?.status, 403);
  }
  const own = `http://${host}`;
  assertEquals(gate.refuse(withToken({ host, origin: own })), undefined);
  for (const site of ["cross-site", "same-site", "anything"]) {
    const refused = gate.refuse(withToken({ host, "sec-fetch-site": site }));
    assertEquals(refused?.status, 403, site);
  }
  for (const site of ["same-origin", "none"]) {
    const refused = gate.refuse(withToken({ host, "sec-fetch-site": site }));
    assertEquals(refused, undefined);
  }
});

Deno.test("everything but the page needs the token", () => {
  const host = "localhost:9464";
  for (
    const headers of [
      {},
      { authorization: TOKEN },
      { authorization: `Bearer ${TOKEN}0` },
      { authorization: `Bearer ${TOKEN.slice(1)}` },
      { cookie: `gpioagg-9465=${TOKEN}` },
      { cookie: `gpioagg=${TOKEN}` },
      { cookie: "gpioagg-9464=" },
      { cookie: `x=gpioagg-9464=${TOKEN}` },
    ] as Record<string, string>[]
  ) {
    assertEquals(gate.refuse(head({ host, ...headers }))?.status, 401);
    assertEquals(gate.refusePage(head({ host, ...headers })), undefined);
  }
  const cookie = gate.cookie(head({ host }), TOKEN);
  assertEquals(
    cookie,
    `gpioagg-9464=${TOKEN}; Path=/; HttpOnly; SameSite=Strict`,
  );
  const kept = `other=1; ${cookie.split(";")[0]}`;
  assertEquals(gate.refuse(head({ host, cookie: kept })), undefined);
  assertEquals(gate.isToken(TOKEN), true);
  assertEquals(gate.isToken(""), false);
  assertMatch(newToken(), /^[0-9a-f]{32}$/);
});
