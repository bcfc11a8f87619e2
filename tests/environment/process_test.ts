import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChildProcess } from "./process.ts";

const shell = (script: string, input = false) =>
  new ChildProcess({ command: "/bin/sh", args: ["-c", script], input });

Deno.test("ChildProcess.waitFor() finds output that comes in pieces", async () => {
  await using process = shell("printf so; sleep 0.1; echo me; sleep 60");
  const match = await process.waitFor(/so(me)/, { timeoutMs: 5000 });
  assertEquals(match[1], "me");
});

Deno.test("ChildProcess.waitFor() says what it waited for, and shows the output", async () => {
  await using process = shell("echo seen; echo wrong >&2; sleep 60");
  await process.waitFor("seen");
  await process.waitFor("wrong", { stream: "stderr" });
  const error = await assertRejects(
    () => process.waitFor("never", { timeoutMs: 50 }),
    Error,
    'Waited 50 ms in vain for "never" on stdout',
  );
  assert(error.message.includes("standard output: seen"));
  assert(error.message.includes("standard error: wrong"));
});

Deno.test("ChildProcess.waitFor() ends when the process ends", async () => {
  await using process = shell("echo last words; exit 3");
  await assertRejects(
    () => process.waitFor("more", { timeoutMs: 5000 }),
    Error,
    "ended with code 3",
  );
  assertEquals(process.stdout, "last words\n");
});

Deno.test("ChildProcess.write() reaches the standard input", async () => {
  await using process = shell("cat", true);
  await process.write("there and ");
  await process.write("back\n");
  await process.waitFor("there and back\n");
  await process.closeInput();
  assertEquals((await process.waitForExit()).code, 0);
});

Deno.test("ChildProcess is gone after disposal, also one that ignores SIGTERM", async () => {
  const process = new ChildProcess({
    command: "/bin/sh",
    args: ["-c", "trap '' TERM; echo deaf; while :; do sleep 0.05; done"],
    graceMs: 100,
  });
  {
    await using owned = process;
    await owned.waitFor("deaf");
  }
  assertEquals(process.status?.signal, "SIGKILL");
  const { success } = await new Deno.Command("/bin/sh", {
    args: ["-c", `kill -0 ${process.pid} 2>/dev/null`],
  }).output();
  assertEquals(success, false);
});
