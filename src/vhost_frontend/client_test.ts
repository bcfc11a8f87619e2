import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { CannedBackend } from "../../tests/doubles/canned_backend.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { Client } from "./client.ts";
import { Connection } from "./connection.ts";
import { ConnectionError, RuleViolation, WaitTimeoutError } from "./errors.ts";

const GET_FEATURES = 1;
const SET_MEM_TABLE = 5;
const GET_CONFIG = 24;
const REPLY_ACK = 1n << 3n;

function setUp(habit: "never" | "effects" | "always" = "never") {
  const stack = new DisposableStack();
  const backend = stack.use(new CannedBackend());
  const connection = new Connection(backend.frontendSocket, "test", 100);
  const client = stack.use(new Client(connection, habit));
  return { backend, client, [Symbol.dispose]: () => stack.dispose() };
}

Deno.test("Client.getFeatures() sends 12 bytes and takes the u64", () => {
  using test = setUp();
  test.backend.replyU64(GET_FEATURES, 0x1_7000_0001n);
  assertEquals(test.client.getFeatures(), 0x1_7000_0001n);
  assertEquals(test.backend.take(), [
    { request: 1, flags: 1, payload: new Uint8Array(0), fdCount: 0 },
  ]);
});

Deno.test("a reply that comes in pieces is put together", () => {
  using test = setUp();
  const whole = Uint8Array.fromHex(
    "01000000 05000000 08000000".replaceAll(
      " ",
      "",
    ) + "0700000000000000",
  );
  for (const byte of whole) test.backend.raw(Uint8Array.of(byte));
  assertEquals(test.client.getFeatures(), 7n);
});

Deno.test("a wrong reply names the rule that it breaks", () => {
  const u64 = new Uint8Array(8);
  const wrong: [string, (backend: CannedBackend) => void][] = [
    ["its code", (backend) => backend.reply(2, u64)],
    ["flags 0x1 instead of 0x5", (b) => b.reply(1, u64, { flags: 1 })],
    ["flags 0xd instead of 0x5", (b) => b.reply(1, u64, { flags: 0xd })],
    ["carries 8 bytes; seen: 4", (b) => b.reply(1, u64.subarray(4))],
    ["version 1 header", (backend) => backend.raw(new Uint8Array(12).fill(9))],
    ["version 1 header", (b) => b.reply(1, u64, { size: 0x7fff_ffff })],
    ["1 file descriptors", (backend) => {
      using fd = createMemFd("unasked", 1);
      backend.reply(1, u64, { fds: [fd.fd] });
    }],
  ];
  for (const [expected, say] of wrong) {
    using test = setUp();
    say(test.backend);
    assertThrows(() => test.client.getFeatures(), RuleViolation, expected);
  }
});

Deno.test("no answer is an error that says what was waited for", () => {
  using test = setUp();
  const error = assertThrows(
    () => test.client.getFeatures(),
    WaitTimeoutError,
    "No answer to GET_FEATURES within 100 ms",
  );
  assertInstanceOf(error, WaitTimeoutError);
  assertEquals(error.limitMs, 100);
});

Deno.test("half an answer is no answer", () => {
  using test = setUp();
  test.backend.raw(new Uint8Array([1, 0, 0, 0, 5]));
  assertThrows(() => test.client.getFeatures(), WaitTimeoutError);
});

Deno.test("a backend that hangs up is told from one that is silent", () => {
  using test = setUp();
  test.backend.close();
  assertThrows(
    () => test.client.getFeatures(),
    ConnectionError,
    "closed the connection",
  );
});

Deno.test("acknowledgements are asked for as the habit says", () => {
  for (
    const [habit, expected] of [
      ["never", [1, 1]],
      ["effects", [1, 9]],
      ["always", [9, 9]],
    ] as const
  ) {
    using test = setUp(habit);
    test.client.protocolFeatures = REPLY_ACK;
    if (expected[0] === 9) test.backend.replyU64(8, 0n);
    test.client.setVringSize(0, 64);
    if (expected[1] === 9) test.backend.replyU64(SET_MEM_TABLE, 0n);
    test.client.setMemoryTable([]);
    assertEquals(test.backend.take().map(({ flags }) => flags), [...expected]);
  }
});

Deno.test("a message that is acknowledged with a failure is an error", () => {
  using test = setUp("always");
  test.client.protocolFeatures = REPLY_ACK;
  test.backend.replyU64(8, 1n);
  assertThrows(
    () => test.client.setVringSize(0, 64),
    RuleViolation,
    "a valid SET_VRING_NUM is acknowledged with 0; seen: 1",
  );
});

Deno.test("Client.getConfig() takes a refusal for what it is", () => {
  using test = setUp();
  test.backend.reply(GET_CONFIG, new Uint8Array(0));
  assertEquals(test.client.getConfig(6, 4), undefined);
  const [message] = test.backend.take();
  assertEquals(
    message!.payload.toHex(),
    "060000000400000000000000" + "0".repeat(8),
  );
});

Deno.test("Client.getInflight() keeps the fd that comes with the answer", () => {
  using test = setUp();
  test.backend.replyInflight(4096);
  const region = test.client.getInflight(2, 64);
  using fd = region.fd;
  assertEquals([region.size, region.offset, fd.closed], [4096, 0, false]);
  test.client.setInflight(region);
  assertEquals(test.backend.take().map(({ fdCount }) => fdCount), [0, 1]);
});
