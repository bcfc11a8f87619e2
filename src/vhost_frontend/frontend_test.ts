import { assert, assertEquals, assertThrows } from "@std/assert";
import { CannedBackend } from "../../tests/doubles/canned_backend.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { duplicate } from "../../ffi/files.ts";
import { requestName } from "../vhost_user/messages/protocol.ts";
import { RuleViolation } from "./errors.ts";
import { Frontend } from "./frontend.ts";
import type { FrontendOptions } from "./frontend_options.ts";
import { ORDER_NAMES, type OrderName } from "./orders.ts";

const FEATURES = 0x1_7000_0001n; // IRQ, INDIRECT, EVENT_IDX, PROTOCOL, VERSION_1
const MQ = 1n << 0n;
const BACKEND_REQ = 1n << 5n;
const CONFIG = 1n << 9n;
const INFLIGHT_SHMFD = 1n << 12n;
const CONFIGURE_MEM_SLOTS = 1n << 15n;
const STATUS = 1n << 16n;

/** Lays ready what an order's opening asks for, with these protocol features. */
function answerOpening(backend: CannedBackend, protocol: bigint): void {
  backend.replyU64(1, FEATURES);
  backend.replyU64(15, protocol);
  if (protocol & MQ) backend.replyU64(17, 2n);
}

function open(
  backend: CannedBackend,
  order: OrderName,
  options: FrontendOptions = {},
): Frontend {
  return Frontend.open(backend.frontendSocket, {
    order,
    timeoutMs: 100,
    queueSize: 16,
    ...options,
  });
}

function names(backend: CannedBackend): string[] {
  return backend.take().map(({ request }) => requestName(request));
}

function ring(...steps: string[]): string[] {
  const spelled = {
    NUM: "SET_VRING_NUM",
    BASE: "SET_VRING_BASE",
    ADDR: "SET_VRING_ADDR",
    KICK: "SET_VRING_KICK",
    CALL: "SET_VRING_CALL",
    ENABLE: "SET_VRING_ENABLE",
  };
  return steps.map((step) => spelled[step as keyof typeof spelled] ?? step);
}

/** Each order's message names, opening and start, as in the reference table. */
const EXPECTED: Record<OrderName, [string[], string[]]> = {
  qemu: [
    [
      "GET_FEATURES",
      "GET_PROTOCOL_FEATURES",
      "SET_PROTOCOL_FEATURES",
      "GET_QUEUE_NUM",
      "SET_OWNER",
      "GET_FEATURES",
      ...ring("CALL", "CALL"),
    ],
    [
      "SET_FEATURES",
      "SET_MEM_TABLE",
      ...ring("NUM", "BASE", "ADDR", "KICK", "CALL"),
      ...ring("NUM", "BASE", "ADDR", "KICK", "CALL"),
      ...ring("ENABLE", "ENABLE"),
    ],
  ],
  crosvm: [
    [
      "SET_OWNER",
      "GET_FEATURES",
      "GET_PROTOCOL_FEATURES",
      "SET_PROTOCOL_FEATURES",
      "GET_QUEUE_NUM",
    ],
    [
      "SET_FEATURES",
      "SET_MEM_TABLE",
      ...ring("NUM", "ADDR", "BASE", "CALL", "KICK", "ENABLE"),
      ...ring("NUM", "ADDR", "BASE", "CALL", "KICK", "ENABLE"),
    ],
  ],
  "cloud-hypervisor": [
    [
      "SET_OWNER",
      "GET_FEATURES",
      "GET_PROTOCOL_FEATURES",
      "SET_PROTOCOL_FEATURES",
      "GET_QUEUE_NUM",
    ],
    [
      "SET_FEATURES",
      "SET_MEM_TABLE",
      ...ring("NUM", "NUM"),
      ...ring("ADDR", "BASE", "CALL", "KICK"),
      ...ring("ADDR", "BASE", "CALL", "KICK"),
      ...ring("ENABLE", "ENABLE"),
    ],
  ],
  uml: [
    [
      "SET_OWNER",
      "GET_FEATURES",
      "GET_PROTOCOL_FEATURES",
      "SET_PROTOCOL_FEATURES",
    ],
    [
      "SET_FEATURES",
      "SET_MEM_TABLE",
      ...ring("CALL", "NUM", "BASE", "ADDR"),
      ...ring("CALL", "NUM", "BASE", "ADDR"),
      ...ring("KICK", "KICK", "ENABLE", "ENABLE"),
    ],
  ],
  libkrun: [
    [
      "GET_FEATURES",
      "SET_OWNER",
      "GET_PROTOCOL_FEATURES",
      "SET_PROTOCOL_FEATURES",
      "GET_QUEUE_NUM",
    ],
    [
      "SET_FEATURES",
      "SET_MEM_TABLE",
      ...ring("NUM", "BASE", "ADDR", "KICK", "CALL", "ENABLE"),
      ...ring("NUM", "BASE", "ADDR", "KICK", "CALL", "ENABLE"),
    ],
  ],
};

for (const order of ORDER_NAMES) {
  Deno.test(`Frontend says things in the order of ${order}`, () => {
    using backend = new CannedBackend();
    answerOpening(backend, MQ | CONFIG);
    if (order === "qemu") backend.replyU64(1, FEATURES);
    using frontend = open(backend, order, {
      protocolFeatures: order === "uml" ? CONFIG : MQ | CONFIG,
    });
    assertEquals(names(backend), EXPECTED[order][0]);
    frontend.start();
    assertEquals(names(backend), EXPECTED[order][1]);
  });
}

Deno.test("Frontend passes the fds that each message has", () => {
  using backend = new CannedBackend();
  answerOpening(backend, MQ | BACKEND_REQ);
  using frontend = open(backend, "crosvm", {
    regions: [
      { guestAddress: 0, length: 0x1_0000 },
      { guestAddress: 0x1_0000_0000, length: 0x1_0000, fileOffset: 0x1000 },
    ],
    ringRegions: [0, 1],
  });
  frontend.start();
  const fds = new Map(
    backend.take().map(({ request, fdCount }) => [
      requestName(request),
      fdCount,
    ]),
  );
  assertEquals(fds.get("SET_MEM_TABLE"), 2);
  assertEquals(fds.get("SET_VRING_KICK"), 1);
  assertEquals(fds.get("SET_VRING_CALL"), 1);
  assertEquals(fds.get("SET_BACKEND_REQ_FD"), 1);
  assertEquals(fds.get("SET_VRING_ADDR"), 0);
  assert(frontend.rings[1]!.availAddress > 0x1_0000_0000);
});

Deno.test("Frontend adds memory region by region where QEMU would", () => {
  using backend = new CannedBackend();
  answerOpening(backend, CONFIGURE_MEM_SLOTS);
  backend.replyU64(36, 509n);
  backend.replyU64(1, FEATURES);
  using frontend = open(backend, "qemu");
  assertEquals(frontend.memorySlots, 509);
  frontend.start();
  const said = names(backend);
  assert(said.includes("ADD_MEM_REG") && !said.includes("SET_MEM_TABLE"));
  // A second start must not add what the backend has.
  frontend.start();
  assert(!names(backend).includes("ADD_MEM_REG"));
  const region = frontend.addMemory({ guestAddress: 0, length: 4096 });
  frontend.removeMemory(region);
  assertEquals(names(backend), ["ADD_MEM_REG", "REM_MEM_REG"]);
});

Deno.test("Frontend.pause() notes where rings are and resume() goes on there", () => {
  using backend = new CannedBackend();
  answerOpening(backend, 0n);
  using frontend = open(backend, "libkrun");
  frontend.start();
  backend.take();
  for (const [index, base] of [[0, 7], [1, 9]] as const) {
    const payload = new Uint8Array(8);
    payload[0] = index;
    payload[4] = base;
    backend.reply(11, payload);
  }
  assertEquals(frontend.pause(), [7, 9]);
  backend.take();
  frontend.resume();
  const bases = backend.take().filter(({ request }) => request === 10);
  assertEquals(bases.map(({ payload }) => payload[4]), [7, 9]);
});

Deno.test("Frontend.stop() as UML does ends with the last ring first", () => {
  using backend = new CannedBackend();
  answerOpening(backend, 0n);
  using frontend = open(backend, "uml");
  frontend.start();
  backend.take();
  backend.replyU64(1, FEATURES);
  frontend.stop();
  assertEquals(
    backend.take().map(({ request, payload }) => [
      requestName(request),
      payload[0],
    ]),
    [["SET_VRING_ENABLE", 1], ["SET_VRING_ENABLE", 0], [
      "GET_FEATURES",
      undefined,
    ]],
  );
});

Deno.test("Frontend sets the device status where that is negotiated", () => {
  using backend = new CannedBackend();
  answerOpening(backend, STATUS);
  using frontend = open(backend, "libkrun");
  backend.take();
  for (const status of [0n, 11n, 11n, 15n]) backend.replyU64(40, status);
  frontend.start();
  assertEquals(
    backend.take().filter(({ request }) => request === 39)
      .map(({ payload }) => payload[0]),
    [11, 15],
  );
});

Deno.test("Frontend reconnects with the in-flight region of the last life", () => {
  using first = new CannedBackend();
  answerOpening(first, INFLIGHT_SHMFD);
  using frontend = open(first, "libkrun");
  first.replyInflight(8192);
  frontend.start();
  assert(names(first).includes("SET_INFLIGHT_FD"));
  using second = new CannedBackend();
  answerOpening(second, INFLIGHT_SHMFD);
  frontend.reconnect(second.frontendSocket, [3, 4]);
  frontend.start();
  const said = second.take();
  assert(!said.some(({ request }) => request === 31), "no new region");
  const inflight = said.find(({ request }) => request === 32)!;
  assertEquals([inflight.fdCount, inflight.payload[1]], [1, 0x20]);
  assertEquals(
    said.filter(({ request }) => request === 10)
      .map(({ payload }) => payload[4]),
    [3, 4],
  );
});

Deno.test("Frontend.reconnect() refuses a backend that offers less", () => {
  using first = new CannedBackend();
  answerOpening(first, 0n);
  using frontend = open(first, "libkrun");
  using second = new CannedBackend();
  second.replyU64(1, FEATURES & ~1n);
  second.replyU64(15, 0n);
  assertThrows(
    () => frontend.reconnect(second.frontendSocket),
    RuleViolation,
    "offers what the last one did",
  );
});

Deno.test("Frontend closes its connection when the opening fails", () => {
  using backend = new CannedBackend();
  backend.close();
  assertThrows(() => open(backend, "qemu"));
  assert(backend.frontendSocket.closed);
});

Deno.test("Frontend closes all that it opened when it is disposed", () => {
  using stack = new DisposableStack();
  const backend = stack.use(new CannedBackend());
  answerOpening(backend, INFLIGHT_SHMFD | BACKEND_REQ);
  backend.replyInflight(4096);
  const copies: number[] = [];
  const keep = (fd: number) => copies.push(stack.use(duplicate(fd)).fd);
  {
    using frontend = open(backend, "libkrun");
    frontend.start();
    keep(frontend.client.connection.fd);
    keep(frontend.inflight!.fd.fd);
    keep(frontend.memory.regions[0]!.fd.fd);
    for (const index of [0, 1]) keep(frontend.kickPoint(index).fd);
    keep(frontend.callPoint(0).backendFd);
    assertEquals(countCopies(...copies), 2 * copies.length);
  }
  assertEquals(countCopies(...copies), copies.length);
});
