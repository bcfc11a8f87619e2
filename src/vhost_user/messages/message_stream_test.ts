import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../../ffi/event_fd.ts";
import { duplicate } from "../../../ffi/files.ts";
import type { OwnedFd } from "../../../ffi/owned_fd.ts";
import { receive, send, waitingBytes } from "../../../ffi/socket_message.ts";
import { socketPair } from "../../../ffi/unix_socket.ts";
import { countCopies } from "../../../tests/doubles/open_fds.ts";
import { ProtocolError } from "../../peer/protocol_error.ts";
import { type Message, MessageStream } from "./message_stream.ts";

/** Both ends, and an eventfd to pass around; no copy of it may be left. */
function withStream(
  body: (stream: MessageStream, peer: OwnedFd, event: OwnedFd) => void,
): void {
  using event = createEventFd();
  {
    const [ours, theirs] = socketPair();
    using peer = theirs;
    using stream = new MessageStream(ours);
    body(stream, peer, event);
  }
  assertEquals(countCopies(event.fd), 1);
}

function bytes(request: number, payload: readonly number[] = []): Uint8Array {
  const header = new Uint32Array([request, 1, payload.length]);
  return Uint8Array.from([...new Uint8Array(header.buffer), ...payload]);
}

function whole(read: ReturnType<MessageStream["read"]>): Message {
  if (typeof read === "string" || read instanceof ProtocolError) {
    throw new Error(`no message: ${read}`);
  }
  return read;
}

function refusal(read: ReturnType<MessageStream["read"]>): ProtocolError {
  if (!(read instanceof ProtocolError)) throw new Error(`accepted: ${read}`);
  return read;
}

const contents = (message: Message) => [
  message.header.request,
  ...new Uint8Array(
    message.payload.buffer,
    message.payload.byteOffset,
    message.payload.byteLength,
  ),
];

Deno.test("MessageStream.read() puts a message together from single bytes", () => {
  withStream((stream, peer) => {
    for (const byte of bytes(2, [1, 2, 3, 4, 5, 6, 7, 8])) {
      assertEquals(stream.read(), "waiting");
      send(peer.fd, Uint8Array.of(byte));
    }
    assertEquals(contents(whole(stream.read())), [2, 1, 2, 3, 4, 5, 6, 7, 8]);
    assertEquals(stream.read(), "waiting");
  });
});

Deno.test("MessageStream.read() keeps messages that arrive together apart, each with its own fds", () => {
  withStream((stream, peer, event) => {
    send(peer.fd, bytes(12, [0, 0, 0, 0, 0, 0, 0, 0]), [event.fd]);
    send(peer.fd, bytes(3));
    send(peer.fd, bytes(13, [1, 0, 0, 0, 0, 0, 0, 0]), [event.fd, event.fd]);
    const first = whole(stream.read());
    assertEquals([first.header.request, first.fds.length], [12, 1]);
    const second = whole(stream.read());
    assertEquals([second.header.request, second.fds.length], [3, 0]);
    const third = whole(stream.read());
    assertEquals([third.header.request, third.fds.length], [13, 2]);
    for (const fd of [...first.fds, ...third.fds]) fd.close();
  });
});

Deno.test("MessageStream closes the fds of a message that never arrives whole", () => {
  withStream((stream, peer, event) => {
    send(peer.fd, bytes(12, [0, 0]).subarray(0, 13), [event.fd, event.fd]);
    assertEquals(stream.read(), "waiting");
  });
});

Deno.test("MessageStream.read() tells an end between messages from one inside", () => {
  withStream((stream, peer) => {
    peer.close();
    assertEquals(stream.read(), "ended");
  });
  withStream((stream, peer) => {
    send(peer.fd, bytes(2, [1, 2]).subarray(0, 13));
    peer.close();
    assertEquals(stream.read(), "waiting");
    const error = refusal(stream.read());
    assertEquals(error.request, "SET_FEATURES");
    assertEquals(
      error.rule,
      "the connection ended after 13 bytes of the message",
    );
  });
});

Deno.test("MessageStream.read() refuses a header without reading its payload", () => {
  withStream((stream, peer) => {
    send(peer.fd, new Uint8Array(new Uint32Array([5, 1, 4097]).buffer));
    const error = refusal(stream.read());
    assertEquals(error.request, "SET_MEM_TABLE");
  });
});

Deno.test("MessageStream.read() does not collect fds beyond what a message carries", () => {
  withStream((stream, peer, event) => {
    const many = Array.from({ length: 9 }, () => event.fd);
    send(peer.fd, Uint8Array.of(1), many);
    // Until it is whole it stays in the socket, fds included.
    assertEquals([stream.read(), stream.hasPart], ["waiting", true]);
    assertEquals(countCopies(event.fd), 1);
    send(peer.fd, new Uint8Array(11));
    const error = refusal(stream.read());
    assertEquals(error.rule, "a message carries at most 8 fds, not 9");
  });
});

Deno.test("MessageStream leaves a message in the socket until it is whole", () => {
  withStream((stream, peer) => {
    let takes = 0;
    stream.onTake = () => void takes++;
    const message = bytes(5, [1, 2, 3]);
    for (const end of [5, 12, 14]) {
      const start = end === 5 ? 0 : end === 12 ? 5 : 12;
      send(peer.fd, message.subarray(start, end));
      assertEquals([stream.read(), stream.hasPart], ["waiting", true]);
      assertEquals(waitingBytes(stream.fd), end);
    }
    send(peer.fd, message.subarray(14));
    assertEquals(takes, 0);
    assertEquals(contents(whole(stream.read())), [5, 1, 2, 3]);
    assertEquals([stream.hasPart, takes], [false, 1]);
    assertEquals([stream.read(), stream.hasPart], ["waiting", false]);
  });
});

Deno.test("MessageStream.send() queues what the socket has no room for, fds included", () => {
  withStream((stream, peer, event) => {
    const reply = new Uint8Array(2 ** 21).map((_, i) => i % 251);
    stream.send(reply, [duplicate(event.fd)]);
    assert(stream.isBlocked);
    assertEquals(stream.flush(), false);
    const got = new Uint8Array(reply.length);
    const fds: OwnedFd[] = [];
    let count = 0;
    while (count < got.length) {
      const n = receive(peer.fd, got.subarray(count), fds);
      if (n < 0) stream.flush();
      else count += n;
    }
    assertEquals(stream.isBlocked, false);
    assertEquals(got, reply);
    assertEquals(fds.length, 1);
    for (const fd of fds) fd.close();
  });
});

Deno.test("MessageStream.send() closes the fds of a reply that is never sent", () => {
  withStream((stream) => {
    stream.send(new Uint8Array(2 ** 21));
    assert(stream.isBlocked);
  });
  withStream((stream, peer, event) => {
    // Full to the last byte, so that nothing of the reply goes.
    const junk = new Uint8Array(2 ** 21);
    stream.send(junk);
    const drained = new Uint8Array(2 ** 16);
    while (stream.isBlocked) {
      receive(peer.fd, drained, []);
      stream.flush();
    }
    while (send(stream.fd, junk) > 0);
    stream.send(bytes(31), [duplicate(event.fd)]);
    assert(stream.isBlocked);
  });
});
