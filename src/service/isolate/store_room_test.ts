import { assertEquals } from "@std/assert";
import type { AggregatorSpecification } from "../../config/specification.ts";
import { storeNeeds, StoreRoom, unkeptCards } from "./store_room.ts";

const made = (
  name: string,
  kinds: readonly string[],
  more: Record<string, unknown> = {},
) =>
  ({
    name,
    lines: kinds.map((kind) => ({ source: { kind } })),
    ...more,
  }) as unknown as AggregatorSpecification;

const vhostUser = { socketPath: "/run/a.sock" };

Deno.test("storeNeeds() counts what an aggregator has in the store", () => {
  assertEquals(storeNeeds(made("a", ["sim", "wire", "const"])), 6);
  assertEquals(storeNeeds(made("a", ["chip", "line-name", "lane"])), 9);
  assertEquals(storeNeeds(made("a", ["chip"], { vhostUser })), 9);
  assertEquals(storeNeeds(made("a", ["chip"], { vfioUser: vhostUser })), 10);
  const qemuPins = { qtest: "/run/qtest", qmp: "/run/qmp", device: "pl061" };
  assertEquals(storeNeeds(made("a", ["chip"], { qemuPins })), 9);
  const shared = made("a", ["chip"]);
  Object.assign(shared.lines[0]!, { combine: "or" });
  assertEquals(storeNeeds(shared), 8);
});

Deno.test("StoreRoom tells once that there is too little, and again after there was enough", () => {
  const problems: string[] = [];
  const room = new StoreRoom(15, (problem) => void problems.push(problem));
  room.add([made("a", ["chip"], { vhostUser })]);
  assertEquals(problems, []);
  room.add([made("b", ["chip"], { vhostUser })]);
  room.add([made("c", ["chip"])]);
  assertEquals(problems, [
    "the service manager keeps 15 descriptors for a restart, and 18 may be " +
    "needed: lines and sessions that find no room change or end with the next " +
    "restart. Set FileDescriptorStoreMax=18",
  ]);
  for (const name of ["b", "c"]) room.remove(name);
  room.add([made("b", [])]);
  room.add([made("c", ["chip"])]);
  assertEquals(problems.length, 2);
});

Deno.test("unkeptCards() names the PCI cards, and only these", () => {
  const none = [made("a", ["sim"]), made("b", ["sim"], { vhostUser })];
  assertEquals(unkeptCards(none), undefined);
  const cards = ["c", "d"].map((name) =>
    made(name, ["sim"], { vfioUser: vhostUser })
  );
  assertEquals(
    unkeptCards([...none, ...cards])?.startsWith(
      "c, d: nothing keeps the session of a PCI card over the end of gpioagg.",
    ),
    true,
  );
});
