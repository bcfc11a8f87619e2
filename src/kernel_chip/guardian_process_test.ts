import { assert, assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { Guardian } from "./guardian.ts";
import { GuardianProcess } from "./guardian_process.ts";
import { identifyProcess, isAlive } from "./process_identity.ts";
import { waitUntil } from "../async/wait.ts";

const PATH = "/run/gpioagg/kernel-chips/plc0.0123456789abcdef";
const SELF = identifyProcess(Deno.pid)!;
const LIMIT_MS = 60_000;

/** The same once the shell has replaced the process that was forked. */
async function found(
  record: Parameters<typeof GuardianProcess.find>[0],
): Promise<GuardianProcess | undefined> {
  let guardian: GuardianProcess | undefined;
  await waitUntil(
    () => (guardian = GuardianProcess.find(record, PATH)) !== undefined,
    LIMIT_MS,
  );
  return guardian;
}

testSerially(
  "GuardianProcess finds the guardian that a record names, and ends it",
  async () => {
    await using guardian = Guardian.start(PATH, undefined);
    const record = { guardian: guardian.identity, maker: SELF };
    using process = (await found(record))!;
    assert(process.isRunning);
    assertEquals(
      GuardianProcess.find(record, `${PATH}0`),
      undefined,
      "another record's",
    );
    const { identity } = guardian;
    for (
      const other of [
        { ...record, guardian: { ...identity, startTime: "1" } },
        { ...record, guardian: { ...identity, bootId: "another" } },
        { ...record, guardian: { ...identity, pidNamespace: "pid:[1]" } },
        { ...record, guardian: { ...identity, pid: 0 } },
        { ...record, guardian: { ...identity, pid: -1 } },
        { ...record, maker: identifyProcess(1) ?? { ...SELF, pid: 1 } },
      ]
    ) {
      // A maker that cannot be seen to live tells nothing about the parent.
      if (other.maker.pid !== Deno.pid && !isAlive(other.maker)) continue;
      assertEquals(GuardianProcess.find(other, PATH), undefined);
    }
    process.kill();
    assert(await waitUntil(() => !process.isRunning, LIMIT_MS));
  },
);

testSerially(
  "GuardianProcess is no process that is merely named by a record",
  async () => {
    for (
      const [command, ...args] of [
        ["sleep", "60"],
        // One that looks like a guardian of something else.
        ["/bin/sh", "-c", "read -r word", "gpioagg-guardian", `${PATH}1`, ""],
        ["/bin/sh", "-c", "read -r word", "another", PATH, ""],
        ["/bin/sh", "-c", "read -r word; : more", "gpioagg-guardian", PATH],
      ]
    ) {
      const child = new Deno.Command(command!, { args, stdin: "piped" })
        .spawn();
      try {
        const guardian = identifyProcess(child.pid)!;
        // The program has begun: until then it is this process's copy.
        await new Promise((resolve) => setTimeout(resolve, 100));
        assertEquals(
          GuardianProcess.find({ guardian, maker: SELF }, PATH),
          undefined,
          `${command} ${args}`,
        );
        assert(isAlive(guardian));
      } finally {
        child.kill("SIGKILL");
        await child.stdin.abort().catch(() => {});
        await child.status;
      }
    }
  },
);
