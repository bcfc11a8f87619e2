import { assert, assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { collectGarbage, takeDown } from "./cleanup.ts";
import { GuardianProcess } from "./guardian_process.ts";
import { identifyProcess, isAlive } from "./process_identity.ts";
import {
  type ChipRecord,
  type FoundRecord,
  newId,
  Records,
} from "./records.ts";
import { waitUntil } from "../async/wait.ts";

const LIMIT_MS = 30_000;

testSerially(
  "collectGarbage() ends no process because a record names it",
  async () => {
    const directory = await Deno.makeTempDir();
    const foreign = new Deno.Command("sleep", { args: ["60"] }).spawn();
    try {
      const records = new Records(`${directory}/kernel-chips`);
      const guardian = identifyProcess(foreign.pid)!;
      const name = "plc0";
      const record = (): ChipRecord => ({
        name,
        id: newId(name),
        // Nothing is taken down through sysfs that was never asked for.
        interface: "sysfs",
        maker: { ...guardian, startTime: "1" },
        guardian,
        isDetached: false,
        lines: [],
      });
      const planted = [record(), record()] as const;
      using _lock = await records.lock();
      for (const one of planted) {
        records.begin(one)[Symbol.dispose]();
        await records.write(one);
      }
      await takeDown(records, planted[0]);
      const { removed, failed } = await collectGarbage(records);
      assertEquals([removed.length, failed.length], [1, 0]);
      assert(isAlive(guardian));
      assertEquals(await records.list(), []);
    } finally {
      foreign.kill("SIGKILL");
      await foreign.status;
      await Deno.remove(directory, { recursive: true });
    }
  },
);

/** Starts the guardian of a record, of a chip that is never made. */
const MAKER = `
  import { Guardian } from "${import.meta.resolve("./guardian.ts")}";
  import { identifyProcess } from "${
  import.meta.resolve("./process_identity.ts")
}";
  const { identity } = Guardian.start(Deno.args[0], Deno.args[1]);
  console.log(JSON.stringify({ guardian: identity, maker: identifyProcess(Deno.pid) }));
  setTimeout(() => {}, 60_000);
`;

testSerially(
  "collectGarbage() continues a guardian whose processes are all stopped",
  async () => {
    const directory = await Deno.makeTempDir();
    try {
      const records = new Records(`${directory}/kernel-chips`);
      const id = newId("plc0");
      const path = records.recordPath({ id });
      const process = new Deno.Command(Deno.execPath(), {
        args: ["eval", "-q", "--no-check", MAKER, path, `${directory}/group`],
        stdin: "null",
        stdout: "piped",
      }).spawn();
      const reader = process.stdout.pipeThrough(new TextDecoderStream())
        .getReader();
      const { value = "" } = await reader.read();
      const made = JSON.parse(value) as Pick<ChipRecord, "guardian" | "maker">;
      const guardian = made.guardian!;
      const isGuardian = () => {
        using found = GuardianProcess.find(made, path);
        return found !== undefined;
      };
      assert(await waitUntil(isGuardian, LIMIT_MS));
      Deno.kill(-guardian.pid, "SIGSTOP");
      process.kill("SIGKILL");
      await process.status;
      await reader.cancel();
      using _lock = await records.lock();
      const record: ChipRecord = {
        ...{ ...made, id, name: "plc0", interface: "sysfs" },
        ...{ isDetached: false, lines: [] },
      };
      records.begin(record)[Symbol.dispose]();
      await records.write(record);
      const { removed, failed } = await collectGarbage(records);
      assertEquals([removed.length, failed], [1, []]);
      assert(await waitUntil(() => !isAlive(guardian), LIMIT_MS));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

/** Records that count how often all of them are read. */
class CountedRecords extends Records {
  reads = 0;

  override list(): Promise<FoundRecord[]> {
    this.reads++;
    return super.list();
  }
}

Deno.test("collectGarbage() reads the records once, however many there are", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const records = new CountedRecords(`${directory}/kernel-chips`);
    const maker = { ...identifyProcess(Deno.pid)!, startTime: "1" };
    using _lock = await records.lock();
    for (let i = 0; i < 20; i++) {
      const name = `plc${i}`;
      const record: ChipRecord = {
        name,
        id: newId(name),
        interface: "sysfs",
        maker,
        isDetached: false,
        lines: [],
      };
      records.begin(record)[Symbol.dispose]();
      await records.write(record);
    }
    const { removed, failed } = await collectGarbage(records);
    assertEquals([removed.length, failed.length], [20, 0]);
    assertEquals(records.reads, 1);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
