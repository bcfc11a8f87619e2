import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { listDirectory } from "../../ffi/directory_entries.ts";
import { testAlone } from "../../tests/doubles/test_alone.ts";
import {
  MAX_PASSED_FDS,
  peekBytes,
  receiveBytes,
  send,
} from "../../ffi/socket_message.ts";
import { socketPair } from "../../ffi/unix_socket.ts";
import { Reactor } from "../reactor/reactor.ts";
import { LineStream } from "./line_stream.ts";

function rig() {
  const errors: unknown[] = [];
  const reactor = new Reactor({ onError: (error) => errors.push(error) });
  const [ours, peer] = socketPair();
  const log: string[] = [];
  const stream = new LineStream({
    loop: reactor,
    fd: ours,
    share: reactor.share(),
    maxLineLength: 100,
  }, {
    line: (text) => {
      log.push(text);
      if (text.startsWith("hold")) stream.hold(stream.lineStart);
    },
    cut: () => log.push("cut"),
    closed: (reason) => log.push(`closed: ${reason}`),
    failed: (reason) => log.push(`failed: ${reason}`),
  });
  const bytes = (text: string) => new TextEncoder().encode(text);
  return {
    stream,
    peer,
    log,
    errors,
    /** Sends as the peer does, all of it. */
    say(text: string) {
      for (let rest = bytes(text); rest.length > 0; reactor.turn(0)) {
        rest = rest.subarray(Math.max(0, send(peer.fd, rest)));
      }
      for (let i = 0; i < 50; i++) reactor.turn(0);
    },
    turn(count = 1) {
      for (let i = 0; i < count; i++) reactor.turn(0);
    },
    /** Bytes that a process after this one would find. */
    left() {
      const target = new Uint8Array(8192);
      const count = peekBytes(stream.fd, target);
      return new TextDecoder().decode(target.subarray(0, Math.max(0, count)));
    },
    /** Receives what the stream sent. */
    hear() {
      const target = new Uint8Array(1024);
      const count = receiveBytes(peer.fd, target);
      return new TextDecoder().decode(target.subarray(0, Math.max(0, count)));
    },
    [Symbol.dispose]() {
      stream[Symbol.dispose]();
      peer.close();
      reactor[Symbol.dispose]();
    },
  };
}

Deno.test("LineStream sends one line for one text, whatever the text is", () => {
  for (
    const text of [
      "a\nb",
      "\r",
      "x\r\n\r\nPOST / HTTP/1.1",
      "\0",
      "a\x7f",
      "\x85",
    ]
  ) {
    using it = rig();
    it.stream.sendLine("fine, même");
    it.stream.sendLine(`readl ${text}`);
    it.stream.sendLine("never");
    it.turn(2);
    assertEquals(it.hear(), "fine, même\n");
    assertEquals(it.log, [
      "failed: a command would contain a control character",
    ]);
    assertEquals(it.errors, []);
  }
});

testAlone(import.meta, "LineStream keeps no fds that come with lines", () => {
  using it = rig();
  using fd = createEventFd();
  const many = Array.from({ length: MAX_PASSED_FDS }, () => fd.fd);
  const before = listDirectory("/proc/self/fd").length;
  for (let i = 0; i < 50; i++) {
    send(it.peer.fd, new TextEncoder().encode("x\n"), many);
    it.turn();
  }
  assertEquals(listDirectory("/proc/self/fd").length, before);
  assertEquals(it.log.length, 50);
  assert(it.log.every((line) => line === "x"));
});

Deno.test("LineStream hands on what fits, and ends by a line that does not", () => {
  using it = rig();
  it.say(`one\r\n\n${"x".repeat(100)}\ntw`);
  assertEquals(it.log.splice(0), ["one", "", "x".repeat(100)]);
  it.say("o\n");
  assertEquals(it.log.splice(0), ["two"]);
  it.say("x".repeat(101));
  it.turn(2);
  assertEquals(it.log, [
    "failed: it sent a line of more than 100 characters",
  ]);
});

Deno.test("LineStream hands lines on within the share, and drains all at once", () => {
  const clock = { now: 0 };
  const reactor = new Reactor({
    onError: (error) => {
      throw error;
    },
    now: () => clock.now,
  });
  const [ours, peer] = socketPair();
  const log: string[] = [];
  const stream = new LineStream({
    loop: reactor,
    fd: ours,
    share: reactor.share(),
    maxLineLength: 100,
  }, {
    line: (text) => {
      clock.now++;
      log.push(text);
    },
    closed: () => log.push("closed"),
    failed: (reason) => log.push(reason),
  });
  const lines = Array.from({ length: 50 }, (_, i) => `${i}`);
  const text = new TextEncoder().encode(lines.join("\n") + "\n");
  send(peer.fd, text);
  reactor.turn(0);
  // Two slices: one for the fd, one for what was put off. The time of a peer
  // that is alone begins at the first look at the clock: after the first piece
  // of text for the one, after the first line for the other.
  assertEquals(log, ["0", "1", "2"]);
  reactor.turn(0);
  assertEquals(log, ["0", "1", "2", "3", "4"]);
  send(peer.fd, text);
  stream.drain();
  assertEquals(log, [...lines, ...lines]);
  for (let i = 0; i < 3; i++) reactor.turn(0);
  send(peer.fd, text);
  peer.close();
  for (let i = 0; i < 300; i++) reactor.turn(0);
  assertEquals(log, [...lines, ...lines, ...lines, "closed"]);
  reactor[Symbol.dispose]();
});

Deno.test("LineStream leaves in the socket what was not handed on, or is held", () => {
  using it = rig();
  it.say("one\ntw");
  assertEquals(it.left(), "tw");
  it.say("o\nhold\nthree\nfo");
  assertEquals(it.log.splice(0), ["one", "two", "hold", "three"]);
  assertEquals(it.left(), "hold\nthree\nfo");
  it.stream.release(it.stream.lineStart);
  it.say("ur\n");
  assertEquals(it.left(), "three\nfour\n");
  it.stream.release();
  it.say("five\n");
  assertEquals(it.left(), "");
  // What is held is limited, since the peer waits for room.
  it.say("hold on\n");
  const line = `${"x".repeat(99)}\n`;
  for (let i = 0; i < 10; i++) it.say(line);
  assertEquals(it.left(), `hold on\n${line.repeat(10)}`);
  it.say(line);
  assertEquals(it.left(), "");
  assertEquals(it.log.length, 3 + 11);
});

Deno.test("LineStream ends with what is held, and with half a line", () => {
  using it = rig();
  it.say("hold\nhal");
  it.peer.close();
  it.turn(5);
  assertEquals(it.log, ["hold", "closed: it closed the connection"]);
});

Deno.test("LineStream sends whole lines, and tells when it could not", () => {
  using it = rig();
  const line = "y".repeat(99);
  let sent = 0;
  while (it.stream.backlog === 0) {
    it.stream.sendLine(line);
    sent++;
  }
  for (let i = 0; i < 500; i++, sent++) it.stream.sendLine(line);
  let heard = "";
  for (let piece = "-"; piece !== ""; it.turn(2)) {
    piece = it.hear();
    heard += piece;
  }
  assertEquals(heard, `${line}\n`.repeat(sent));
  assertEquals(it.log, []);
  // More than the kernel takes at once.
  it.stream.sendLine("z".repeat(2_000_000));
  assertEquals(it.log[0], "cut");
});
