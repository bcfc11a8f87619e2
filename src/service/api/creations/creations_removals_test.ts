import { assert, assertEquals, assertRejects } from "@std/assert";
import { UnsafeLinesError } from "../../messages/unsafe_lines_error.ts";
import type { Lease } from "./lease.ts";
import { HttpError } from "../requests/messages.ts";
import {
  creationsRig,
  LeaseDouble,
  makeCreation,
  PEER,
} from "../../../../tests/doubles/creations_rig.ts";

const UNSAFE = new UnsafeLinesError("a", [{
  aggregator: "a",
  lineNumber: 0,
  line: "RELAY",
  reason: "remote I/O error (EREMOTEIO)",
  isRetried: true,
}]);

Deno.test("Creations keeps what is not in its declared state, until it is", async () => {
  const { creations, errors, said, served } = creationsRig();
  await creations.add(...makeCreation("a", "none"));
  errors.push(UNSAFE);
  await assertRejects(
    () => creations.remove("a", "by hand"),
    UnsafeLinesError,
    "a.RELAY (remote I/O error (EREMOTEIO)) is not in its declared state",
  );
  assert(creations.has("a"));
  // The reactor has let it go by now.
  served.delete("a");
  creations.removedLate("a");
  assert(!creations.has("a"));
  assertEquals(said().slice(1), [
    "drop a",
    "removed a: its lines are in their declared state now",
  ]);
});

Deno.test("Creations does not call a lease's end done while lines are not safe", async () => {
  const { creations, lend, errors, heard, said, served } = creationsRig();
  const lease = await lend("a");
  errors.push(UNSAFE);
  lease.gone!();
  await heard("lease of 1000 for a");
  assertEquals(said().slice(1), [`lease of 1000 for a: ${UNSAFE.message}`]);
  assert(creations.has("a"));
  served.delete("a");
  creations.removedLate("a");
  assertEquals(lease.ended, "its lines are in their declared state now");
});

Deno.test("Creations forgets once what two remove at once", async () => {
  const { creations, lend, said } = creationsRig();
  const lease = await lend("a");
  said();
  const first = creations.remove("a", "first");
  const second = creations.remove("a", "second");
  await first;
  await assertRejects(() => second);
  assertEquals(lease.ended, "first");
  assertEquals(said(), ["drop a", "removed a: first"]);
});

Deno.test("Creations removes an aggregator whose chip another process removed", async () => {
  const { creations, lend, heard, said, served } = creationsRig("own");
  const lease = await lend("a");
  said();
  creations.chipGone("own");
  creations.chipGone("a");
  await heard("removed");
  assertEquals(said(), ["drop a", "removed a: its chip was taken down"]);
  assertEquals(lease.ended, "its chip was taken down");
  assertEquals([...served], ["own"]);
});

Deno.test("Creations tells every maker that the service ends, and keeps none", async () => {
  const { creations, lend, said } = creationsRig();
  const lease = await lend("a");
  await creations.add(...makeCreation("b", "none"));
  said();
  await creations.close("the service ends");
  assertEquals(lease.ended, "the service ends");
  assertEquals(said(), ["drop a", "drop b"]);
  assertEquals([creations.has("a"), creations.has("b")], [false, false]);
  await assertRejects(() => creations.add(...makeCreation("c")), HttpError);
});

Deno.test("Creations ends the lease of what was removed before its maker was told", async () => {
  const { creations } = creationsRig();
  const made = await creations.add(...makeCreation("a"));
  await creations.remove("a", "by hand");
  const lease = new LeaseDouble();
  creations.tie(
    lease as unknown as Lease,
    { ...made, lease: "stream" },
    PEER,
  );
  assertEquals(lease.ended, "it was removed");
});
