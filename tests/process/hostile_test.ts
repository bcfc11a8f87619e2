/**
 * A frontend and a guest that mean harm, against a running `gpioagg serve`.
 *
 * What one bad message does to its own connection is the unit tests' matter.
 * Here: whatever was said, the process lives, the next guest is served in
 * full, and nothing of the last one is left behind.
 */
import { assert, assertEquals } from "@std/assert";
import { createEventFd } from "../../ffi/event_fd.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { connectUnix } from "../../ffi/unix_socket.ts";
import type { Client } from "../../src/vhost_frontend/client.ts";
import { Connection } from "../../src/vhost_frontend/connection.ts";
import {
  DESCRIPTOR_INDIRECT,
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
  type DriverRing,
} from "../../src/vhost_frontend/driver_ring.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import {
  ConnectionError,
  RuleViolation,
  WaitTimeoutError,
} from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import {
  encodeConfig,
  encodeInflight,
  encodeMemoryTable,
  encodeU64,
  encodeVringAddress,
  encodeVringFd,
  encodeVringState,
} from "../../src/vhost_frontend/messages.ts";
import { FrontendRequest } from "../../src/vhost_user/messages/protocol.ts";
import { Service } from "../environment/service.ts";
import { assertNoMoreFds, settledFdCount } from "./server_usage.ts";

const LINES = ["sim/4"];
const NEED_REPLY = 0x9;
const ANSWER_MS = 100;

/** A guest that finds everything in order. */
function goodGuest(socket: string): void {
  using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(frontend);
  assertEquals(driver.names(), ["sim0", "sim1", "sim2", "sim3"]);
  for (let line = 0; line < 4; line++) {
    assertEquals(driver.getValue(line), 0, `line ${line}`);
  }
}

/** A connection that has negotiated and runs, for saying the wrong thing. */
type Act = (client: Client, frontend: Frontend) => void;

/**
 * Runs each act on a connection of its own, a good guest after each, and
 * counts the server's fds at the end.
 */
async function afterEach(acts: Record<string, Act>): Promise<void> {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  const { pid } = service.process;
  goodGuest(socket);
  const before = await settledFdCount(pid);
  for (const [name, act] of Object.entries(acts)) {
    try {
      using frontend = Frontend.open(socket, { timeoutMs: 120_000 });
      frontend.start();
      act(frontend.client, frontend);
      // An answer to this says that the server has taken in all before it.
      barrier(frontend.client);
      // And it meets rings that are kicked as if nothing had been.
      for (const index of [0, 1]) frontend.kick(index);
    } catch (error) {
      // To be hung up on is an answer, too.
      if (!(error instanceof ConnectionError)) {
        throw new Error(`${name}: ${error}`, { cause: error });
      }
    }
    try {
      goodGuest(socket);
    } catch (cause) {
      throw new Error(`after ${name}, the next guest failed: ${cause}`, {
        cause,
      });
    }
    assertEquals(service.process.status, undefined, `${name} ended the server`);
  }
  await assertNoMoreFds(pid, before);
}

/** Sends GET_FEATURES and takes what comes until its answer. */
function barrier(client: Client): void {
  client.sendRaw(FrontendRequest.GET_FEATURES, new Uint8Array(0));
  for (;;) {
    const reply = client.connection.receive("answer to GET_FEATURES");
    for (const fd of reply.fds) fd.close();
    if (reply.request === FrontendRequest.GET_FEATURES) return;
  }
}

const NOTHING = new Uint8Array(0);
const PAGE = 0x1000;

Deno.test("forbidden messages do not harm the next guest", async () => {
  const acts: Record<string, Act> = {};
  const codes = Object.entries(FrontendRequest);
  for (const [name, code] of codes) {
    acts[`${name} without a payload`] = (client) =>
      client.sendRaw(code, NOTHING);
    acts[`${name} with 3 bytes, wanting a reply`] = (client) =>
      client.sendRaw(code, new Uint8Array(3), { flags: NEED_REPLY });
    acts[`${name} all ones`] = (client) =>
      client.sendRaw(code, new Uint8Array(40).fill(0xff));
    acts[`${name} with three fds`] = (client) => {
      using fd = createMemFd("unasked", PAGE);
      client.sendRaw(code, encodeU64(0n), { fds: [fd.fd, fd.fd, fd.fd] });
    };
  }
  for (const code of [0, 45, 99, 0xffff_ffff]) {
    for (const flags of [1, NEED_REPLY]) {
      acts[`request ${code}, flags ${flags}`] = (client) =>
        client.sendRaw(code, encodeU64(1n), { flags });
    }
  }
  for (const flags of [0, 2, 3, 5, 0xffff_ffff]) {
    acts[`flags ${flags}`] = (client) =>
      client.sendRaw(FrontendRequest.GET_FEATURES, NOTHING, { flags });
  }
  for (const size of [1, 4096, 4097, 0x7fff_ffff, 0xffff_ffff]) {
    acts[`a payload of ${size} bytes that does not come`] = (client) => {
      client.sendRaw(FrontendRequest.SET_FEATURES, NOTHING, { size });
      client.connection[Symbol.dispose]();
      throw new ConnectionError("hung up in the middle of a message");
    };
  }
  await afterEach(acts);
});

Deno.test("nonsense in valid messages does not harm the next guest", async () => {
  const state =
    (request: number, index: number, value: number): Act => (client) =>
      client.sendRaw(request, encodeVringState(index, value));
  const acts: Record<string, Act> = {};
  for (const index of [2, 255, 0xffff_ffff]) {
    for (
      const name of [
        "SET_VRING_NUM",
        "SET_VRING_BASE",
        "GET_VRING_BASE",
        "SET_VRING_ENABLE",
      ] as const
    ) acts[`${name} of ring ${index}`] = state(FrontendRequest[name], index, 1);
  }
  for (const size of [0, 3, 65536, 0xffff_ffff]) {
    acts[`a ring of ${size}`] = state(FrontendRequest.SET_VRING_NUM, 0, size);
  }
  for (const base of [65536, 0xffff_ffff]) {
    acts[`base ${base}`] = state(FrontendRequest.SET_VRING_BASE, 0, base);
  }
  for (
    const address of [
      0n,
      1n,
      0x7f10_4000_0001n,
      0x7f10_400f_fff8n,
      0xffff_ffff_ffff_fff0n,
    ]
  ) {
    acts[`rings at 0x${address.toString(16)}`] = (client, frontend) => {
      frontend.pause();
      client.sendRaw(
        FrontendRequest.SET_VRING_ADDR,
        encodeVringAddress(0, {
          descriptors: address,
          avail: address,
          used: address,
        }),
      );
      using kick = createEventFd();
      client.sendRaw(FrontendRequest.SET_VRING_KICK, encodeVringFd(0, true), {
        fds: [kick.fd],
      });
    };
  }
  for (
    const [offset, size] of [[0, 0], [8, 1], [7, 2], [0, 257], [0xffff_ffff, 8]]
  ) {
    acts[`config ${offset}+${size}`] = (client) => {
      for (
        const code of [FrontendRequest.GET_CONFIG, FrontendRequest.SET_CONFIG]
      ) {
        client.sendRaw(
          code,
          encodeConfig(offset!, size!, 0, new Uint8Array(Math.min(size!, 300))),
        );
      }
    };
  }
  for (const [queues, size] of [[0, 0], [3, 256], [65535, 65535], [2, 0]]) {
    acts[`an in-flight region for ${queues} rings of ${size}`] = (client) =>
      client.sendRaw(
        FrontendRequest.GET_INFLIGHT_FD,
        encodeInflight(0, 0, queues!, size!),
      );
    acts[`a foreign in-flight region for ${queues} rings of ${size}`] = (
      client,
      frontend,
    ) => {
      frontend.pause();
      using fd = createMemFd("inflight", PAGE);
      client.sendRaw(
        FrontendRequest.SET_INFLIGHT_FD,
        encodeInflight(PAGE, 0, queues!, size!),
        { fds: [fd.fd] },
      );
      frontend.resume();
    };
  }
  const region = (
    guestAddress: number,
    length: number,
    userAddress = guestAddress,
    fileOffset = 0,
  ) => ({ guestAddress, length, userAddress, fileOffset });
  const tables = {
    "no region": [],
    "a region of nothing": [region(0, 0)],
    "a region larger than its file": [region(0, 16 * PAGE)],
    "a region that wraps": [region(2 ** 64 - PAGE, 2 * PAGE)],
    "overlapping regions": [region(0, PAGE), region(0, PAGE)],
    "an offset that is no page": [region(0, PAGE, 0, 12)],
    "an offset behind the file": [region(0, PAGE, 0, 64 * PAGE)],
    "nine regions": Array.from({ length: 9 }, (_, i) => region(i * PAGE, PAGE)),
  };
  for (const [name, regions] of Object.entries(tables)) {
    acts[`a memory table with ${name}`] = (client) => {
      using fd = createMemFd("regions", PAGE);
      // 2^64 - 1 page is no safe integer, but an exact float all the same.
      client.sendRaw(
        FrontendRequest.SET_MEM_TABLE,
        encodeMemoryTable(regions),
        { fds: regions.map(() => fd.fd) },
      );
    };
    acts[`${name}, and no fds`] = (client) =>
      client.sendRaw(FrontendRequest.SET_MEM_TABLE, encodeMemoryTable(regions));
  }
  await afterEach(acts);
});

/** Writes something wrong into a ring; yields the head to make available. */
type RingAct = (ring: DriverRing, memory: number) => number;

const RING_ACTS: Record<string, RingAct> = {
  "a chain that is a loop": (ring, memory) => {
    ring.writeDescriptor(0, memory, 8, DESCRIPTOR_NEXT, 1);
    ring.writeDescriptor(1, memory, 8, DESCRIPTOR_NEXT, 0);
    return 0;
  },
  "a descriptor that is its own next": (ring, memory) => {
    ring.writeDescriptor(0, memory, 8, DESCRIPTOR_NEXT, 0);
    return 0;
  },
  "a next behind the table": (ring, memory) => {
    ring.writeDescriptor(0, memory, 8, DESCRIPTOR_NEXT, 256);
    return 0;
  },
  "a head behind the table": () => 65535,
  "a buffer outside memory": (ring) => {
    ring.writeDescriptor(0, 0x9999_0000, 8, DESCRIPTOR_NEXT, 1);
    ring.writeDescriptor(1, 0x9999_0000, 2, DESCRIPTOR_WRITE);
    return 0;
  },
  "a buffer that wraps": (ring) => {
    ring.writeDescriptor(0, 0xffff_ffff_ffff_fffcn, 8, DESCRIPTOR_NEXT, 1);
    ring.writeDescriptor(1, 0xffff_ffff_ffff_ffffn, 2, DESCRIPTOR_WRITE);
    return 0;
  },
  "a buffer of 4 GiB": (ring, memory) => {
    ring.writeDescriptor(0, memory, 0xffff_ffff, DESCRIPTOR_NEXT, 1);
    ring.writeDescriptor(1, memory, 0xffff_ffff, DESCRIPTOR_WRITE);
    return 0;
  },
  "an indirect table of a crooked size": (ring, memory) => {
    ring.writeDescriptor(0, memory, 24, DESCRIPTOR_INDIRECT);
    return 0;
  },
  "an empty indirect table": (ring, memory) => {
    ring.writeDescriptor(0, memory, 0, DESCRIPTOR_INDIRECT);
    return 0;
  },
  "an indirect table in an indirect table": (ring, memory) => {
    ring.writeIndirect(memory, 0, memory, 16, DESCRIPTOR_INDIRECT);
    ring.writeDescriptor(0, memory, 16, DESCRIPTOR_INDIRECT);
    return 0;
  },
  "an indirect descriptor with a next": (ring, memory) => {
    const flags = DESCRIPTOR_INDIRECT | DESCRIPTOR_NEXT;
    ring.writeDescriptor(0, memory, 16, flags, 1);
    return 0;
  },
  "an indirect loop": (ring, memory) => {
    ring.writeIndirect(memory, 0, memory, 8, DESCRIPTOR_NEXT, 1);
    ring.writeIndirect(memory, 1, memory, 8, DESCRIPTOR_NEXT, 0);
    ring.writeDescriptor(0, memory, 32, DESCRIPTOR_INDIRECT);
    return 0;
  },
  "an available index that runs ahead": (ring) => {
    ring.publishRaw(ring.availIndex + 300);
    return 0;
  },
  "an available index that runs back": (ring) => {
    ring.publishRaw(ring.availIndex - 1);
    return 0;
  },
};

Deno.test("rings that are wrong do not harm the next guest", async () => {
  const acts: Record<string, Act> = {};
  for (const [name, act] of Object.entries(RING_ACTS)) {
    for (const index of [0, 1]) {
      acts[`${name}, on ring ${index}`] = (_client, frontend) => {
        const ring = frontend.rings[index]!;
        const memory = frontend.memory.allocate(PAGE);
        ring.makeAvailable(act(ring, memory));
        ring.publish();
        frontend.kick(index);
        frontend.callPoint(index).wait(5);
      };
    }
  }
  await afterEach(acts);
});

/** Chains that a device must take or refuse, and go on after in either case. */
const ODD_CHAINS: Record<string, [number, number][]> = {
  // Length and flags of each buffer.
  "no buffer to write": [[8, 0]],
  "no buffer to read": [[2, DESCRIPTOR_WRITE]],
  "a request of one byte": [[1, 0], [2, DESCRIPTOR_WRITE]],
  "an empty request": [[0, 0], [2, DESCRIPTOR_WRITE]],
  "an empty response": [[8, 0], [0, DESCRIPTOR_WRITE]],
  "a response of one byte": [[8, 0], [1, DESCRIPTOR_WRITE]],
  "a response before the request": [[2, DESCRIPTOR_WRITE], [8, 0]],
  "a request in eight pieces": [
    ...Array.from({ length: 8 }, (): [number, number] => [1, 0]),
    [1, DESCRIPTOR_WRITE],
    [1, DESCRIPTOR_WRITE],
  ],
  "empty buffers in between": [[8, 0], [0, 0], [0, DESCRIPTOR_WRITE], [
    2,
    DESCRIPTOR_WRITE,
  ]],
  "buffers that are too long": [[4000, 0], [4000, DESCRIPTOR_WRITE]],
};

Deno.test("an odd request fails alone: the same guest is served on", async () => {
  await using service = await Service.start({ plc0: LINES });
  for (const [name, buffers] of Object.entries(ODD_CHAINS)) {
    using frontend = Frontend.open(service.socket("plc0"), {
      features: 0x1_6000_0001n, // all but indirect descriptors
    });
    frontend.start();
    const ring = frontend.rings[0]!;
    const memory = frontend.memory.allocate(4 * PAGE);
    const view = frontend.memory.span(memory, 4 * PAGE);
    const bytes = new Uint8Array(view.buffer, view.offset, 4 * PAGE);
    const send = (chain: readonly [number, number][], first: number) => {
      // A GET_VALUE of line 1, cut into what the chain has to read; the
      // response goes where the second page is.
      bytes.fill(0xee, PAGE, 2 * PAGE);
      bytes.set([4, 0, 1, 0, 0, 0, 0, 0]);
      let read = memory;
      let write = memory + PAGE;
      chain.forEach(([length, flags], i) => {
        const isWrite = (flags & DESCRIPTOR_WRITE) !== 0;
        const next = i < chain.length - 1 ? DESCRIPTOR_NEXT : 0;
        ring.writeDescriptor(
          first + i,
          isWrite ? write : read,
          length,
          flags | next,
          first + i + 1,
        );
        if (isWrite) write += length;
        else read += length;
      });
      ring.makeAvailable(first);
      if (ring.publish()) frontend.kick(0);
      const used = frontend.waitUsed(0, 120_000);
      assertEquals(used, 1, `${name}: the chain did not come back`);
      ring.takeUsed();
      assertEquals(ring.usedHead, first, name);
      return bytes.slice(PAGE, PAGE + 2);
    };
    const answer = send(buffers, 16);
    const writable = buffers.reduce(
      (sum, [length, flags]) => sum + (flags & DESCRIPTOR_WRITE ? length : 0),
      0,
    );
    assert(ring.usedLength <= writable, `${name}: used ${ring.usedLength}`);
    if (name === "a request in eight pieces" || name.startsWith("empty buf")) {
      assertEquals([ring.usedLength, ...answer], [2, 0, 0], name);
    }
    const good = send([[8, 0], [2, DESCRIPTOR_WRITE]], 0);
    assertEquals([ring.usedLength, ...good], [2, 0, 0], `after ${name}`);
  }
});

Deno.test("noise instead of a protocol does not harm the next guest", async () => {
  await using service = await Service.start({ plc0: LINES });
  const socket = service.socket("plc0");
  let seed = 0x2545_f491;
  const random = () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
  for (let round = 0; round < 50; round++) {
    const noise = new Uint8Array(random() % 300);
    for (let i = 0; i < noise.length; i++) noise[i] = random() & 0xff;
    using connection = new Connection(
      connectUnix(socket),
      socket,
      ANSWER_MS,
    );
    try {
      connection.send(noise);
      if (round & 1) connection.receive("anything");
    } catch (error) {
      const expected = error instanceof ConnectionError ||
        error instanceof WaitTimeoutError || error instanceof RuleViolation;
      if (!expected) throw error;
    }
  }
  goodGuest(socket);
});
