import { assertEquals, assertThrows } from "@std/assert";
import { testLarge } from "../../../tests/doubles/test_large.ts";
import {
  encodeFrame,
  FrameAssembler,
  type ReceivedFrame,
} from "./command_channel.ts";
import type { Command, CommandFrame } from "./messages.ts";

const FRAMES: CommandFrame[] = [
  { id: 1, command: { kind: "add", aggregators: [], lanes: [] } },
  { id: 2, command: { kind: "shutdown" } },
];

function parsed(frames: readonly ReceivedFrame[]): CommandFrame[] {
  return frames.map((frame) => frame.parse());
}

Deno.test("what only asks is marked: it does not wait for what changes", () => {
  const isQuestion = (command: Command) =>
    new FrameAssembler().push(encodeFrame({ id: 1, command }))
      .map((frame) => frame.isQuestion);
  assertEquals(isQuestion({ kind: "describe" }), [true]);
  assertEquals(isQuestion({ kind: "count" }), [true]);
  assertEquals(isQuestion({ kind: "remove", name: "a", isWhole: true }), [
    false,
  ]);
});

Deno.test("FrameAssembler.push() puts frames together from single bytes", () => {
  const assembler = new FrameAssembler();
  const seen: CommandFrame[] = [];
  for (const frame of FRAMES) {
    for (const byte of encodeFrame(frame)) {
      seen.push(...parsed(assembler.push(Uint8Array.of(byte))));
    }
  }
  assertEquals(seen, FRAMES);
});

Deno.test("FrameAssembler.push() takes several frames and a part at once", () => {
  const assembler = new FrameAssembler();
  const [first, second] = FRAMES.map(encodeFrame) as [Uint8Array, Uint8Array];
  const both = Uint8Array.of(...first, ...second);
  const end = first.length + 5;
  assertEquals(parsed(assembler.push(both.subarray(0, end))), [FRAMES[0]]);
  assertEquals(parsed(assembler.push(both.subarray(end))), [FRAMES[1]]);
});

Deno.test("FrameAssembler.push() refuses an absurd length", () => {
  const assembler = new FrameAssembler();
  assertThrows(
    () => assembler.push(Uint8Array.of(255, 255, 255, 255, 0)),
    RangeError,
    "4294967295 bytes",
  );
});

testLarge(
  "FrameAssembler.push() copies a large frame a few times, not once per piece",
  () => {
    const assembler = new FrameAssembler();
    const name = "x".repeat(4 << 20);
    const bytes = encodeFrame({ id: 1, command: { kind: "describe", name } });
    let copied = 0;
    const set = Uint8Array.prototype.set;
    Uint8Array.prototype.set = function (source, offset) {
      copied += source.length;
      set.call(this, source, offset);
    };
    try {
      const frames: CommandFrame[] = [];
      for (let at = 0; at < bytes.length; at += 4096) {
        frames.push(...parsed(assembler.push(bytes.subarray(at, at + 4096))));
      }
      assertEquals(frames, [{ id: 1, command: { kind: "describe", name } }]);
    } finally {
      Uint8Array.prototype.set = set;
    }
    assertEquals(copied < 4 * bytes.length, true, `${copied} bytes`);
  },
);
