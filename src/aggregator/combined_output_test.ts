import { assertEquals } from "@std/assert";
import { LineRig, SourceDouble } from "../../tests/doubles/line_doubles.ts";
import {
  Direction,
  FAILED,
  LineOperation,
  PENDING,
} from "../virtio/line_port.ts";
import { CombinedOutput } from "./combined_output.ts";

function rig(combine: "or" | "and", rules = ["", ""]) {
  const source = new SourceDouble();
  const combined = new CombinedOutput(source, combine, () => {});
  const users = rules.map((rule, i) =>
    new LineRig(
      `user${i}`,
      `,combine=${combine}${rule}`,
      combined.open({
        keepsFound: rule.includes("as-is"),
        onClose: () => {},
      }),
    )
  );
  for (const { line } of users) line.start();
  return { source, users };
}

Deno.test("CombinedOutput with or is active while any user wants it", () => {
  const { source, users: [a, b] } = rig("or");
  assertEquals(source.taken(), ["Output 0"]);
  a!.line.submit(LineOperation.SetValue, 1);
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.taken(), ["SetValue 1"]);
  a!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.taken(), []);
  b!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.taken(), ["SetValue 0"]);
});

Deno.test("CombinedOutput with and is active while all users want it", () => {
  const { source, users: [a, b] } = rig("and");
  a!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 0);
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 1);
  a!.line.guestGone();
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput forgets the wish of a guest that is gone", () => {
  const { source, users: [a, b] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  b!.line.submit(LineOperation.SetValue, 1);
  a!.line.guestGone();
  assertEquals(source.value, 1);
  b!.line.guestGone();
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput keeps a dead guest's wish where its rule says so", () => {
  const { source, users: [a, b] } = rig("or", [
    ",on-disconnect=keep",
    ",safe=1",
  ]);
  a!.line.submit(LineOperation.SetValue, 1);
  a!.line.guestGone();
  b!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.value, 1);
  a!.line.submit(LineOperation.SetValue, 0);
  assertEquals(source.value, 0);
  b!.line.guestGone();
  assertEquals(source.value, 1);
});

Deno.test("CombinedOutput shows every user the line as it is", () => {
  const { users: [a, b] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  assertEquals(b!.line.submit(LineOperation.GetValue, 0), 1);
  assertEquals(b!.line.direction, Direction.Output);
  assertEquals(b!.line.submit(LineOperation.Input, 0), FAILED);
});

Deno.test("CombinedOutput takes an active line over where a user says as-is", () => {
  const source = new SourceDouble();
  source.value = 1;
  const combined = new CombinedOutput(source, "or", () => {});
  const user = new LineRig(
    "a",
    ",combine=or,initial=as-is",
    combined.open({ keepsFound: true, onClose: () => {} }),
  );
  user.line.start();
  assertEquals(source.taken(), ["Output 1"]);
});

Deno.test("CombinedOutput drives what is wanted once its slow source has time", () => {
  const { source, users: [a, b] } = rig("or");
  source.taken();
  source.isSlow = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), PENDING);
  assertEquals(b!.line.submit(LineOperation.SetValue, 1), PENDING);
  source.answer();
  assertEquals([a!.taken(), b!.taken()], [["done 0"], ["done 0"]]);
  assertEquals(source.taken(), ["SetValue 1"]);
});

Deno.test("CombinedOutput undoes a wish that failed", () => {
  const { source, users: [a, b] } = rig("or");
  source.isAbsent = true;
  assertEquals(a!.line.submit(LineOperation.SetValue, 1), FAILED);
  source.isAbsent = false;
  source.listener!.presence(true);
  assertEquals(source.value, 0);
  assertEquals(b!.line.submit(LineOperation.SetValue, 0), 0);
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput drops the wishes of guests that went while its chip was away", () => {
  const { source, users: [a] } = rig("or");
  a!.line.submit(LineOperation.SetValue, 1);
  source.isAbsent = true;
  source.taken();
  a!.line.guestGone();
  assertEquals(source.taken(), ["remember Output 0"]);
  source.isAbsent = false;
  source.listener!.presence(true);
  assertEquals(source.value, 0);
});

Deno.test("CombinedOutput goes on without a user that was removed", () => {
  const { source, users: [a, b] } = rig("and");
  b!.line.submit(LineOperation.SetValue, 1);
  assertEquals(source.value, 0);
  a!.line[Symbol.dispose]();
  assertEquals(source.value, 1);
  source.taken();
  b!.line[Symbol.dispose]();
  assertEquals(source.taken(), ["SetValue 0", "dispose"]);
});
