import { assertEquals } from "@std/assert";
import { ConnectionPlaces, placeLimits } from "./connection_places.ts";

const ROOT = 0;

function rig(all: number) {
  const busy = new Set<string>();
  const streams = new Set<string>();
  const places = new ConnectionPlaces<string>({
    limits: placeLimits(all),
    isPrivileged: (uid) => uid === ROOT,
    rank: (one) => busy.has(one) ? 0 : streams.has(one) ? 1 : 2,
  });
  const fill = (uid: number, count: number) => {
    for (let i = 0; i < count; i++) places.admit(`${uid}-${i}`, uid);
  };
  return { places, busy, streams, fill };
}

Deno.test("placeLimits() keeps a reserve, and no user has more than half of the rest", () => {
  assertEquals(placeLimits(256), { all: 256, reserved: 16, perUser: 120 });
  assertEquals(placeLimits(16), { all: 16, reserved: 4, perUser: 6 });
  assertEquals(placeLimits(1), { all: 1, reserved: 0, perUser: 1 });
});

Deno.test("ConnectionPlaces lets a user at its share in at the cost of its own oldest idle one", () => {
  const { places, fill } = rig(16);
  fill(1, 6);
  assertEquals(places.admit("new", 1), {
    isAdmitted: true,
    displaced: "1-0",
  });
  assertEquals(places.size, 6);
});

Deno.test("ConnectionPlaces ends what does nothing before streams, and never what is busy", () => {
  const { places, busy, streams, fill } = rig(16);
  fill(1, 6);
  for (const one of ["1-0", "1-1", "1-2", "1-3"]) streams.add(one);
  busy.add("1-4").add("a").add("b");
  assertEquals(places.admit("a", 1).displaced, "1-5");
  assertEquals(places.admit("b", 1).displaced, "1-0");
  for (const one of ["1-1", "1-2", "1-3"]) busy.add(one);
  assertEquals(places.admit("refused", 1), {
    isAdmitted: false,
    displaced: undefined,
  });
  assertEquals(places.size, 6);
});

Deno.test("ConnectionPlaces: many users of one kind do not lock root out, nor one another", () => {
  const { places, busy, fill } = rig(16);
  fill(1, 6);
  fill(2, 6);
  // Users beyond that take from the one that has the most.
  assertEquals(places.admit("3-0", 3), {
    isAdmitted: true,
    displaced: "1-0",
  });
  assertEquals(places.admit("3-1", 3).displaced, "2-0");
  for (let i = 0; i < 6; i++) busy.add(`1-${i}`).add(`2-${i}`);
  busy.add("3-0");
  assertEquals(places.admit("4-0", 4).displaced, "3-1");
  busy.add("4-0");
  assertEquals(places.admit("5-0", 5), {
    isAdmitted: false,
    displaced: undefined,
  });
  for (let i = 0; i < 4; i++) {
    assertEquals(places.admit(`root ${i}`, ROOT), {
      isAdmitted: true,
      displaced: undefined,
    });
  }
  assertEquals(places.size, 16);
  busy.delete("2-5");
  // Beyond its reserve it takes places of others.
  assertEquals(places.admit("root 4", ROOT).displaced, "2-5");
  // And if all of them are busy, its own.
  assertEquals(places.admit("root 5", ROOT).displaced, "root 0");
});

Deno.test("ConnectionPlaces: root alone may have all places, and gives them up for others", () => {
  const { places, fill } = rig(16);
  fill(ROOT, 16);
  assertEquals(places.admit("root", ROOT).displaced, "0-0");
  assertEquals(places.admit("other", 1).displaced, "0-1");
  assertEquals(places.displaceOne(3), undefined);
  assertEquals(places.displaceOne(2), "0-2");
  places.release("other");
  places.release("other");
  assertEquals(places.size, 14);
});

Deno.test("ConnectionPlaces: a user at its share takes from no other", () => {
  const { places, busy, fill } = rig(16);
  fill(1, 6);
  fill(ROOT, 8);
  assertEquals(places.admit("new", 1).displaced, "1-0");
  for (let i = 1; i < 6; i++) busy.add(`1-${i}`);
  busy.add("new");
  assertEquals(places.admit("refused", 1).isAdmitted, false);
});

Deno.test("ConnectionPlaces: users with as many places take none from each other", () => {
  const { places, busy, fill } = rig(16);
  for (const uid of [1, 2, 3, 4]) fill(uid, 3);
  for (let i = 0; i < 3; i++) busy.add(`1-${i}`);
  assertEquals(places.admit("refused", 1), {
    isAdmitted: false,
    displaced: undefined,
  });
  // One that has fewer takes from one that has the most.
  places.release("1-0");
  places.admit("2-3", 2);
  assertEquals(places.admit("new", 1).displaced, "2-0");
});
