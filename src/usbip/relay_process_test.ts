import { assertEquals } from "@std/assert";
import { duplicate } from "../../ffi/files.ts";
import { receiveBytes, send } from "../../ffi/socket_message.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { acceptUnix, listenUnix } from "../../ffi/unix_socket.ts";
import { openSockets } from "../../tests/doubles/open_sockets.ts";
import { testSerially } from "../../tests/doubles/test_alone.ts";
import { urb } from "../../tests/doubles/usbip_peer.ts";
import type { EventLoop } from "../reactor/event_loop.ts";
import { AnswerBuffer } from "./answer_buffer.ts";
import { HEADER, Message } from "./protocol.ts";
import { relayDevices, type RelayReport } from "./relay_process.ts";

/** Both ends of a relay, and the steps that a test takes in its loop. */
async function relayed(
  step: (
    it: { kernel: OwnedFd; service: OwnedFd; turn: number },
  ) => boolean,
): Promise<RelayReport[]> {
  const directory = await Deno.makeTempDir();
  const path = `${directory}/usb.sock`;
  const reports: RelayReport[] = [];
  using owned = new DisposableStack();
  const listener = owned.use(listenUnix(path));
  try {
    const attachDevice = (fd: number, loop: EventLoop) => {
      const kernel = owned.use(duplicate(fd));
      const service = owned.use(acceptUnix(listener.fd)!);
      let turn = 0;
      const again = (loop: EventLoop) => {
        if (step({ kernel, service, turn: turn++ })) {
          loop.after(1, () => again(loop));
        }
      };
      again(loop);
      return 30;
    };
    relayDevices([path], (report) => reports.push(report), { attachDevice });
    return reports;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function received(from: OwnedFd): Uint8Array | undefined {
  const bytes = new Uint8Array(1000);
  const count = receiveBytes(from.fd, bytes);
  return count > 0 ? bytes.subarray(0, count) : undefined;
}

Deno.test("messages pass between the kernel and the service, until one ends", async () => {
  const submit = urb({ seqnum: 5, direction: 1, endpoint: 1, length: 64 });
  const buffer = new AnswerBuffer();
  buffer.answer(Message.SubmitDone, 5, 0, 2, Uint8Array.of(8, 9));
  const answer = buffer.waiting.slice();
  let atService: Uint8Array | undefined;
  let atKernel: Uint8Array | undefined;
  const reports = await relayed(({ kernel, service, turn }) => {
    if (turn === 0) send(kernel.fd, submit);
    else if (atService === undefined) {
      atService = received(service);
      if (atService !== undefined) send(service.fd, answer);
    } else if (atKernel === undefined) {
      atKernel = received(kernel);
      if (atKernel !== undefined) service.close();
    }
    return atKernel === undefined;
  });
  assertEquals(atService, submit);
  assertEquals(atKernel, answer);
  assertEquals([...atKernel!.subarray(HEADER)], [8, 9]);
  assertEquals(reports, [
    { kind: "attached", ports: [30] },
    { kind: "ended", reason: "the service has closed the connection" },
  ]);
});

Deno.test("a kernel that detaches the device ends the relay", async () => {
  const reports = await relayed(({ kernel, turn }) => {
    if (turn === 1) kernel.close();
    return turn === 0;
  });
  assertEquals(reports.at(-1), {
    kind: "ended",
    reason: "the kernel has detached the device",
  });
});

Deno.test("a service that speaks nonsense ends the relay", async () => {
  const reports = await relayed(({ service, turn }) => {
    if (turn === 0) send(service.fd, new Uint8Array(HEADER).fill(7));
    return false;
  });
  assertEquals(reports.at(-1), {
    kind: "ended",
    reason: "the service sent an answer to nothing",
  });
});

testSerially(
  "a process that is started beside a relay gets none of its sockets",
  async () => {
    const before = openSockets();
    const opened = new Set<string>();
    let atChild: Set<string> | undefined;
    await relayed(({ kernel, turn }) => {
      if (turn === 0) {
        for (const socket of openSockets().difference(before)) {
          opened.add(socket);
        }
        const child = new Deno.Command("/bin/sh", {
          args: ["-c", "ls -l /proc/$$/fd"],
          stderr: "inherit",
        }).outputSync();
        atChild = openSockets(new TextDecoder().decode(child.stdout));
      } else kernel.close();
      return turn === 0;
    });
    // The listener, both ends of the service's connection, and both of the kernel's.
    assertEquals(opened.size, 5);
    assertEquals(atChild?.intersection(opened), new Set());
  },
);
