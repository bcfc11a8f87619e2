import { assertEquals, assertRejects } from "@std/assert";
import { fileStatus } from "../../ffi/file_status.ts";
import { grantAccess } from "./node_access.ts";

Deno.test("grantAccess() leaves a node alone whose chip another one has replaced", async () => {
  // As it is anyway, should it be changed.
  const { mode } = fileStatus("/dev/null")!;
  let looks = 0;
  await assertRejects(
    () =>
      grantAccess("/dev/null", { mode: mode & 0o777 }, () => {
        looks++;
        return false;
      }),
    Error,
    "Cannot change the owner of /dev/null: the chip was removed meanwhile",
  );
  assertEquals(looks, 1);
});

Deno.test("grantAccess() changes no file that is not a device", async () => {
  const directory = Deno.makeTempDirSync();
  try {
    const file = `${directory}/gpiochip0`;
    Deno.writeTextFileSync(file, "");
    Deno.chmodSync(file, 0o600);
    Deno.symlinkSync("/dev/null", `${directory}/link`);
    for (const path of [file, `${directory}/link`]) {
      await assertRejects(
        () => grantAccess(path, { mode: 0o666 }, () => true),
        Error,
        "not a chip",
      );
    }
    assertEquals(Deno.statSync(file).mode! & 0o777, 0o600);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
