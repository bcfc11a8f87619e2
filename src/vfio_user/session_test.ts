import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { createMemFd } from "../../ffi/mem_fd.ts";
import { countCopies } from "../../tests/doubles/open_fds.ts";
import { C, versionBody, words } from "../../tests/doubles/vfio_peer.ts";
import { VfioRig } from "../../tests/doubles/vfio_rig.ts";
import type { PeerTimes } from "../peer/peer_process.ts";

const REPLY = 1;
const FAILED = 0x21;
const PO = 0x18;
const PI = 0x1c;
const PM = 0x20;
const IEN = 0;
const ICLR = 0x0c;
const IM0 = 0x24;
const BOTH = 4;
const HIGH = 3;

function u32(body: Uint8Array, at: number): number {
  return new DataView(body.buffer).getUint32(at, true);
}

/** Connects, agrees on a version and enables INTx. */
function ready(): VfioRig {
  const rig = new VfioRig();
  rig.negotiate();
  rig.enableIntx();
  return rig;
}

Deno.test("a client gets the version it asked for, with capabilities", () => {
  using rig = new VfioRig();
  const reply = rig.ask(C.VERSION, versionBody(0, 1));
  assertEquals([reply.flags, reply.errno, reply.id], [REPLY, 0, 1]);
  assertEquals([...reply.body.subarray(0, 4)], [0, 0, 1, 0]);
  const { capabilities } = JSON.parse(
    new TextDecoder().decode(reply.body.subarray(4, -1)),
  );
  assertEquals(capabilities.max_msg_fds, 16);
  assertEquals(reply.body.at(-1), 0);
});

Deno.test("the card is described as QEMU asks", () => {
  using rig = new VfioRig();
  rig.negotiate();
  const info = rig.ask(C.DEVICE_GET_INFO, words(16, 0, 0, 0));
  assertEquals([4, 8, 12].map((at) => u32(info.body, at)), [3, 9, 5]);
  const sizes = Array.from({ length: 9 }, (_, region) => {
    const body = words(32, 0, region, 0, 0, 0, 0, 0);
    const reply = rig.ask(C.DEVICE_GET_REGION_INFO, body);
    assertEquals(u32(reply.body, 8), region);
    return u32(reply.body, 16);
  });
  assertEquals(sizes, [0, 0x200, 0, 0, 0, 0, 0, 256, 0]);
  const counts = Array.from({ length: 5 }, (_, irq) => {
    const reply = rig.ask(C.DEVICE_GET_IRQ_INFO, words(16, 0, irq, 0));
    return u32(reply.body, 12);
  });
  assertEquals(counts, [1, 0, 0, 0, 0]);
});

Deno.test("configuration space identifies the card and sizes its BAR", () => {
  using rig = new VfioRig();
  rig.negotiate();
  const read = (offset: number, count: number) => {
    const reply = rig.ask(C.REGION_READ, words(offset, 0, 7, count));
    return reply.body.subarray(16);
  };
  const write = (offset: number, value: number) =>
    rig.ask(C.REGION_WRITE, words(offset, 0, 7, 4, value));
  assertEquals([...read(0, 4)], [0xdb, 0x10, 0x2e, 0x80]);
  assertEquals([...read(0x3d, 1)], [1]);
  assertEquals(read(0, 256).length, 256);
  write(0x14, 0xffffffff);
  assertEquals([...read(0x14, 4)], [0x00, 0xfe, 0xff, 0xff]);
  write(0x14, 0xfebf1234);
  assertEquals([...read(0x14, 4)], [0x00, 0x12, 0xbf, 0xfe]);
  write(0x10, 0xffffffff);
  assertEquals([...read(0x10, 4)], [0, 0, 0, 0]);
  write(0, 0);
  assertEquals([...read(0, 2)], [0xdb, 0x10]);
  rig.ask(C.DEVICE_RESET);
  assertEquals([...read(0x14, 4)], [0, 0, 0, 0]);
});

Deno.test("a guest drives and reads lines by registers", () => {
  using rig = ready();
  rig.writeRegister(PM, 1);
  rig.writeRegister(PO, 1);
  assertEquals(rig.ports[0]!.level, 1);
  rig.ports[2]!.pull(1);
  assertEquals(rig.readRegister(PI), 0b101);
  // A posted write has no reply, so the next reply is the read's.
  rig.writeRegister(PO, 0);
  assertEquals(rig.readRegister(PI), 0b100);
  assertEquals(rig.log, ["connected", "started"]);
});

Deno.test("an edge triggers INTx once, until it is unmasked", () => {
  using rig = ready();
  rig.writeRegister(IM0, BOTH);
  rig.writeRegister(IEN, 1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.peer.takeInterrupt(), true);
  rig.card.onInterrupt();
  assertEquals(rig.peer.takeInterrupt(), false);
  // The handler's first access unmasks; the line is active until it is cleared.
  rig.setIntx(0x11);
  rig.writeRegister(ICLR, 1);
  rig.readRegister(PI);
  rig.pass(2);
  assertEquals(rig.peer.takeInterrupt(), false);
  rig.ports[0]!.pull(0);
  assertEquals(rig.peer.takeInterrupt(), true);
});

Deno.test("a line that stays active triggers again 1 ms after the unmask", () => {
  using rig = ready();
  rig.writeRegister(IM0, HIGH);
  rig.writeRegister(IEN, 1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.peer.takeInterrupt(), true);
  rig.setIntx(0x11);
  assertEquals(rig.peer.takeInterrupt(), false);
  rig.pass(2);
  assertEquals(rig.peer.takeInterrupt(), true);
});

Deno.test("INTx can be masked, switched off, and triggered by message", () => {
  using rig = ready();
  rig.writeRegister(IM0, HIGH);
  rig.setIntx(0x09);
  rig.writeRegister(IEN, 1);
  rig.ports[0]!.pull(1);
  assertEquals(rig.peer.takeInterrupt(), false);
  rig.setIntx(0x11);
  rig.pass(2);
  assertEquals(rig.peer.takeInterrupt(), true);
  rig.setIntx(0x21, 0);
  rig.setIntx(0x11);
  rig.pass(2);
  assertEquals(rig.peer.takeInterrupt(), false);
  rig.ports[0]!.pull(0);
  rig.enableIntx();
  assertEquals(rig.peer.takeInterrupt(), false);
  rig.setIntx(0x21);
  assertEquals(rig.peer.takeInterrupt(), true);
});

Deno.test("an eventfd that unmasks is refused, so that QEMU sends messages", () => {
  using rig = ready();
  const reply = rig.ask(C.DEVICE_SET_IRQS, words(20, 0x14, 0, 0, 1), {
    fds: [rig.peer.irq.fd],
  });
  assertEquals([reply.flags, reply.errno], [FAILED, 22]);
});

Deno.test("descriptors of guest memory are closed at once", async () => {
  using rig = ready();
  using memory = createMemFd("guest", 4096);
  const before = countCopies(memory.fd);
  for (let i = 0; i < 20; i++) {
    const reply = rig.ask(
      C.DMA_MAP,
      words(32, 3, 0, 0, i * 4096, 0, 4096, 0),
      { fds: [memory.fd] },
    );
    assertEquals([reply.flags, reply.body.length], [REPLY, 0]);
  }
  for (let i = 0; i < 100 && countCopies(memory.fd) !== before; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assertEquals(countCopies(memory.fd), before);
  const unmap = rig.ask(C.DMA_UNMAP, words(24, 0, 4096, 0, 4096, 0));
  assertEquals(unmap.body.length, 24);
});

Deno.test("the guest is gone when its VMM resets the card or leaves", () => {
  using rig = ready();
  rig.writeRegister(PM, 1);
  rig.writeRegister(PO, 1);
  rig.ask(C.DEVICE_RESET);
  rig.ask(C.DEVICE_RESET);
  assertEquals(rig.log.slice(1), ["started", "guest gone"]);
  rig.writeRegister(PM, 1);
  rig.peer[Symbol.dispose]();
  rig.turn();
  assertEquals(rig.log.slice(3), [
    "started",
    "guest gone",
    "ended: the VMM closed the connection",
  ]);
  assertEquals(rig.escaped, []);
});

Deno.test("a card that a running guest never programs is reported, once", () => {
  let busyMs = 0;
  const times = (): PeerTimes => ({
    pid: 1,
    process: { name: "", busyMs, guestMs: 0, startTime: 0, threadCount: 1 },
    threads: new Map(),
  });
  const faults = (rig: VfioRig) =>
    rig.log.filter((entry) => entry.startsWith("fault"));
  using restored = new VfioRig({ peerTimes: times });
  restored.negotiate();
  restored.pass(31_000);
  assertEquals(faults(restored), []);
  busyMs = 10_000;
  restored.pass(31_000);
  restored.pass(31_000);
  assertEquals(faults(restored).length, 1);
  assertStringIncludes(faults(restored)[0]!, "device_del");

  busyMs = 0;
  using booted = new VfioRig({ peerTimes: times });
  booted.negotiate();
  booted.ask(C.REGION_WRITE, words(0x14, 0, 7, 4, 0xffffffff));
  booted.ask(C.REGION_WRITE, words(0x14, 0, 7, 4, 0xfebf1000));
  busyMs = 10_000;
  booted.pass(31_000);
  assertEquals(faults(booted), []);
});

Deno.test("requests that cannot be done fail, and the connection goes on", () => {
  using rig = ready();
  const bad: [string, number, Uint8Array, number][] = [
    ["a region that is not there", C.REGION_READ, words(0, 0, 0, 4), 22],
    ["a region number", C.REGION_READ, words(0, 0, 99, 4), 22],
    ["behind the BAR", C.REGION_READ, words(0x200, 0, 1, 4), 22],
    ["across its end", C.REGION_READ, words(0x1fe, 0, 1, 4), 22],
    ["far behind it", C.REGION_READ, words(0, 1, 1, 4), 22],
    ["offset that wraps", C.REGION_READ, words(0xfffffffc, 0, 1, 8), 22],
    ["nothing", C.REGION_READ, words(0, 0, 1, 0), 22],
    ["three bytes", C.REGION_READ, words(0, 0, 1, 3), 22],
    ["unaligned", C.REGION_READ, words(2, 0, 1, 4), 22],
    ["huge", C.REGION_READ, words(0, 0, 7, 0xffffffff), 22],
    ["a write without data", C.REGION_WRITE, words(0, 0, 1, 4), 22],
    ["behind the configuration", C.REGION_WRITE, words(256, 0, 7, 4, 0), 22],
    [
      "a region's info",
      C.DEVICE_GET_REGION_INFO,
      words(32, 0, 9, 0, 0, 0, 0, 0),
      22,
    ],
    ["an interrupt's info", C.DEVICE_GET_IRQ_INFO, words(16, 0, 5, 0), 22],
    ["MSI", C.DEVICE_SET_IRQS, words(20, 0x24, 1, 0, 1), 22],
    ["two INTx", C.DEVICE_SET_IRQS, words(20, 0x24, 0, 0, 2), 22],
    ["INTx 1", C.DEVICE_SET_IRQS, words(20, 0x24, 0, 1, 1), 22],
    ["no action", C.DEVICE_SET_IRQS, words(20, 0x04, 0, 0, 1), 22],
    ["no data", C.DEVICE_SET_IRQS, words(20, 0x20, 0, 0, 1), 22],
    ["bool without data", C.DEVICE_SET_IRQS, words(20, 0x22, 0, 0, 1), 22],
    ["memory of the guest", C.DMA_READ, words(0, 0, 0, 0), 95],
    ["an unknown command", 99, words(0), 95],
  ];
  for (const [title, command, body, errno] of bad) {
    const reply = rig.ask(command, body);
    assertEquals([reply.flags, reply.errno, reply.body.length], [
      FAILED,
      errno,
      0,
    ], title);
  }
  assertEquals(rig.readRegister(PM), 0);
});

Deno.test("a request without a reply has none, whatever it asks for", () => {
  using rig = new VfioRig();
  const silent = { flags: 0x10 };
  rig.peer.send(C.VERSION, versionBody(0, 0), silent);
  for (
    const [command, body] of [
      [C.DEVICE_GET_INFO, words(16, 0, 0, 0)],
      [C.DEVICE_GET_REGION_INFO, words(32, 0, 1, 0, 0, 0, 0, 0)],
      [C.DEVICE_GET_REGION_INFO, words(32, 0, 9, 0, 0, 0, 0, 0)],
      [C.DEVICE_GET_IRQ_INFO, words(16, 0, 0, 0)],
      [C.DMA_MAP, words(32, 3, 0, 0, 0, 0, 4096, 0)],
      [C.DMA_UNMAP, words(24, 0, 0, 0, 4096, 0)],
      [C.REGION_READ, words(PM, 0, 1, 4)],
      [C.REGION_READ, words(0, 0, 7, 256)],
      [C.DMA_READ, words(0, 0, 0, 0)],
    ] as const
  ) rig.peer.send(command, body, silent);
  rig.writeRegister(PM, 1);
  // The first answer is that of the first request that wants one.
  const { command, body } = rig.ask(C.DEVICE_GET_IRQ_INFO, words(16, 0, 0, 0));
  assertEquals([command, body.length], [C.DEVICE_GET_IRQ_INFO, 16]);
  assertEquals(rig.peer.read(), "none");
  assertEquals(rig.readRegister(PM), 1);
});

Deno.test("messages whose form is wrong end the connection with a reason", () => {
  const bad: [string, (rig: VfioRig) => void][] = [
    ["VERSION", (rig) => rig.peer.send(C.DEVICE_GET_INFO, words(16, 0, 0, 0))],
    ["version 0", (rig) => rig.peer.send(C.VERSION, versionBody(1, 0))],
    ["4 bytes", (rig) => rig.peer.send(C.VERSION)],
    [
      "16 to 8192 bytes",
      (rig) => rig.peer.send(C.VERSION, words(0), { size: 8193 }),
    ],
    [
      "16 to 8192 bytes",
      (rig) => rig.peer.send(C.VERSION, words(0), { size: 3 }),
    ],
    [
      "must be a request",
      (rig) => rig.peer.send(C.VERSION, versionBody(0, 0), { flags: 1 }),
    ],
    ["it must come once", (rig) => {
      rig.negotiate();
      rig.peer.send(C.VERSION, versionBody(0, 0));
    }],
    ["20 bytes", (rig) => {
      rig.negotiate();
      rig.peer.send(C.DEVICE_SET_IRQS, words(20));
    }],
    ["16 bytes", (rig) => {
      rig.negotiate();
      rig.peer.send(C.REGION_READ, words(0, 0));
    }],
    ["at most 16 descriptors", (rig) => {
      rig.negotiate();
      rig.peer.send(C.DMA_MAP, words(32, 3, 0, 0, 0, 0, 4096, 0), {
        fds: Array.from({ length: 17 }, () => rig.peer.irq.fd),
      });
    }],
    ["ended after 7 bytes", (rig) => {
      rig.peer.sendBytes(new Uint8Array(7));
      rig.turn();
      rig.peer[Symbol.dispose]();
    }],
  ];
  for (const [text, act] of bad) {
    using rig = new VfioRig();
    act(rig);
    rig.turn();
    const end = rig.log.at(-1)!;
    assertStringIncludes(end, "ended: ");
    assertStringIncludes(end, text);
    assertEquals(rig.escaped, []);
  }
});

Deno.test("a message arrives whole, however small its pieces are", () => {
  using rig = new VfioRig();
  const bytes = new Uint8Array(16 + 7);
  bytes.set(words(C.VERSION << 16, bytes.length, 0, 0));
  bytes.set(versionBody(0, 0), 16);
  for (const byte of bytes) {
    rig.peer.sendBytes(Uint8Array.of(byte));
    rig.turn();
  }
  const reply = rig.peer.read();
  assertEquals(typeof reply === "object" && reply.command, C.VERSION);
});

Deno.test("a client that does not read is not read either", () => {
  using rig = ready();
  let sent = 0;
  for (; sent < 100_000; sent++) {
    rig.peer.send(C.REGION_READ, words(0, 0, 7, 256));
    if (sent % 16 === 0) rig.turn();
    if (sent > 4000) break;
  }
  rig.turn();
  assertEquals(rig.backend.isConnected, true);
  let read = 0;
  for (;;) {
    const reply = rig.peer.read();
    if (reply === "none") {
      rig.turn();
      if (rig.peer.read() === "none") break;
      read++;
    } else read++;
  }
  assert(read > 0);
  assertEquals(rig.escaped, []);
});
