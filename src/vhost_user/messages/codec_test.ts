import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  decodeConfig,
  decodeHeader,
  decodeInflight,
  decodeMemTable,
  decodeSingleRegion,
  decodeU64,
  decodeVringAddress,
  decodeVringFd,
  decodeVringState,
  encodeConfig,
  encodeInflight,
  encodeReply,
  encodeU64,
  encodeVringState,
} from "./codec.ts";
import { formFault, headerFault, REQUEST_FORMS } from "./request_forms.ts";
import {
  FrontendRequest,
  isKnownRequest,
  NEED_REPLY_MASK,
  REPLY_FLAGS,
  requestName,
  VHOST_USER_F_PROTOCOL_FEATURES_MASK,
} from "./protocol.ts";

/** Bytes of a hexadecimal string; blanks and line ends are for reading. */
function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(
    text.replace(/\s/g, "").match(/../g) ?? [],
    (byte) => parseInt(byte, 16),
  );
}

const view = (text: string) => new DataView(hex(text).buffer);

Deno.test("request numbers are the specification's", () => {
  // Written out once more, so that a slip of the table shows.
  const expected: [number, string][] = [
    [1, "GET_FEATURES"],
    [2, "SET_FEATURES"],
    [3, "SET_OWNER"],
    [4, "RESET_OWNER"],
    [5, "SET_MEM_TABLE"],
    [6, "SET_LOG_BASE"],
    [8, "SET_VRING_NUM"],
    [9, "SET_VRING_ADDR"],
    [10, "SET_VRING_BASE"],
    [11, "GET_VRING_BASE"],
    [12, "SET_VRING_KICK"],
    [13, "SET_VRING_CALL"],
    [14, "SET_VRING_ERR"],
    [15, "GET_PROTOCOL_FEATURES"],
    [16, "SET_PROTOCOL_FEATURES"],
    [17, "GET_QUEUE_NUM"],
    [18, "SET_VRING_ENABLE"],
    [21, "SET_BACKEND_REQ_FD"],
    [24, "GET_CONFIG"],
    [25, "SET_CONFIG"],
    [31, "GET_INFLIGHT_FD"],
    [32, "SET_INFLIGHT_FD"],
    [34, "RESET_DEVICE"],
    [36, "GET_MAX_MEM_SLOTS"],
    [37, "ADD_MEM_REG"],
    [38, "REM_MEM_REG"],
    [39, "SET_STATUS"],
    [40, "GET_STATUS"],
    [44, "GET_SHMEM_CONFIG"],
  ];
  for (const [code, name] of expected) assertEquals(requestName(code), name);
  assertEquals(Object.values(FrontendRequest).length, 44);
  assert(isKnownRequest(44));
  assert(!isKnownRequest(0));
  assert(!isKnownRequest(45));
  assertEquals(requestName(45), "request 45");
  assertEquals(VHOST_USER_F_PROTOCOL_FEATURES_MASK, 0x4000_0000n);
  assertEquals(REPLY_FLAGS, 5);
  assertEquals(NEED_REPLY_MASK, 8);
});

Deno.test("decodeHeader() reads request, flags and size", () => {
  assertEquals(decodeHeader(view("05000000 09000000 48000000")), {
    request: 5,
    flags: 9,
    size: 72,
  });
});

Deno.test("headerFault() refuses other versions, replies, and huge payloads", () => {
  const fault = (flags: number, size = 0) =>
    headerFault({ request: 1, flags, size });
  assertEquals(fault(0x1), undefined);
  assertEquals(fault(0x9), undefined);
  // Bits without a meaning yet.
  assertEquals(fault(0xfffffff1), undefined);
  assertEquals(fault(0x1, 4096), undefined);
  assertStringIncludes(fault(0x0)!, "version must be 1, not 0");
  assertStringIncludes(fault(0x2)!, "version must be 1, not 2");
  assertStringIncludes(fault(0x5)!, "reply flag");
  assertStringIncludes(fault(0x1, 4097)!, "at most 4096 bytes");
  assertStringIncludes(fault(0x1, 0xffffffff)!, "not 4294967295");
});

Deno.test("decoders read the payloads byte by byte", () => {
  assertEquals(
    decodeU64(view("efcdab8967452301")),
    0x0123_4567_89ab_cdefn,
  );
  assertEquals(decodeVringState(view("01000000 00010000")), {
    index: 1,
    num: 256,
  });
  assertEquals(
    decodeVringAddress(view(`
      01000000 01000000
      0010000000700000 0030000000700000 0020000000700000 ffffffffffffffff`)),
    {
      index: 1,
      flags: 1,
      descriptor: 0x7000_0000_1000,
      used: 0x7000_0000_3000,
      available: 0x7000_0000_2000,
    },
  );
  assertEquals(decodeVringFd(view("0200000000000000")), {
    index: 2,
    hasFd: true,
  });
  assertEquals(decodeVringFd(view("ff01000000000000")), {
    index: 255,
    hasFd: false,
  });
  const region = {
    guestAddress: 0x1_0000_0000,
    size: 0x4000_0000,
    userAddress: 0x7f00_0000_0000,
    mmapOffset: 0x8000_0000,
  };
  const regionBytes = `0000000001000000 0000004000000000
    00000000007f0000 0000008000000000`;
  assertEquals(
    decodeMemTable(view(`01000000 00000000 ${regionBytes}`)),
    [region],
  );
  assertEquals(
    decodeSingleRegion(view(`0000000000000000 ${regionBytes}`)),
    region,
  );
  assertEquals(decodeConfig(view("04000000 02000000 01000000 aabb")), {
    offset: 4,
    size: 2,
    flags: 1,
  });
  assertEquals(
    decodeInflight(
      view("0010000000000000 0020000000000000 0200 4000 00000000"),
    ),
    { mmapSize: 4096, mmapOffset: 8192, numQueues: 2, queueSize: 64 },
  );
});

Deno.test("addresses beyond 2^53 decode to something that is no safe integer", () => {
  const { descriptor, used } = decodeVringAddress(view(`
    00000000 00000000
    ffffffffffffffff 0100000000002000 0000000000000000 0000000000000000`));
  assert(!Number.isSafeInteger(descriptor));
  assert(!Number.isSafeInteger(used));
});

Deno.test("encoders write replies byte by byte, flags exactly 5", () => {
  assertEquals(
    encodeReply(1, encodeU64(0x1_7000_0001n)),
    hex("01000000 05000000 08000000 0100007001000000"),
  );
  assertEquals(
    encodeReply(11, encodeVringState({ index: 1, num: 0x1234 })),
    hex("0b000000 05000000 08000000 01000000 34120000"),
  );
  assertEquals(
    encodeReply(
      24,
      encodeConfig({ offset: 4, size: 4, flags: 0 }, hex("0c000000")),
    ),
    hex("18000000 05000000 10000000 04000000 04000000 00000000 0c000000"),
  );
  const inflight = {
    mmapSize: 0x840,
    mmapOffset: 0,
    numQueues: 2,
    queueSize: 64,
  };
  assertEquals(
    encodeReply(31, encodeInflight(inflight, 24)),
    hex(`1f000000 05000000 18000000
      4008000000000000 0000000000000000 0200 4000 00000000`),
  );
  assertEquals(encodeInflight(inflight, 20).length, 20);
  assertEquals(
    encodeReply(24, new Uint8Array(0)),
    hex("18000000 05000000 00000000"),
  );
});

/**
 * Returns true if a payload of this many zero bytes with these fds has the
 * right form.
 */
function fits(request: number, bytes: number, fds: number): boolean {
  const form = REQUEST_FORMS.get(request)!;
  const payload = new DataView(new ArrayBuffer(bytes));
  return formFault(request, form, payload, fds) === undefined;
}

Deno.test("formFault() takes exactly the sizes and fd counts of the specification", () => {
  const expected: [request: number, bytes: number, fds: number][] = [
    [FrontendRequest.GET_FEATURES, 0, 0],
    [FrontendRequest.SET_FEATURES, 8, 0],
    [FrontendRequest.SET_OWNER, 0, 0],
    [FrontendRequest.RESET_OWNER, 0, 0],
    [FrontendRequest.SET_VRING_NUM, 8, 0],
    [FrontendRequest.SET_VRING_ADDR, 40, 0],
    [FrontendRequest.SET_VRING_BASE, 8, 0],
    [FrontendRequest.GET_VRING_BASE, 8, 0],
    [FrontendRequest.SET_VRING_KICK, 8, 1],
    [FrontendRequest.SET_VRING_CALL, 8, 1],
    [FrontendRequest.SET_VRING_ERR, 8, 1],
    [FrontendRequest.GET_PROTOCOL_FEATURES, 0, 0],
    [FrontendRequest.SET_PROTOCOL_FEATURES, 8, 0],
    [FrontendRequest.GET_QUEUE_NUM, 0, 0],
    [FrontendRequest.SET_VRING_ENABLE, 8, 0],
    [FrontendRequest.SET_BACKEND_REQ_FD, 0, 1],
    [FrontendRequest.GET_CONFIG, 12, 0],
    [FrontendRequest.SET_CONFIG, 12, 0],
    [FrontendRequest.GET_INFLIGHT_FD, 24, 0],
    [FrontendRequest.SET_INFLIGHT_FD, 24, 1],
    [FrontendRequest.RESET_DEVICE, 0, 0],
    [FrontendRequest.GET_MAX_MEM_SLOTS, 0, 0],
    [FrontendRequest.ADD_MEM_REG, 40, 1],
    [FrontendRequest.REM_MEM_REG, 40, 0],
    [FrontendRequest.SET_STATUS, 8, 0],
    [FrontendRequest.GET_STATUS, 0, 0],
  ];
  // All but SET_MEM_TABLE, which has a test of its own.
  assertEquals(expected.length, REQUEST_FORMS.size - 1);
  for (const [request, bytes, fds] of expected) {
    const name = requestName(request);
    assert(fits(request, bytes, fds), `${name} as it should be`);
    for (const other of [0, 1, 4, 7, 9, 16, 23, 25, 32, 39, 41, 44, 4096]) {
      if (other === bytes) continue;
      assert(!fits(request, other, fds), `${name} of ${other} bytes`);
    }
    for (const other of [0, 1, 2, 8]) {
      if (other === fds) continue;
      // An fd with REM_MEM_REG is closed and otherwise let pass.
      if (request === FrontendRequest.REM_MEM_REG && other === 1) continue;
      assert(!fits(request, bytes, other), `${name} with ${other} fds`);
    }
  }
  assert(fits(FrontendRequest.REM_MEM_REG, 40, 1));
  assert(fits(FrontendRequest.GET_INFLIGHT_FD, 20, 0));
});

Deno.test("formFault() counts the regions and fds of SET_MEM_TABLE", () => {
  const { SET_MEM_TABLE } = FrontendRequest;
  const form = REQUEST_FORMS.get(SET_MEM_TABLE)!;
  const fault = (count: number, bytes: number, fds: number) => {
    const payload = new DataView(new ArrayBuffer(bytes));
    if (bytes >= 4) payload.setUint32(0, count, true);
    return formFault(SET_MEM_TABLE, form, payload, fds);
  };
  for (let count = 1; count <= 8; count++) {
    assertEquals(fault(count, 8 + 32 * count, count), undefined);
  }
  // UML: one region in a struct with room for two.
  assertEquals(fault(1, 72, 1), undefined);
  // The whole of a struct with room for eight.
  assertEquals(fault(2, 264, 2), undefined);
  for (
    const [count, bytes, fds] of [
      [0, 8, 0],
      [0, 40, 1],
      [1, 8, 1],
      [2, 40, 2],
      [1, 41, 1],
      [1, 39, 1],
      [9, 296, 9],
      [0xffffffff, 264, 8],
      [1, 40, 0],
      [1, 40, 2],
      [2, 72, 1],
    ] as const
  ) assert(fault(count, bytes, fds) !== undefined, `${count} ${bytes} ${fds}`);
});

Deno.test("formFault() wants an fd exactly when bit 8 does not say there is none", () => {
  const form = REQUEST_FORMS.get(FrontendRequest.SET_VRING_CALL)!;
  const fault = (value: bigint, fds: number) => {
    const payload = new DataView(encodeU64(value).buffer);
    return formFault(FrontendRequest.SET_VRING_CALL, form, payload, fds);
  };
  assertEquals(fault(1n, 1), undefined);
  assertEquals(fault(0x101n, 0), undefined);
  assertStringIncludes(fault(1n, 0)!, "promises 1 fds, not 0");
  assertStringIncludes(fault(0x101n, 1)!, "promises 0 fds, not 1");
});

Deno.test("formFault() wants as many bytes of configuration as are announced", () => {
  const form = REQUEST_FORMS.get(FrontendRequest.GET_CONFIG)!;
  const fault = (announced: number, bytes: number) => {
    const payload = new DataView(new ArrayBuffer(12 + bytes));
    payload.setUint32(4, announced, true);
    return formFault(FrontendRequest.GET_CONFIG, form, payload, 0);
  };
  assertEquals(fault(8, 8), undefined);
  assertEquals(fault(0, 0), undefined);
  assertEquals(fault(256, 256), undefined);
  assert(fault(8, 7) !== undefined);
  assert(fault(7, 8) !== undefined);
  assert(fault(0xffffffff, 8) !== undefined);
});
