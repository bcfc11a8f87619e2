import { assertEquals } from "@std/assert";
import { isAbandoned, limitSendBuffer } from "./client_connection.ts";
import { receiveBytes, send } from "./socket_message.ts";
import { socketPair } from "./unix_socket.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("isAbandoned() is true for a peer that left nothing, or what is as good", () => {
  const isVain = (sent: Uint8Array, isAll: boolean) => {
    assertEquals(isAll, sent.length < 4096);
    return sent[0] === 0x2d;
  };
  for (
    const [said, isGone] of [
      ["", true],
      ["-", true],
      ["- and more", true],
      ["-".repeat(5000), true],
      ["+", false],
      ["+".repeat(5000), false],
    ] as const
  ) {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    if (said !== "") send(theirs.fd, bytes(said));
    assertEquals(isAbandoned(ours.fd), false, said);
    assertEquals(isAbandoned(ours.fd, isVain), false, said);
    theirs.close();
    assertEquals(isAbandoned(ours.fd, isVain), isGone, said);
    assertEquals(isAbandoned(ours.fd), said === "", said);
    // It is all there still.
    const piece = new Uint8Array(10_000);
    const count = receiveBytes(ours.fd, piece);
    assertEquals(new TextDecoder().decode(piece.subarray(0, count)), said);
  }
});

Deno.test("limitSendBuffer() bounds what the kernel holds for a peer that does not read", () => {
  const held = (limit?: number) => {
    const [ours, theirs] = socketPair();
    using _ours = ours;
    using _theirs = theirs;
    if (limit !== undefined) limitSendBuffer(ours.fd, limit);
    let sum = 0;
    for (;;) {
      const sent = send(ours.fd, new Uint8Array(4096));
      if (sent < 0) return sum;
      sum += sent;
    }
  };
  assertEquals(held(16 * 1024) <= 32 * 1024, true);
  assertEquals(held() > 64 * 1024, true);
});
