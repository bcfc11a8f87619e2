import { assertEquals } from "@std/assert";
import { decodeInfoEvent, decodeLineInfo } from "./line_info.ts";

/** A gpio_v2_line_info as the kernel would write it: name to offset literal. */
function info(flags: number, attributes: [id: number, value: number][] = []) {
  const bytes = new Uint8Array(288);
  const view = new DataView(bytes.buffer);
  bytes.set(new TextEncoder().encode("LED0"), 0);
  bytes.set(new TextEncoder().encode("gpio-keys"), 32);
  view.setUint32(64, 5, true);
  view.setUint32(68, attributes.length, true);
  view.setUint32(72, flags, true);
  for (const [i, [id, value]] of attributes.entries()) {
    view.setUint32(80 + 16 * i, id, true);
    view.setUint32(88 + 16 * i, value, true);
  }
  return { bytes, view };
}

Deno.test("decodeLineInfo() reads every field", () => {
  assertEquals(decodeLineInfo(info(0x01 | 0x04).bytes, 0), {
    offset: 5,
    name: "LED0",
    consumer: "gpio-keys",
    used: true,
    direction: "input",
    activeLow: false,
    bias: "as-is",
    drive: "push-pull",
    edge: "none",
    eventClock: "monotonic",
    debouncePeriodUs: 0,
  });
  const flags = 0x02 | 0x04 | 0x30 | 0x100 | 0x800;
  const { bytes } = info(flags, [[3, 2000]]);
  const { used, activeLow, edge, bias, eventClock, debouncePeriodUs } =
    decodeLineInfo(bytes, 0);
  assertEquals(
    [used, activeLow, edge, bias, eventClock, debouncePeriodUs],
    [false, true, "both", "pull-up", "realtime", 2000],
  );
});

Deno.test("decodeLineInfo() tells every drive, bias, edge and clock", () => {
  const of = (flags: number) => decodeLineInfo(info(flags).bytes, 0);
  assertEquals(of(0x08).direction, "output");
  assertEquals(of(0x48).drive, "open-drain");
  assertEquals(of(0x88).drive, "open-source");
  assertEquals(of(0x204).bias, "pull-down");
  assertEquals(of(0x404).bias, "disabled");
  assertEquals(of(0x14).edge, "rising");
  assertEquals(of(0x24).edge, "falling");
  assertEquals(of(0x1004).eventClock, "hte");
});

Deno.test("decodeLineInfo() passes over attributes that it does not know", () => {
  assertEquals(
    decodeLineInfo(info(0x04, [[9, 1], [3, 50]]).bytes, 0).debouncePeriodUs,
    50,
  );
  const { bytes, view } = info(0x04);
  view.setUint32(68, 0xffff_ffff, true);
  assertEquals(decodeLineInfo(bytes, 0).debouncePeriodUs, 0);
});

Deno.test("decodeInfoEvent() tells what happened, when, and to which line", () => {
  const { bytes, view } = info(0x04);
  view.setBigUint64(256, 123_456_789_012_345_678n, true);
  for (
    const [type, kind] of [
      [1, "requested"],
      [2, "released"],
      [3, "reconfigured"],
    ] as const
  ) {
    view.setUint32(264, type, true);
    const event = decodeInfoEvent(bytes, 0, 7);
    if (typeof event === "number") throw new Error("not decoded");
    assertEquals(
      [event.kind, event.timestampNs, event.seqno, event.info.offset],
      [kind, 123_456_789_012_345_678n, 7, 5],
    );
  }
});

Deno.test("decodeInfoEvent() does not guess at an unknown kind", () => {
  const { bytes, view } = info(0x04);
  view.setUint32(264, 4, true);
  assertEquals(decodeInfoEvent(bytes, 0, 1), 4);
});
