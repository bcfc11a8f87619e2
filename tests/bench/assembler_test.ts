import { assertEquals, assertThrows } from "@std/assert";
import { testSerially } from "../doubles/test_alone.ts";
import { dataAddress, u32, WRITABLE } from "../environment/static_program.ts";
import { assemble, type Machine, type Operations } from "./assembler.ts";

const COUNT = WRITABLE;
const LIMIT = WRITABLE + 4;
const NO_DATA = new Uint8Array();
/** Bytes of a program before its code. */
const HEADER_BYTES = dataAddress(0) - (WRITABLE - 0x1000);

function formatCode(
  machine: Machine,
  write: (code: Operations) => void,
): string {
  return assemble(machine, NO_DATA, 0, write).subarray(HEADER_BYTES).toHex();
}

function formatHex(...words: readonly number[]): string {
  return new Uint8Array(words.flatMap(u32)).toHex();
}

// As disassemblers of others read them.
Deno.test("assemble() encodes operations for x86-64", () => {
  const code = (write: (code: Operations) => void) =>
    formatCode("x86_64", write);
  assertEquals(
    code((each) => each.store(0x40_1000, 0xffff_ffff)),
    "c7042500104000ffffffff", // movl $0xffffffff, 0x401000
  );
  assertEquals(
    code((each) => each.store(0x40_1000, { at: 0x40_1004 })),
    "8b0c2504104000" + "890c2500104000", // mov to ecx, mov from it
  );
  assertEquals(
    code((each) => each.call("ioctl", { at: 0x40_1044 }, 0xc250_b407)),
    "8b3c2544104000" + // mov 0x401044, %edi
      "be07b450c2" + // mov $0xc250b407, %esi
      "b810000000" + "0f05", // mov $16, %eax; syscall
  );
  assertEquals(
    code((each) => {
      each.label("again");
      each.jumpIfFailed("again");
      each.jump("again");
    }),
    "85c0" + "0f88f8ffffff" + "e9f3ffffff", // test; js -8; jmp -13
  );
});

Deno.test("assemble() encodes operations for arm64", () => {
  const code = (write: (code: Operations) => void) =>
    formatCode("arm64", write);
  assertEquals(
    code((each) => each.store(0x40_1000, 0x1111_0002)),
    // movz and movk w10; dmb ish; movz and movk x9; str w10, [x9]
    formatHex(0xd280_004a, 0xf2a2_222a, 0xd503_3bbf) +
      formatHex(0xd282_0009, 0xf2a0_0809, 0xb900_012a),
  );
  assertEquals(
    code((each) => each.call("exit", 1)),
    // movz and movk x0, and x8; svc 0
    formatHex(0xd280_0020, 0xf2a0_0000, 0xd280_0ba8, 0xf2a0_0008, 0xd400_0001),
  );
  assertEquals(
    code((each) => {
      each.label("again");
      each.jumpIfFailed("again");
      each.jump("again");
    }),
    formatHex(0x37f8_0000, 0x17ff_ffff), // tbnz w0, 31, 0; b -4
  );
});

Deno.test("assemble() refuses a jump to nowhere", () => {
  assertThrows(
    () => assemble("arm64", NO_DATA, 0, (code) => code.jump("away")),
    Error,
    "No label away",
  );
});

testSerially("a program of this machine loops, calls and ends", async () => {
  const path = await Deno.makeTempFile({ prefix: "gpioagg-program-" });
  try {
    const machine = Deno.build.arch === "x86_64" ? "x86_64" : "arm64";
    const program = assemble(machine, NO_DATA, 4096, (code) => {
      // Its standard input is /dev/null: nothing is read, and nothing fails.
      code.call("read", 0, WRITABLE + 8, 4);
      code.jumpIfFailed("end");
      code.storeResult(COUNT);
      code.store(LIMIT, 42);
      code.label("again");
      code.increase(COUNT);
      code.jumpIfEqual(COUNT, { at: LIMIT }, "enough");
      code.jump("again");
      code.label("enough");
      code.call("read", 0xffff_ffff, WRITABLE + 8, 4);
      code.jumpIfFailed("end");
      code.store(COUNT, 1);
      code.label("end");
      code.call("exit", { at: COUNT });
    });
    await Deno.writeFile(path, program, { mode: 0o755 });
    const child = new Deno.Command(path, { stdin: "null" });
    assertEquals((await child.output()).code, 42);
  } finally {
    await Deno.remove(path);
  }
});
