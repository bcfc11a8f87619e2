import { assertEquals } from "@std/assert";
import {
  GPIOCHIP_INFO,
  LINE_ATTRIBUTE,
  LINE_CONFIG,
  LINE_CONFIG_ATTRIBUTE,
  LINE_EVENT,
  LINE_INFO,
  LINE_INFO_CHANGED,
  LINE_REQUEST,
  LINE_VALUES,
  nameBytes,
  setNameBytes,
} from "./gpio_v2.ts";
import { GPIO_IOCTLS } from "./gpio_ioctl.ts";

Deno.test("the uAPI structs have the kernel's sizes", () => {
  assertEquals(
    [
      GPIOCHIP_INFO,
      LINE_ATTRIBUTE,
      LINE_CONFIG_ATTRIBUTE,
      LINE_CONFIG,
      LINE_REQUEST,
      LINE_VALUES,
      LINE_INFO,
      LINE_INFO_CHANGED,
      LINE_EVENT,
    ].map((struct) => struct.size),
    [68, 16, 24, 272, 592, 16, 256, 288, 48],
  );
});

Deno.test("the ioctls have the kernel's numbers", () => {
  assertEquals(GPIO_IOCTLS, {
    GPIO_GET_CHIPINFO_IOCTL: 0x8044b401,
    GPIO_V2_GET_LINEINFO_IOCTL: 0xc100b405,
    GPIO_V2_GET_LINEINFO_WATCH_IOCTL: 0xc100b406,
    GPIO_V2_GET_LINE_IOCTL: 0xc250b407,
    GPIO_GET_LINEINFO_UNWATCH_IOCTL: 0xc004b40c,
    GPIO_V2_LINE_SET_CONFIG_IOCTL: 0xc110b40d,
    GPIO_V2_LINE_GET_VALUES_IOCTL: 0xc010b40e,
    GPIO_V2_LINE_SET_VALUES_IOCTL: 0xc010b40f,
  });
});

Deno.test("setNameBytes() cuts at 31 bytes and never within a character", () => {
  const bytes = new Uint8Array(40).fill(0xff);
  const cases: [string, string][] = [
    ["plain", "plain"],
    ["", ""],
    ["cut\0off", "cut"],
    ["x".repeat(31), "x".repeat(31)],
    ["x".repeat(32), "x".repeat(31)],
    ["x".repeat(30) + "é", "x".repeat(30)],
    ["x".repeat(29) + "é", "x".repeat(29) + "é"],
    ["x".repeat(28) + "😀", "x".repeat(28)],
  ];
  for (const [name, kept] of cases) {
    setNameBytes(bytes, 4, new TextEncoder().encode(name));
    assertEquals(nameBytes(bytes, 4), new TextEncoder().encode(kept));
    assertEquals(bytes[35], 0, "the last byte is NUL");
    assertEquals([bytes[3], bytes[36]], [0xff, 0xff]);
  }
});

Deno.test("nameBytes() reads a field without NUL to its end", () => {
  const bytes = new TextEncoder().encode("y".repeat(40));
  assertEquals(nameBytes(bytes, 0), bytes.subarray(0, 32));
});
