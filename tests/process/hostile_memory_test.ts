/**
 * Frontends whose memory goes away, beside one that is served on: the process
 * must survive, and say what happened.
 */
import { assert, assertEquals } from "@std/assert";
import { O_CREAT, O_RDWR, openFile } from "../../ffi/files.ts";
import { libc } from "../../ffi/libc.ts";
import { Mapping } from "../../ffi/mapping.ts";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { pollFd, POLLIN } from "../../ffi/poll.ts";
import type { OwnedFd } from "../../ffi/owned_fd.ts";
import { GpioDriver } from "../../src/vhost_frontend/driver.ts";
import {
  DESCRIPTOR_NEXT,
  DESCRIPTOR_WRITE,
} from "../../src/vhost_frontend/driver_ring.ts";
import { ConnectionError } from "../../src/vhost_frontend/errors.ts";
import { Frontend } from "../../src/vhost_frontend/frontend.ts";
import { InflightLog } from "../../src/virtio/queue/inflight.ts";
import { Service } from "../environment/service.ts";
import { mustIgnore } from "../doubles/skipped.ts";

const PAGE = 4096;
const SPARSE_AT = 0x9000_0000;
/** Request and answer. **Units**: bytes. */
const REQUEST_BYTES = 8;
const RESPONSE_BYTES = 2;

/** Waits until the backend hangs up. */
function waitForEnd(frontend: Frontend): void {
  try {
    for (;;) frontend.client.connection.receive("the end of the connection");
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
  }
}

/** Serves a request at `address`, whose answer goes to `answerAddress`. */
function ask(frontend: Frontend, address: number, answerAddress: number): void {
  const ring = frontend.rings[0]!;
  ring.writeDescriptor(0, address, REQUEST_BYTES, DESCRIPTOR_NEXT, 1);
  ring.writeDescriptor(1, answerAddress, RESPONSE_BYTES, DESCRIPTOR_WRITE);
  ring.makeAvailable(0);
  ring.publish();
  frontend.kick(0);
}

/**
 * The session of a frontend that takes memory away ends with a message, and no
 * other: the guest beside is served, and the next one on the same socket.
 */
async function assertSurvived(
  takeAway: (evil: Frontend) => Disposable | undefined,
  message: RegExp,
): Promise<void> {
  await using service = await Service.start({
    plc0: ["sim/4"],
    plc1: ["sim/4"],
  });
  using good = Frontend.open(service.socket("plc1"), { timeoutMs: 120_000 });
  const driver = GpioDriver.attach(good);
  {
    using evil = Frontend.open(service.socket("plc0"), { timeoutMs: 120_000 });
    evil.start();
    using _kept = takeAway(evil);
    waitForEnd(evil);
  }
  assertEquals(service.process.status, undefined);
  assertEquals(driver.getValue(0), 0);
  await service.process.waitFor(message);
  using next = Frontend.open(service.socket("plc0"), { timeoutMs: 120_000 });
  assertEquals(GpioDriver.attach(next).getValue(3), 0);
}

Deno.test("guest memory that is truncated ends its session only", async () => {
  await assertSurvived((evil) => {
    for (const region of evil.memory.regions) {
      libc().ftruncate(region.fd.fd, 0n);
    }
    for (const index of [0, 1]) evil.kick(index);
    return undefined;
  }, /guest memory at 0x[0-9a-f]+: its file has no page there any more/);
});

Deno.test("an in-flight log that is truncated ends its session only", async () => {
  await assertSurvived((evil) => {
    const { size } = evil.rings[0]!;
    const bytes = 2 * InflightLog.bytesFor(size);
    const fd = createMemFd("log", bytes);
    // A region of its own: the size of gpioagg's is sealed.
    for (const index of [0, 1]) evil.client.setVringEnable(index, false);
    evil.client.setInflight(
      { fd, size: bytes, offset: 0, queueCount: 2, queueSize: size },
    );
    for (const index of [0, 1]) evil.client.setVringEnable(index, true);
    libc().ftruncate(fd.fd, 0n);
    const at = evil.memory.allocate(REQUEST_BYTES + RESPONSE_BYTES);
    ask(evil, at, at + REQUEST_BYTES);
    return fd;
  }, /the in-flight region at offset \d+: its file has no page there any more/);
});

Deno.test("pages that a guest never used are allocated here in a bounded number", async () => {
  const pages = 65_536;
  using file = createMemFd("sparse", pages * PAGE);
  await assertSurvived((evil) => {
    evil.client.addMemoryRegion({
      guestAddress: SPARSE_AT,
      userAddress: SPARSE_AT,
      length: pages * PAGE,
      fileOffset: 0,
      fd: file,
      buffer: new ArrayBuffer(0),
    });
    const at = evil.memory.allocate(REQUEST_BYTES);
    const ring = evil.rings[0]!;
    const heads = ring.size / 2;
    for (let page = 0; page < pages; page++) {
      const head = 2 * (page % heads);
      ring.writeDescriptor(head, at, REQUEST_BYTES, DESCRIPTOR_NEXT, head + 1);
      const answerAt = SPARSE_AT + page * PAGE;
      ring.writeDescriptor(
        head + 1,
        answerAt,
        RESPONSE_BYTES,
        DESCRIPTOR_WRITE,
      );
      ring.makeAvailable(head);
      if (head < 2 * (heads - 1)) continue;
      ring.publish();
      evil.kick(0);
      const { fd } = evil.client.connection;
      while (ring.deviceUsedIndex !== ring.availIndex) {
        // The backend says something, which is its end.
        if (pollFd(fd, POLLIN, 1) !== 0) return undefined;
      }
    }
    return undefined;
  }, /more than 4096 that it never used itself/);
  using mapping = Mapping.map(file.fd, {
    length: pages * PAGE,
    subject: "sparse",
  });
  const allocated = pages - mapping.absentPages(0, pages * PAGE);
  assert(allocated < 8192, `${allocated} pages`);
});

/** A sparse file on a file system that has no page left for it. */
async function fullFile(length: number): Promise<OwnedFd | string> {
  const directory = await Deno.makeTempDir({ prefix: "gpioagg-full-" });
  const run = (command: string, ...args: string[]) =>
    new Deno.Command(command, { args, stderr: "null" }).output()
      .catch(() => ({ success: false }));
  try {
    const options = `size=${4 * PAGE}`;
    const { success } = await run(
      ...["mount", "-t", "tmpfs", "-o", options, "none", directory] as const,
    );
    if (!success) return "mounting needs root";
    try {
      const fd = openFile(`${directory}/sparse`, O_RDWR | O_CREAT, 0o600);
      libc().ftruncate(fd.fd, BigInt(length));
      using filler = openFile(`${directory}/filler`, O_RDWR | O_CREAT, 0o600);
      const page = new Uint8Array(PAGE);
      while (libc().write(filler.fd, page, PAGE) === PAGE);
      return fd;
    } finally {
      // It stays as long as the file is open.
      await run("umount", "--lazy", directory);
    }
  } finally {
    await Deno.remove(directory);
  }
}

const SPARSE_BYTES = 64 * PAGE;
const sparse = await fullFile(SPARSE_BYTES);

Deno.test({
  name: "a sparse file on a full file system ends its session only",
  ignore: mustIgnore(typeof sparse === "string" ? sparse : undefined),
  // Made before the test, to know whether there can be one.
  sanitizeResources: false,
  fn: async () => {
    using file = sparse as OwnedFd;
    await assertSurvived((evil) => {
      evil.client.addMemoryRegion({
        guestAddress: SPARSE_AT,
        userAddress: SPARSE_AT,
        length: SPARSE_BYTES,
        fileOffset: 0,
        fd: file,
        buffer: new ArrayBuffer(0),
      });
      const at = evil.memory.allocate(REQUEST_BYTES);
      ask(evil, at, SPARSE_AT + 8 * PAGE);
      return undefined;
    }, /guest memory at 0x90008[0-9a-f]+: its file has no page there/);
  },
});
