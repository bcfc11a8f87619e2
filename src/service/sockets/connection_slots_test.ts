import { assertEquals } from "@std/assert";
import { ConnectionSlots, slotLimits } from "./connection_slots.ts";

const ROOT = 0;

function rig(all: number) {
  const busy = new Set<string>();
  const streams = new Set<string>();
  const slots = new ConnectionSlots<string>({
    limits: slotLimits(all),
    isPrivileged: (uid) => uid === ROOT,
    rank: (one) => busy.has(one) ? 0 : streams.has(one) ? 1 : 2,
  });
  const fill = (uid: number, count: number) => {
    for (let i = 0; i < count; i++) slots.admit(`${uid}-${i}`, uid);
  };
  return { slots, busy, streams, fill };
}

Deno.test("slotLimits() keeps a reserve, and no user has more than half of the rest", () => {
  assertEquals(slotLimits(256), { all: 256, reserved: 16, perUser: 120 });
  assertEquals(slotLimits(16), { all: 16, reserved: 4, perUser: 6 });
  assertEquals(slotLimits(1), { all: 1, reserved: 0, perUser: 1 });
});

Deno.test("ConnectionSlots lets a user at its share in at the cost of its own oldest idle one", () => {
  const { slots, fill } = rig(16);
  fill(1, 6);
  assertEquals(slots.admit("new", 1), {
    isAdmitted: true,
    displaced: "1-0",
  });
  assertEquals(slots.size, 6);
});

Deno.test("ConnectionSlots ends what does nothing before streams, and never what is busy", () => {
  const { slots, busy, streams, fill } = rig(16);
  fill(1, 6);
  for (const one of ["1-0", "1-1", "1-2", "1-3"]) streams.add(one);
  busy.add("1-4").add("a").add("b");
  assertEquals(slots.admit("a", 1).displaced, "1-5");
  assertEquals(slots.admit("b", 1).displaced, "1-0");
  for (const one of ["1-1", "1-2", "1-3"]) busy.add(one);
  assertEquals(slots.admit("refused", 1), {
    isAdmitted: false,
    displaced: undefined,
  });
  assertEquals(slots.size, 6);
});

Deno.test("ConnectionSlots: many users of one kind do not lock root out, nor one another", () => {
  const { slots, busy, fill } = rig(16);
  fill(1, 6);
  fill(2, 6);
  // Users beyond that take from the one that has the most.
  assertEquals(slots.admit("3-0", 3), {
    isAdmitted: true,
    displaced: "1-0",
  });
  assertEquals(slots.admit("3-1", 3).displaced, "2-0");
  for (let i = 0; i < 6; i++) busy.add(`1-${i}`).add(`2-${i}`);
  busy.add("3-0");
  assertEquals(slots.admit("4-0", 4).displaced, "3-1");
  busy.add("4-0");
  assertEquals(slots.admit("5-0", 5), {
    isAdmitted: false,
    displaced: undefined,
  });
  for (let i = 0; i < 4; i++) {
    assertEquals(slots.admit(`root ${i}`, ROOT), {
      isAdmitted: true,
      displaced: undefined,
    });
  }
  assertEquals(slots.size, 16);
  busy.delete("2-5");
  // Beyond its reserve it takes slots of others.
  assertEquals(slots.admit("root 4", ROOT).displaced, "2-5");
  // And if all of them are busy, its own.
  assertEquals(slots.admit("root 5", ROOT).displaced, "root 0");
});

Deno.test("ConnectionSlots: root alone may have all slots, and gives them up for others", () => {
  const { slots, fill } = rig(16);
  fill(ROOT, 16);
  assertEquals(slots.admit("root", ROOT).displaced, "0-0");
  assertEquals(slots.admit("other", 1).displaced, "0-1");
  assertEquals(slots.displaceOne(3), undefined);
  assertEquals(slots.displaceOne(2), "0-2");
  slots.release("other");
  slots.release("other");
  assertEquals(slots.size, 14);
});

Deno.test("ConnectionSlots: a user at its share takes from no other", () => {
  const { slots, busy, fill } = rig(16);
  fill(1, 6);
  fill(ROOT, 8);
  assertEquals(slots.admit("new", 1).displaced, "1-0");
  for (let i = 1; i < 6; i++) busy.add(`1-${i}`);
  busy.add("new");
  assertEquals(slots.admit("refused", 1).isAdmitted, false);
});

Deno.test("ConnectionSlots: users with as many slots take none from each other", () => {
  const { slots, busy, fill } = rig(16);
  for (const uid of [1, 2, 3, 4]) fill(uid, 3);
  for (let i = 0; i < 3; i++) busy.add(`1-${i}`);
  assertEquals(slots.admit("refused", 1), {
    isAdmitted: false,
    displaced: undefined,
  });
  // One that has fewer takes from one that has the most.
  slots.release("1-0");
  slots.admit("2-3", 2);
  assertEquals(slots.admit("new", 1).displaced, "2-0");
});
