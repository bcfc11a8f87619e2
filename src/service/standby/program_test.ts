import { assertEquals, assertNotEquals } from "@std/assert";
import { identityOfFiles, installedIdentity } from "./program.ts";

Deno.test("identityOfFiles() changes when a file is replaced, removed or made", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const file = `${directory}/program`;
    const identity = () => identityOfFiles([file]);
    const absent = identity();
    await Deno.writeTextFile(file, "old");
    const old = identity();
    assertNotEquals(old, absent);
    assertEquals(identity(), old);
    await Deno.writeTextFile(`${directory}/next`, "new");
    await Deno.rename(`${directory}/next`, file);
    assertNotEquals(identity(), old);
    await Deno.remove(file);
    assertEquals(identity(), absent);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("installedIdentity() stays as it is while nothing is installed", () => {
  assertEquals(installedIdentity(), installedIdentity());
  assertEquals(installedIdentity().includes("absent"), false);
});
