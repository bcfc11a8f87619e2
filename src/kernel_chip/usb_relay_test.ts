import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { libc } from "../../ffi/libc.ts";
import { O_RDWR, openFile } from "../../ffi/files.ts";
import {
  acceptUnix,
  connectUnix,
  listenUnix,
  socketPair,
} from "../../ffi/unix_socket.ts";
import { openSockets } from "../../tests/doubles/open_sockets.ts";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { UsbRelay } from "./usb_relay.ts";

/** Starts a shell script as the process that relays. */
function start(script: string, attachFd?: number): UsbRelay {
  return UsbRelay.start(["/run/usb.sock"], attachFd, {
    path: "/bin/sh",
    argv: ["sh", "-c", script, "sh"],
    [Symbol.dispose]() {},
  });
}

testSerially(
  "the relay reports its ports, and the reason of its end",
  async () => {
    await using relay = start(
      `printf '%s' '{"kind":"attached","po'; echo 'rts":[30,60]}'
     echo '{"kind":"ended","reason":"no more"}'`,
    );
    assertEquals(await relay.attached(), [30, 60]);
    assertEquals(await relay.ended, "no more");
  },
);

testSerially("the relay gets its sockets", async () => {
  await using relay = start(`echo '{"kind":"ended","reason":"'$1,$2'"}'`);
  assertEquals(await relay.ended, "usb-relay,/run/usb.sock");
});

testSerially("the relay gets the number of a descriptor", async () => {
  await using relay = start(
    `echo '{"kind":"ended","reason":"'$1,$2,$3'"}'`,
    7,
  );
  assertEquals(await relay.ended, "usb-relay,--attach-fd=7,/run/usb.sock");
});

testSerially(
  "the relay gets the descriptor itself, and no socket of its maker",
  async () => {
    const directory = await Deno.makeTempDir();
    const path = `${directory}/usb.sock`;
    try {
      const before = openSockets();
      using listener = listenUnix(path);
      using client = connectUnix(path);
      using accepted = acceptUnix(listener.fd);
      using pair = new DisposableStack();
      for (const end of socketPair()) pair.use(end);
      await Deno.writeTextFile(`${directory}/attach`, "");
      using attach = openFile(`${directory}/attach`, O_RDWR);
      // As a shell leaves it.
      const F_SETFD = 2;
      libc().fcntl(attach.fd, F_SETFD, 0);
      const ours = openSockets().difference(before);
      assertEquals([ours.size, client.fd !== accepted?.fd], [5, true]);
      await using relay = start(
        `printf '{"kind":"ended","reason":"'
       ls -l /proc/$$/fd | tr '\\n' ' '
       echo '"}'`,
        attach.fd,
      );
      const files = await relay.ended;
      assertStringIncludes(files, ` ${attach.fd} -> ${directory}/attach`);
      assertEquals(openSockets(files).intersection(ours), new Set());
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  },
);

testSerially("a relay that cannot attach is reported", async () => {
  await using relay = start(
    `echo '{"kind":"ended","reason":"attach: EACCES"}'`,
  );
  await assertRejects(() => relay.attached(), Error, "attach: EACCES");
});

testSerially("a relay that is killed without a word is reported", async () => {
  await using relay = start("kill -KILL $$");
  assertEquals(
    await relay.ended,
    "the process between the kernel and gpioagg has ended",
  );
});

testSerially("disposing ends the process", async () => {
  const relay = start("exec sleep 1000");
  await relay[Symbol.asyncDispose]();
  await assertRejects(() => relay.attached());
});

testSerially("a relay that says something else is ended", async () => {
  await using relay = start("echo nonsense; exec sleep 1000");
  await assertRejects(() => relay.attached(), Error);
  assertEquals(typeof await relay.ended, "string");
});
