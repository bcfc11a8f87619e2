import { assertEquals } from "@std/assert";
import { testSerially } from "../tests/doubles/test_alone.ts";
import { createEventFd } from "./event_fd.ts";
import { duplicate } from "./files.ts";
import {
  hasEnded,
  isSameOpenFile,
  killProcess,
  openProcess,
} from "./process.ts";

testSerially("a process is killed by its handle, and only once", async () => {
  const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
  using process = openProcess(child.pid)!;
  assertEquals(hasEnded(process), false);
  killProcess(process);
  assertEquals((await child.status).signal, "SIGKILL");
  assertEquals(hasEnded(process), true);
  killProcess(process);
  assertEquals(openProcess(child.pid), undefined);
});

Deno.test("isSameOpenFile() tells copies of one open file from other files of one kind", () => {
  using one = createEventFd();
  using copy = duplicate(one.fd);
  using other = createEventFd();
  assertEquals(isSameOpenFile(one.fd, copy.fd), true);
  assertEquals(isSameOpenFile(one.fd, other.fd), false);
});
