import { assertEquals } from "@std/assert";
import { EAGAIN, EBADF, ENOTTY } from "./errno.ts";
import { createEventFd } from "./event_fd.ts";
import { O_RDWR, openFile } from "./files.ts";
import {
  getChipInfo,
  getLine,
  getLineInfo,
  getLineValues,
  readEvents,
  setLineConfig,
  setLineValues,
  unwatchLineInfo,
  watchLineInfo,
} from "./gpio_ioctl.ts";

const calls = {
  getChipInfo,
  getLineInfo,
  watchLineInfo,
  unwatchLineInfo,
  getLine,
  setLineConfig,
  getLineValues,
  setLineValues,
};

Deno.test("every GPIO ioctl answers -errno for what is no GPIO file", () => {
  const buffer = new Uint8Array(1024);
  using file = openFile("/dev/null", O_RDWR);
  for (const [name, call] of Object.entries(calls)) {
    assertEquals(call(file.fd, buffer), -ENOTTY, name);
    assertEquals(call(-1, buffer), -EBADF, name);
  }
  assertEquals(buffer, new Uint8Array(1024));
});

Deno.test("readEvents() answers bytes or -errno", () => {
  using fd = createEventFd();
  const buffer = new Uint8Array(64);
  assertEquals(readEvents(fd.fd, buffer, 64), -EAGAIN);
  assertEquals(readEvents(-1, buffer, 64), -EBADF);
});
