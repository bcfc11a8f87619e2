/**
 * Peers of USB adapters and of a PCI card that mean harm, against a running
 * `gpioagg serve`: the guest of another aggregator loses no edge and no request
 * meanwhile, and a good peer is served afterwards.
 *
 * What one bad message does to its own connection is the matter of unit tests
 * and fuzzers.
 */
import { assert, assertEquals } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { send } from "../../ffi/socket_message.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { IrqType } from "../../src/virtio/gpio/protocol.ts";
import { T, UsbredirPeer } from "../doubles/usbredir_peer.ts";
import { C, versionBody, words } from "../doubles/vfio_peer.ts";
import { ConfigService } from "../environment/config_service.ts";
import { pullLines } from "../environment/served_lines.ts";
import { UnixStream } from "../environment/unix_stream.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

const LIMIT_MS = 120_000;

/** Bytes of a vfio-user message; `size` lies about its length. */
function message(
  command: number,
  body: Uint8Array = new Uint8Array(0),
  { flags = 0, size = 16 + body.length } = {},
): Uint8Array {
  const bytes = new Uint8Array(16 + body.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 7, true);
  view.setUint16(2, command, true);
  view.setUint32(4, size, true);
  view.setUint32(8, flags, true);
  bytes.set(body, 16);
  return bytes;
}

/** A packet of usbredir whose length is a lie. */
function lying(type: number, length: number): Uint8Array {
  const bytes = new UsbredirPeer(0).packet(type, 1, []);
  new DataView(bytes.buffer).setUint32(4, length, true);
  return bytes;
}

/** Packets of a session that has begun. */
function session(
  more: (peer: UsbredirPeer) => readonly Uint8Array[],
): readonly Uint8Array[] {
  const peer = new UsbredirPeer();
  return [peer.hello(), peer.packet(T.setConfiguration, 1, [1]), ...more(peer)];
}

const times = <A>(count: number, make: (i: number) => A) =>
  Array.from({ length: count }, (_, i) => make(i));

/** Bytes that come at an adapter's socket, by what is wrong with them. */
const AT_ADAPTER: Readonly<Record<string, readonly Uint8Array[]>> = {
  "nothing at all": [],
  "no hello": [new UsbredirPeer().packet(T.bulk, 1)],
  "a hello that is cut": [new UsbredirPeer().hello().subarray(0, 30)],
  "a packet of 4 GiB": [lying(T.hello, 0xffff_ffff)],
  "a control transfer of 64 KiB": session((peer) => [
    peer.control(2, 0x21, 9, 0x0302, 0, 0xffff, times(0xffff, () => 0)),
  ]),
  "endpoints that are not there": session((peer) =>
    times(16, (i) => peer.bulk(i, i, [3, 2, 5, 3, 1, 0, 0]))
  ),
  "more transfers than a device has": session((peer) =>
    times(2000, (i) => peer.bulk(i, 0x81, [], 64))
  ),
  "requests without an end, and nothing read": session((peer) =>
    times(2000, (i) => peer.control(i, 0x80, 6, 0x0200, 0, 255))
  ),
  "types that are not there": session((peer) => [peer.packet(999, 1, [1, 2])]),
};

const AT_CARD: Readonly<Record<string, readonly Uint8Array[]>> = {
  "nothing at all": [],
  "a header that is cut": [message(C.VERSION).subarray(0, 5)],
  "a size below that of the header": [message(C.VERSION, undefined, {
    size: 3,
  })],
  "a message of 4 GiB": [message(C.VERSION, undefined, { size: 0xffff_ffff })],
  "regions that are not there": [
    message(C.VERSION, versionBody(0, 0)),
    ...times(
      64,
      (i) => message(C.REGION_WRITE, words(0xffff_fffc, i, i, 4, 1)),
    ),
  ],
  "reads without an end, and nothing read": [
    message(C.VERSION, versionBody(0, 0)),
    ...times(4000, () => message(C.REGION_READ, words(0x7c, 0, 1, 4))),
  ],
  "resets without an end": [
    message(C.VERSION, versionBody(0, 0)),
    ...times(2000, () => message(C.DEVICE_RESET)),
  ],
};

const CONFIG = (directory: string) => `
aggregators:
  good: { vhost-user: ${directory}/good.sock, lines: [{ sim: 2 }] }
  adapter: { usbredir: ${directory}/adapter.sock, lines: [{ sim: 40 }] }
  card: { vfio-user: ${directory}/card.sock, lines: [{ sim: 109 }] }
`;

/** Sends what the peer takes, byte by byte at first; it may hang up. */
function attack(fd: number, packets: readonly Uint8Array[]): void {
  const bytes = new Uint8Array(packets.flatMap((packet) => [...packet]));
  try {
    for (let at = 0; at < Math.min(20, bytes.length); at++) {
      send(fd, bytes.subarray(at, at + 1));
    }
    for (let rest = bytes.subarray(20); rest.length > 0;) {
      const count = send(fd, rest);
      if (count < 0) return;
      rest = rest.subarray(count);
    }
  } catch {
    // Hung up on, which is an answer.
  }
}

Deno.test("hostile peers of adapters and cards take nothing from another guest", async () => {
  await using service = await ConfigService.start(CONFIG);
  const { pid } = service.process;
  const good = service.socket("good");
  using frontend = Frontend.open(good, { timeoutMs: LIMIT_MS });
  const driver = GpioDriver.attach(frontend);
  driver.setInterruptType(1, IrqType.EdgeBoth);
  driver.arm(1);
  let level = 0;
  const useLines = async (what: string) => {
    for (let i = 0; i < 4; i++) {
      level = 1 - level;
      await pullLines(good, [`sim1=${level}`]);
      assertEquals(driver.waitEvent(LIMIT_MS)?.lineNumber, 1, what);
      driver.arm(1);
      assertEquals(driver.getValue(1), level, what);
    }
  };
  await useLines("nothing");
  const before = await settledFdCount(pid);
  using memory = createMemFd("guest", 4096);
  for (const [name, attacks] of [["adapter", AT_ADAPTER], ["card", AT_CARD]]) {
    const path = service.socket(name as string);
    for (const [what, packets] of Object.entries(attacks as typeof AT_CARD)) {
      // Several of them, of which one is served and the others wait.
      const fds = times(3, () => connectUnix(path));
      try {
        for (const { fd } of fds) attack(fd, packets);
        await useLines(`${name}: ${what}`);
        // Descriptors that nothing asked for.
        try {
          send(fds[0]!.fd, new Uint8Array(1), times(8, () => memory.fd));
        } catch {
          // Hung up on.
        }
        await useLines(`${name}: ${what}, with descriptors`);
      } finally {
        for (const fd of fds) fd.close();
      }
    }
  }
  await assertNoMoreFds(pid, before);

  using qemu = UnixStream.connect(service.socket("adapter"));
  await qemu.write(new UsbredirPeer().hello());
  assert((await qemu.read())!.length > 0);
  using client = UnixStream.connect(service.socket("card"));
  await client.write(message(C.VERSION, versionBody(0, 0)));
  assertEquals((await client.read())![2], C.VERSION);
});
