import { assert, assertEquals } from "@std/assert";
import { O_RDWR, openFile } from "./files.ts";
import { libc } from "./libc.ts";
import { setTerminalSettings, terminalSettings } from "./terminal.ts";

const TIOCSPTLCK = 0x40045431;
const O_NOCTTY = 0o400;

Deno.test("terminalSettings() and setTerminalSettings() bring a terminal back to what it was", () => {
  using master = openFile("/dev/ptmx", O_RDWR | O_NOCTTY);
  const unlocked = new Uint8Array(4);
  assertEquals(libc().ioctl(master.fd, TIOCSPTLCK, unlocked), 0);
  const before = terminalSettings(master.fd)!;
  const lineFlags = new DataView(before.buffer).getUint32(12, true);
  const ECHO = 0o10;
  assert((lineFlags & ECHO) !== 0);
  const silent = before.slice();
  new DataView(silent.buffer).setUint32(12, lineFlags & ~ECHO, true);
  setTerminalSettings(master.fd, silent);
  assertEquals(terminalSettings(master.fd), silent);
  setTerminalSettings(master.fd, before);
  assertEquals(terminalSettings(master.fd), before);
});

Deno.test("terminalSettings() finds none where there is no terminal", () => {
  using file = openFile("/dev/null", O_RDWR);
  assertEquals(terminalSettings(file.fd), undefined);
  assertEquals(terminalSettings(-1), undefined);
  setTerminalSettings(file.fd, new Uint8Array(64));
});
