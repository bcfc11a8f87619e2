import { assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { until } from "../../tests/environment/wait.ts";
import { captureOutput } from "./program_output.ts";

const LONG_MS = 60_000;
const sh = (script: string, limitMs = LONG_MS) =>
  captureOutput("/bin/sh", ["-c", script], limitMs);

testSerially(
  "captureOutput() returns what a program prints that succeeds",
  async () => {
    assertEquals(await sh("echo QEMU; echo no >&2"), "QEMU\n");
    assertEquals(await sh("echo QEMU; exit 1"), undefined);
    assertEquals(await sh("kill -9 $$"), undefined);
    assertEquals(await captureOutput("/dev/null", [], LONG_MS), undefined);
    assertEquals(
      await captureOutput("/no/such/program", [], LONG_MS),
      undefined,
    );
  },
);

testSerially(
  "captureOutput() ends a program that prints without end",
  async () => {
    assertEquals(await sh("exec cat /dev/zero"), undefined);
  },
);

testSerially(
  "captureOutput() kills a program that does not listen to SIGTERM",
  async () => {
    const directory = Deno.makeTempDirSync();
    try {
      const file = `${directory}/pid`;
      // On a busy machine it is killed before it can say who it is.
      for (let limitMs = 500; !isThere(file); limitMs *= 2) {
        const output = sh(
          `trap '' TERM; echo $$ >${file}.new; mv ${file}.new ${file}
        while :; do sleep 1; done`,
          limitMs,
        );
        assertEquals(await output, undefined);
      }
      const pid = Deno.readTextFileSync(file).trim();
      await until("its end", () => {
        try {
          return / [ZX] /.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
        } catch {
          return true;
        }
      });
    } finally {
      Deno.removeSync(directory, { recursive: true });
    }
  },
);

testSerially(
  "captureOutput() does not wait for what a program leaves behind",
  async () => {
    assertEquals(await sh("sleep 120 & echo started", 500), undefined);
  },
);

function isThere(file: string): boolean {
  try {
    return Deno.statSync(file).isFile;
  } catch {
    return false;
  }
}
