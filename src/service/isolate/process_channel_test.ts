import { assertEquals } from "@std/assert";
import { until } from "../../../tests/environment/wait.ts";
import { O_RDONLY, openFile } from "../../../ffi/files.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { isOsError } from "../../../ffi/os_error.ts";
import { send } from "../../../ffi/socket_message.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { type ChannelOptions, ProcessChannel } from "./process_channel.ts";

interface Heard {
  readonly peer: OwnedFd;
  readonly messages: unknown[];
  readonly fds: OwnedFd[];
  readonly over: Promise<void>;
}

async function withChannel(
  options: ChannelOptions,
  body: (heard: Heard) => Promise<void>,
  onMessage: (value: unknown) => "unasked" | void = () => {},
): Promise<void> {
  const [ours, peer] = socketPair();
  using _peer = peer;
  const messages: unknown[] = [];
  const fds: OwnedFd[] = [];
  const over = Promise.withResolvers<void>();
  using _channel = new ProcessChannel(ours, {
    message: (value, received) => {
      fds.push(...received);
      const kind = onMessage(value);
      messages.push(value);
      return kind;
    },
    ended: () => over.resolve(),
  }, options);
  await body({ peer, messages, fds, over: over.promise });
  for (const fd of fds) fd.close();
}

function frame(text: string, fdCount = 0): Uint8Array {
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, json.length, true);
  view.setUint32(4, fdCount, true);
  bytes.set(json, 8);
  return bytes;
}

for (
  const [what, bytes] of [
    ["text that is not JSON", frame("{")],
    ["a frame without end", new Uint8Array(8).fill(255)],
    ["a list in place of a count", frame('{"$float64":{"length":1e15}}')],
  ] as const
) {
  Deno.test(`${what} ends a channel`, () =>
    withChannel({}, async ({ peer, messages, over }) => {
      send(peer.fd, bytes);
      await over;
      assertEquals(messages, []);
    }));
}

Deno.test("a handler that throws ends its channel, and nothing else", () =>
  withChannel(
    {},
    async ({ peer, messages, over }) => {
      send(peer.fd, frame("1"));
      send(peer.fd, frame("null"));
      send(peer.fd, frame("2"));
      await over;
      assertEquals(messages, [1]);
    },
    (value) => {
      if (value === null) throw new TypeError("a bug");
    },
  ));

Deno.test("a process that sends without end keeps nothing else waiting", () => {
  const most = 100_000;
  let heard = 0;
  let sendMore = () => {};
  return withChannel({}, async ({ peer }) => {
    const bytes = frame(`"${"x".repeat(50_000)}"`);
    sendMore = () => void send(peer.fd, bytes);
    // Each message is followed by the next before it is served.
    sendMore();
    sendMore();
    await until("the first is heard", () => heard > 0);
    assertEquals(heard < most, true);
    sendMore = () => {};
  }, () => {
    if (++heard < most) sendMore();
  });
});

Deno.test("a channel that takes no fds gets none", () =>
  withChannel({ descriptors: false }, async ({ peer, messages, fds, over }) => {
    using file = openFile("/dev/null", O_RDONLY);
    try {
      send(peer.fd, frame("1", 1), [file.fd]);
    } catch (error) {
      // The kernel refuses them already (Linux 6.16).
      if (!isOsError(error, "EPERM")) throw error;
      send(peer.fd, frame("1"));
    }
    peer.close();
    await over;
    assertEquals([messages, fds.length], [[1], 0]);
  }));

Deno.test("fds that no frame speaks of end a channel", () =>
  withChannel({}, async ({ peer, messages, over }) => {
    using file = openFile("/dev/null", O_RDONLY);
    const many = Array.from({ length: 250 }, () => file.fd);
    const sent = [];
    for (let i = 0; i < 10; i++) {
      try {
        sent.push(send(peer.fd, frame(String(i)), many));
      } catch (error) {
        if (!isOsError(error, "EPIPE", "ECONNRESET", "ETOOMANYREFS")) {
          throw error;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await over;
    assertEquals(messages.length <= 5, true);
  }));

Deno.test("a process that nothing asked has a part of the time only", () => {
  const work = 150;
  const ends: number[] = [];
  return withChannel({}, async ({ peer }) => {
    send(peer.fd, frame("1"));
    await until("the first is heard", () => ends.length === 1);
    send(peer.fd, frame("2"));
    await until("the second is heard", () => ends.length === 2);
    // Ten times what was more than 100 ms.
    assertEquals(ends[1]! - ends[0]! >= 450, true, `${ends}`);
  }, () => {
    const end = performance.now() + (ends.length === 0 ? work : 0);
    while (performance.now() < end);
    ends.push(performance.now());
    return "unasked";
  });
});
