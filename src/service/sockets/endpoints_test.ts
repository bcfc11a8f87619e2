import { assertThrows } from "@std/assert";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { Endpoints } from "./endpoints.ts";

const device = (name: string, socketPath: string): AggregatorSpecification => ({
  name,
  vhostUser: { socketPath },
  lines: [],
});
const pins = (
  name: string,
  qtest: string,
  qmp: string,
): AggregatorSpecification => ({
  name,
  qemuPins: { qtest, qmp, device: "pl061" },
  lines: [],
});

Deno.test("Endpoints.claim() refuses a socket that another aggregator stands at, and takes none of the others then", () => {
  const endpoints = new Endpoints();
  endpoints.claim([device("a", "/run/a"), pins("q", "/run/qt", "/run/qmp")]);
  for (const taken of ["/run/a", "/run/qt", "/run/qmp"]) {
    assertThrows(
      () => endpoints.claim([pins("b", "/run/free", taken)]),
      Error,
      `Cannot present b at ${taken}: ${taken === "/run/a" ? "a" : "q"} is`,
    );
  }
  endpoints.claim([device("c", "/run/free")]);
});

Deno.test("Endpoints.claim() refuses a socket that is given twice", () => {
  const endpoints = new Endpoints();
  assertThrows(() => endpoints.claim([pins("b", "/run/x", "/run/x")]));
  assertThrows(() =>
    endpoints.claim([device("a", "/run/x"), device("b", "/run/x")])
  );
});

Deno.test("Endpoints knows a socket behind a link", () => {
  const directory = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${directory}/real`);
    Deno.symlinkSync(`${directory}/real`, `${directory}/link`);
    const endpoints = new Endpoints();
    endpoints.claim([device("a", `${directory}/real/s`)]);
    assertThrows(() => endpoints.claim([device("b", `${directory}/link/s`)]));
    assertThrows(() =>
      endpoints.claim([device("b", `${directory}/link/../real/./s`)])
    );
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("Endpoints gives up what a claim or an aggregator had", () => {
  const endpoints = new Endpoints();
  endpoints.claim([device("a", "/run/a"), device("b", "/run/b")]);
  endpoints.claim([device("c", "/run/c")]).dispose();
  endpoints.release("a");
  endpoints.claim([device("d", "/run/a"), device("e", "/run/c")]);
  assertThrows(() => endpoints.claim([device("f", "/run/b")]));
});
