import { assertEquals } from "@std/assert";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { reconnectOption } from "./qemu_reconnect.ts";

/** A directory with programs that answer, and keep what they were asked. */
class Programs implements Disposable {
  readonly #directory = Deno.makeTempDirSync();

  make(name: string, says: string): string {
    const path = `${this.#directory}/${name}`;
    const script = `#!/bin/sh\necho "$*" >>"$0.asked"\necho "${says}"\n`;
    Deno.writeTextFileSync(path, script, { mode: 0o755 });
    return path;
  }

  asked(path: string): string {
    try {
      return Deno.readTextFileSync(`${path}.asked`);
    } catch {
      return "";
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.#directory, { recursive: true });
  }
}

testSerially("reconnectOption() asks a QEMU for its version", async () => {
  using programs = new Programs();
  const says = "QEMU emulator version 9.2.1 (Debian 1:9.2.1)";
  const qemu = programs.make("qemu-system-x86_64", says);
  assertEquals(await reconnectOption(qemu), ",reconnect-ms=500");
  assertEquals(programs.asked(qemu), "--version\n");
  const other = programs.make("kvm", "KVM tool 3");
  assertEquals(await reconnectOption(other), "");
});

Deno.test("reconnectOption() runs no script of the user's", async () => {
  using programs = new Programs();
  const script = programs.make("start-qemu", "QEMU emulator version 10.0.0");
  assertEquals(await reconnectOption(script), "");
  assertEquals(programs.asked(script), "");
});

Deno.test("reconnectOption() has no answer of a program that is not there", async () => {
  assertEquals(await reconnectOption("/nonexistent/kvm"), "");
});
